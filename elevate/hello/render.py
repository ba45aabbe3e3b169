"""A view as lines for a terminal. Pure; nothing is added to the view but names of its parts."""

from collections.abc import Iterator, Mapping

from elevate.canonical import Json
from elevate.text import escape

COLOURED_LINES = 2
ROWS, COLUMNS = 20, 80
"""What a usual terminal shows at once, with some room for the question."""
SHORT_CHARS = 60
DEFAULT_SECONDS = 3600
FOLD_COLUMNS = 79
_BAR = " " * 12 + "| "
_CHECK = " elevate: is it you? "
_HEADS: Mapping[str, str] = {
    "grey": " elevate: allow this task to act as administrator? ",
    "yellow": " elevate: allow this task of an unknown publisher to act as administrator? ",
    "red": " elevate: this task is blocked ",
}
_SEVERAL: Mapping[str, str] = {
    "grey": " elevate: allow these steps to act as administrator? ",
    "yellow": " elevate: allow these steps, one at least of an unknown publisher, to act as administrator? ",
    "red": " elevate: these steps are blocked ",
}


def lines(view: Mapping[str, Json], *, phrase: str) -> list[str]:
    """Give a prompt's lines; the first `COLOURED_LINES` carry the colour of the class.

    Args:
        view: From `elevate.hello.view`; all its texts are escaped.
        phrase: The person's own; shown so that a false prompt can be told.
    """
    heads = _SEVERAL if view.get("steps") else _HEADS
    shown = [
        heads[str(view["class"])] if "digest" in view or view["class"] == "red" else _CHECK,
        f" {view['title']}: {view['display']} ",
    ]
    shown += _steps(view.get("steps"))
    shown += [f"  {name:<10} {text}" for name, text in _parts(view) if text]
    shown += [f"  {'in short':<10} {_short(view)}"] if _scrolls(shown) else []
    if phrase:
        shown.append(f"  {'phrase':<10} {escape(phrase)}")
    return [*shown, ""]


def _scrolls(shown: list[str]) -> bool:
    """Say whether the head leaves a usual screen before the person is asked."""
    return sum(1 + len(line) // COLUMNS for line in shown) > ROWS


def _short(view: Mapping[str, Json]) -> str:
    """Give what runs, once more, right above the question: who asks can fill a screen with blanks."""
    # SECURITY: what scrolled away was not seen (attacks.md row 37).
    steps = view.get("steps")
    several = f"{len(steps)} steps; " if isinstance(steps, list) else ""
    named = (" ".join(str(view.get(name, "")).split()) for name in ("path", "display"))
    return several + ": ".join(_ends(text) for text in named if text)


def _ends(text: str) -> str:
    """Give a text's beginning and end, where it is long."""
    return text if len(text) <= 2 * SHORT_CHARS else f"{text[:SHORT_CHARS]} […] {text[-SHORT_CHARS:]}"


def _steps(steps: Json) -> Iterator[str]:
    """Give each step's lines: what it does, and what belongs to it, further in."""
    known = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    for number, step in enumerate(known, 1):
        if step["undo"] and not known[number - 2]["undo"]:
            yield "  where a step fails, all of these:"
        yield from _folded(f"  {number:>2}. {step['title']}: ", str(step["display"]))
        for name, text in _step_parts(step):
            if text:
                yield from _folded(f"    {name:<10} ", text)


def _folded(start: str, text: str) -> Iterator[str]:
    """Give a text in lines that fit a terminal of 80 columns; each further one begins with a bar.

    SECURITY: a terminal would break a long line wherever it likes, and spaces in it could make its rest look like a step.
    """
    line, room = start, FOLD_COLUMNS - len(start)
    for char in text:
        room -= 1 if char.isascii() else 2
        if room < 0:
            yield line
            line, room = _BAR, FOLD_COLUMNS - len(_BAR) - 2
        line += char
    yield line


def _step_parts(step: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    shown = str(step["display"])
    for name, text in _task_parts(step):
        # What the line above says already is not said again; nor a folder that is none, nor the publisher of no file.
        if text != shown and (name, text) != ("directory", "/") and (name != "publisher" or step["path"]):
            yield name, text


def _parts(view: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    rules = view.get("rules")
    if not view.get("steps"):
        yield from _task_parts(view)
    yield "helper", f"{helper} carries it out" if (helper := view.get("helper")) else ""
    yield from _requester(view["requester"])
    yield "reason", str(view.get("reason", ""))
    yield "rule", ", ".join(map(str, rules)) if isinstance(rules, list) else ""
    yield "host", str(view.get("host_note", ""))


def _task_parts(view: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, member in (("program", "path"), ("command", "command"), ("publisher", "publisher"), ("sha256", "sha256")):
        yield name, str(view.get(member, ""))
    yield "runs as", str(view.get("run_as", ""))
    yield "rights", str(view.get("rights", ""))
    yield "directory", str(view.get("cwd", ""))
    yield "with", str(view.get("environment", ""))
    yield "brought", f"by {step}; it is not there yet" if (step := view.get("brought")) else ""
    yield "mode", str(view.get("file_mode", ""))
    yield "ends after", f"{asked} s" if (asked := view.get("asked_seconds")) not in {None, 0, DEFAULT_SECONDS} else ""
    yield "input", f"{view['input_bytes']} bytes, sha256 {view['input_sha256']}" if view.get("input_sha256") else _typed(view)


def _typed(view: Mapping[str, Json]) -> str:
    """Say what a program without declared input reads: one that edits a file may well write nothing for nothing."""
    if "keys" not in view:
        return ""
    return "what is typed while it runs" if view["keys"] else "none, no keys either; pipe it in, or use a rule with interactive"


def _requester(requester: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(requester, dict):
        return
    chain = requester["chain"]
    yield "asked by", f"{requester['user']} (uid {requester['uid']}), {requester['executable']} ({requester['pid']})"
    yield "started by", " < ".join(map(str, chain)) if isinstance(chain, list) else ""
    yield "from", "another machine" if requester["remote"] else ""
