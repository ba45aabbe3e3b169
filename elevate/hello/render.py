"""A view as lines for a terminal. Pure; nothing is added to the view but names of its parts."""

from collections.abc import Iterator, Mapping

from elevate.canonical import Json
from elevate.text import escape

COLOURED_LINES = 2
DEFAULT_SECONDS = 3600
_CHECK = " elevate: is it you? "
_HEADS: Mapping[str, str] = {
    "grey": " elevate: allow this task to act as administrator? ",
    "yellow": " elevate: allow this task of an unknown publisher to act as administrator? ",
    "red": " elevate: this task is blocked ",
}


def lines(view: Mapping[str, Json], *, phrase: str) -> list[str]:
    """Give a prompt's lines; the first `COLOURED_LINES` carry the colour of the class.

    Args:
        view: From `elevate.hello.view`; all its texts are escaped.
        phrase: The person's own; shown so that a false prompt can be told.
    """
    shown = [
        _HEADS[str(view["class"])] if "digest" in view or view["class"] == "red" else _CHECK,
        f" {view['title']}: {view['display']} ",
    ]
    shown += [f"  {name:<10} {text}" for name, text in _parts(view) if text]
    if phrase:
        shown.append(f"  {'phrase':<10} {escape(phrase)}")
    return [*shown, ""]


def _parts(view: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    rules = view.get("rules")
    for name, member in (("program", "path"), ("command", "command"), ("publisher", "publisher"), ("sha256", "sha256")):
        yield name, str(view.get(member, ""))
    yield "directory", str(view.get("cwd", ""))
    yield "with", str(view.get("environment", ""))
    yield "mode", str(view.get("file_mode", ""))
    yield "ends after", f"{asked} s" if (asked := view.get("asked_seconds")) not in {None, 0, DEFAULT_SECONDS} else ""
    yield "input", f"{view['input_bytes']} bytes, sha256 {view['input_sha256']}" if view.get("input_sha256") else ""
    yield "helper", f"{helper} carries it out" if (helper := view.get("helper")) else ""
    yield from _requester(view["requester"])
    yield "reason", str(view.get("reason", ""))
    yield "rule", ", ".join(map(str, rules)) if isinstance(rules, list) else ""
    yield "host", str(view.get("host_note", ""))


def _requester(requester: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(requester, dict):
        return
    chain = requester["chain"]
    yield "asked by", f"{requester['user']} (uid {requester['uid']}), {requester['executable']} ({requester['pid']})"
    yield "started by", " < ".join(map(str, chain)) if isinstance(chain, list) else ""
    yield "from", "another machine" if requester["remote"] else ""
