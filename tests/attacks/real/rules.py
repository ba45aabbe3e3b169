"""What both brokers of the arena allow, and the files that go with it."""

import hashlib
import json
from pathlib import Path

GOOD = "#!/bin/sh\necho good\n"
EVIL = "#!/bin/sh\necho evil\n"
RULES = """
format = 1

[[rule]]
id = "programs"
effect = "allow"
task = { kind = "process.run", directory = "/usr" }
then = { prompt = "credential" }
why = "The machine's programs, by the hidden account."

[[rule]]
id = "not-this"
effect = "deny"
task = { kind = "process.run", path = "/usr/bin/nproc" }
why = "Something that is denied."

[[rule]]
id = "as-root"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/dd" }
then = { prompt = "credential", identity = "root" }
why = "Uid 0."

[[rule]]
id = "on-a-terminal"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/cat" }
then = { prompt = "credential", interactive = true }
why = "A program that hears a person."

[[rule]]
id = "files"
effect = "allow"
task = { kind = "file.write", directory = "/etc" }
then = { prompt = "credential" }
why = "Configuration."
"""
SCRIPT = """
[[rule]]
id = "script-{number}"
effect = "allow"
task = {{ kind = "process.run", sha256 = "{sha256}" }}
then = {{ prompt = "credential", identity = "root" }}
why = "Exactly this script, wherever it lies."
"""


def with_interpreter(place: Path) -> str:
    """Give a script whose interpreter is a link of the user's."""
    return f"#!{place}/interpreter\necho good\n"


def policy(place: Path) -> str:
    """Give the true daemon's rules; scripts are named by what is in them."""
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (GOOD, with_interpreter(place))]
    return RULES + "".join(SCRIPT.format(number=number, sha256=digest) for number, digest in enumerate(digests))


def allow_all() -> str:
    """Write a policy for the naive broker that allows everything, here; give its path."""
    path = Path("policy.json")
    path.write_text(json.dumps({"allow": ["/"], "deny": [], "run_as": []}))
    return str(path.absolute())


def plant_naive(folder: Path, users: set[str], pin: str, phrase: str, first: str) -> None:
    """Write the naive broker's files: the same rules, as it understands them."""
    pins = dict.fromkeys(sorted(users), pin) | {f"phrase of {first}": phrase}
    (folder / "pins.json").write_text(json.dumps(pins))
    (folder / "pins.json").chmod(0o600)
    (folder / "log").touch()
    (folder / "log").chmod(0o666)
    (folder / "policy").mkdir()
    (folder / "policy").chmod(0o777)
    digests = [hashlib.sha256(GOOD.encode()).hexdigest()]
    rules = {"allow": ["/usr/", "/bin/", *digests], "deny": ["/usr/bin/nproc"], "run_as": ["ALL", "!root"]}
    (folder / "policy" / "rules.json").write_text(json.dumps(rules))
    (folder / "policy" / "rules.json").chmod(0o666)
