"""``elevate run -l``, ``-v`` and ``-k``: sudo's ways that run nothing. Loaded when they are asked for.

Source: sudo(8). Nothing is ever cached, so that there is nothing to extend or to forget; ``-v`` verifies a gesture instead.
"""

import posix

from elevate.late import errors
from elevate.wire import Wire

FORBIDDEN = 1


def forget() -> "tuple[int, str]":
    """Answer ``-k``."""
    return 0, "elevate keeps no rights and no time stamp: there is nothing to forget\n"


def allowed(wire: Wire, task: "dict[str, object]") -> "tuple[int, str]":
    """Answer ``-l COMMAND``: status 0 where it would be allowed after a prompt, 1 where not."""
    wire.send("Explain", {"task": task})
    told = wire.receive()[0].get("explanation")
    found = told if isinstance(told, dict) else {}
    return FORBIDDEN if found.get("outcome") == "denied" else 0, f"{found.get('text', '')}\n"


def rules(wire: Wire) -> "tuple[int, str]":
    """Answer ``-l``: the rules that are for this user."""
    wire.send("ListRules", {})
    told = wire.receive()[0].get("rules")
    found = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    lines = (
        f"{one.get('effect', ''):8}{one.get('id', '')}: {one.get('why', '')}\n{'':8}{one.get('task', '')}\n" for one in found
    )
    return 0, "".join(lines)


def validate(wire: Wire, terminal: "int | None") -> "tuple[int, str]":
    """Answer ``-v``: one gesture, verified and then gone.

    Raises:
        RefusedError: There is no terminal.
    """
    if terminal is None:
        raise errors.RefusedError("there is no terminal to ask on", hint="run it from a terminal")
    wire.send("HelloVerify", {"terminal_fd": 0}, fds=(terminal,))
    posix.close(terminal)
    wire.receive()
    return 0, ""
