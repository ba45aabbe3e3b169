"""A machine with a kind of task of its own."""

from pathlib import Path

from elevate.broker import Broker
from elevate.broker.home import Home
from elevate.ports import Clock

FLUSH = """\
[[kind]]
name = "acme.flush-cache"
display_name = "Flush Acme's cache"
argv = ["/usr/bin/echo", "--zone={zone}", "{mode}", "{depth}"]
time_limit_seconds = 60

[kind.params.zone]
type = "text"
pattern = "[a-z][a-z0-9-]{0,15}"
doc = "Which zone."

[kind.params.mode]
type = "choice"
values = ["soft", "hard"]

[kind.params.depth]
type = "number"
least = 0
most = 9
"""
RULE = """\

[[rule]]
id = "flush"
effect = "allow"
task = { kind = "acme.flush-cache" }
"""


def embedded(state: Path, text: str = FLUSH + RULE, *, clock: Clock | None = None) -> Broker:
    """Open a broker whose policy is this file."""
    with Broker.embedded(state):
        pass
    write(state, text)
    return Broker.embedded(state, clock=clock)


def write(state: Path, text: str) -> None:
    """Make this the whole policy."""
    folder = Home(state).policy
    for path in folder.iterdir():
        path.unlink()
    place = folder / "acme.toml"
    place.write_text(text)
    place.chmod(0o600)
