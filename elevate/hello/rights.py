"""What a rule gives a task, and what it keeps it from, in the words of a prompt. Pure.

Whoever agrees agrees to that, too: the same program may run as the hidden account or as root, as the rule says. Nothing is said
where a task runs as the hidden account with nothing more.
"""

from elevate.model import Obligations

_NOWHERE = "-"
"""As a place. Source: `elevate.policy.obligations`."""


def rights_of(obligations: Obligations) -> str:
    """Say as whom a task runs and with which capabilities, where that is not the default, and what it can't reach."""
    extra = dict(obligations.extra)
    capabilities, writable, read_only = (_names(extra.get(name)) for name in ("capabilities", "writable", "read_only"))
    parts = []
    if extra.get("identity") == "root":
        parts.append(f"root, with {capabilities} only" if capabilities else "root")
    elif capabilities:
        parts.append(f"with {capabilities}")
    if extra.get("network") is False:
        parts.append("no network")
    if writable:
        parts.append("writes nothing" if writable == _NOWHERE else f"writes {writable} only")
    if read_only:
        parts.append(f"does not write {read_only}")
    return "; ".join(parts)


def _names(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else ""
