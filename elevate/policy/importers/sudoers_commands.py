"""One command of a sudoers file as the ``task`` of a rule: narrower for a grant, wider for a deny."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from elevate.canonical import Json
from elevate.policy.importers.common import Table

Resolve = Callable[[str], str]

_WILD = frozenset("*?[]\\")
_SHA256 = re.compile("[0-9a-f]{64}")
_MERGED = (("/bin/", "/usr/bin/"), ("/sbin/", "/usr/sbin/"), ("/lib/", "/usr/lib/"))
_MAX_SECONDS = 86_400
RUN = "process.run"


@dataclass(frozen=True, slots=True)
class Command:
    """A command as cvtsudoers gives it; ``digests`` by algorithm."""

    text: str
    negated: bool
    digests: dict[str, str]


def granted_task(command: Command, resolve: Resolve) -> tuple[Table | None, str]:
    """Give a task that is no wider than the command, and what was narrowed; or None and why not."""
    sha256 = command.digests.get("sha256", "")
    if command.digests and not _SHA256.fullmatch(sha256):
        return None, "its digest is not a SHA-256 in hexadecimal"
    pinned: Table = {"sha256": sha256} if sha256 else {}
    program, _, rest = command.text.partition(" ")
    if command.text == "ALL":
        return {"kind": RUN, **pinned}, ""
    if program == "sudoedit":
        return _edited(rest)
    path, why = _path(program, resolve)
    if not path:
        return None, why
    arguments, more = _arguments(rest)
    if arguments is None:
        return None, more
    return {"kind": RUN, "path": path, **pinned, **arguments}, "; ".join(text for text in (why, more) if text)


def _edited(rest: str) -> tuple[Table | None, str]:
    plain = rest.startswith("/") and " " not in rest and not set(rest) & _WILD and "/../" not in rest + "/" and "//" not in rest
    if not plain or rest.endswith("/"):
        return None, "it edits files that only a pattern names"
    return {"kind": "file.write", "path": rest}, ""


def _path(program: str, resolve: Resolve) -> tuple[str, str]:
    if not program.startswith("/") or program.endswith("/"):
        return "", "a folder, a list or a name is no program"
    if set(program) & (_WILD | set("^$")):
        return "", "no rule has a pattern for the path"
    if any(part in {"", ".", ".."} for part in program.split("/")[1:]):
        return "", "the path is not in plain form"
    real = resolve(program)
    if real == program:
        return program, ""
    if real.rsplit("/", 1)[-1] != program.rsplit("/", 1)[-1]:
        return program, f"only by this name, while the program is {real}"
    return real, ""


def _arguments(rest: str) -> tuple[Table | None, str]:
    """Give the arguments; sudo's ``""`` is none, and nothing is any."""
    if not rest:
        return {}, ""
    if rest == '""':
        return {"arguments": []}, ""
    if rest.startswith("^") or rest.endswith("$"):
        return None, "no rule has regular expressions"
    if set(rest) & set("[]\\\"'"):
        return None, "its arguments have a pattern or quotes that no rule has"
    words = rest.split(" ")
    if not set(rest) & {"*", "?"}:
        return {"arguments": words}, ""
    patterns = [re.sub(r"\*+", "*", word) for word in words]
    return {"arguments": {"patterns": patterns}}, "a wildcard stands for one argument, without slashes and no option"


def denied_task(command: Command, resolve: Resolve) -> list[Table]:
    """Give tasks that cover the command and perhaps more; arguments and digests are not looked at."""
    program, _, rest = command.text.partition(" ")
    if program == "sudoedit":
        task, _ = _edited(rest)
        return [task or {"kind": "file.write"}]
    if not program.startswith("/"):
        return [{"kind": RUN}, {"kind": "file.write"}]
    folder = re.split(r"[*?\[\\^]", program, maxsplit=1)[0]
    if folder != program or program.endswith("/"):
        return [{"kind": RUN, "directory": _forms(folder.rpartition("/")[0] or "/", resolve)}]
    if any(part in {"", ".", ".."} for part in program.split("/")[1:]):
        return [{"kind": RUN}]
    return [{"kind": RUN, "path": _forms(program, resolve)}]


def _forms(path: str, resolve: Resolve) -> list[str]:
    """Give all names that the same file may have: sudo compares files, not names."""
    names = {path, resolve(path)}
    for one in tuple(sorted(names)):
        for short, long in _MERGED:
            if f"{one}/".startswith(short):
                names.add(long.rstrip("/") + one[len(short) - 1 :])
            if f"{one}/".startswith(long):
                names.add(short.rstrip("/") + one[len(long) - 1 :])
    return sorted(names)


_TAKEN = frozenset({"authenticate", "setenv", "mail", "follow", "log_input", "log_output"})
"""Options without which nothing more is allowed."""


def options_of(options: list[dict[str, Json]], *, raw: Json) -> tuple[Table | None, str]:
    """Give what a command's options come to, and what was narrowed; or None and why not."""
    if (isinstance(raw, list) and len(raw) != len(options)) or any(len(option) != 1 for option in options):
        return None, "its options can't be read"
    when: Table = {}
    then: Table = {}
    for option in options:
        name, value = next(iter(option.items()))
        if name in {"noexec", "intercept"}:
            then |= {"children": "deny"} if value is True else {}
        elif name in {"notbefore", "notafter"}:
            when["not_before" if name == "notbefore" else "not_after"] = _moment(str(value))
        elif name == "command_timeout" and isinstance(value, int) and 1 <= value <= _MAX_SECONDS:
            then["time_limit_seconds"] = value
        elif name not in _TAKEN:
            return None, f"no rule has the option {name}"
    if "" in when.values():
        return None, "its dates can't be read"
    narrowed = "the caller may not set the environment" if {"setenv": True} in options else ""
    return {name: table for name, table in (("when", when), ("then", then)) if table}, narrowed


def _moment(text: str) -> str:
    try:
        at = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return ""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
