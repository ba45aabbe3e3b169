"""How entries are shown to people: one line each, or one request's life as a vertical timeline. All text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from elevate.audit.entry import Entry
from elevate.canonical import Json
from elevate.text import escape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHAT_CHARS = 80
_COUNTED = (
    ("access", "entries", "{} entries"),
    ("erasure", "entries", "openings of {} entries"),
    ("erasure", "requests", "of {} requests"),
    ("pruning", "entries", "{} entries"),
    ("pruning", "before", "those before {}"),
    ("lockout", "wait_seconds", "for {} s"),
)
_SYNCHRONISED = "synchronised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, ready to print.

    Attributes:
        at: UTC, as in RFC 3339 with milliseconds.
        took_ms: Since the line before, on the monotonic clock where both are of one boot.
        proven: The entry is where the log says and its bytes are what was written; None where that was not checked.
    """

    seq: int
    at: str
    event: str
    request: str
    who: str
    what: str
    took_ms: float = 0.0
    proven: bool | None = None


def when(unix_us: int) -> str:
    """Give a time as in RFC 3339, UTC, in milliseconds; a time that no calendar has as its number."""
    try:
        return (_EPOCH + timedelta(microseconds=unix_us)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    except (OverflowError, ValueError):
        return str(unix_us)


def member(body: Mapping[str, Json], *path: str) -> Json:
    """Give one member of an entry's body; None where it is not there."""
    value: Json = dict(body)
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def line(entry: Entry, *, proven: bool | None = None) -> Line:
    """Give one entry, ready to print."""
    return Line(
        seq=entry.seq,
        at=when(entry.unix_us),
        event=escape(entry.event),
        request=escape(entry.request),
        who=_who(entry),
        what=_what(entry),
        proven=proven,
    )


def timeline(entries: Sequence[Entry], proven: Iterable[bool | None]) -> list[Line]:
    """Give one request's life: each step with the time since the one before."""
    lines: list[Line] = []
    before: Entry | None = None
    for entry, proof in zip(entries, proven, strict=True):
        took = (entry.mono_us - before.mono_us) / 1000 if before else 0.0
        shown = line(entry, proven=proof)
        lines.append(
            Line(
                seq=shown.seq,
                at=shown.at,
                event=shown.event,
                request=shown.request,
                who=shown.who,
                what=shown.what,
                took_ms=max(took, 0.0),
                proven=proof,
            )
        )
        before = entry
    return lines


def _who(entry: Entry) -> str:
    user, uid = member(entry.body, "actor", "user"), member(entry.body, "actor", "uid")
    if user is None:
        return ""
    return escape(f"{user} ({uid})")


def _what(entry: Entry) -> str:
    parts = [_task(entry), _decision(entry), _proof(entry), _token(entry), _step(entry), _process(entry), _care(entry)]
    parts += [_clock(entry), _reason(entry)]
    return ", ".join(part for part in parts if part)


def _task(entry: Entry) -> str:
    display = member(entry.body, "task", "display")
    if not isinstance(display, str):
        return ""
    # A task's display form is escaped where it is made; what is not was written by somebody else.
    display = display if display.isprintable() else escape(display)
    return display if len(display) <= _WHAT_CHARS else display[: _WHAT_CHARS - 1] + "…"


def _decision(entry: Entry) -> str:
    outcome, rules = member(entry.body, "decision", "outcome"), member(entry.body, "decision", "rules")
    if outcome is None:
        return ""
    named = " ".join(str(rule) for rule in rules) if isinstance(rules, list) and rules else "no rule"
    return escape(f"{outcome} by {named}")


def _proof(entry: Entry) -> str:
    method = member(entry.body, "authentication", "method")
    simulated = " (simulated)" if member(entry.body, "authentication", "simulated") is True else ""
    return escape(f"{method}{simulated}") if method else ""


def _token(entry: Entry) -> str:
    jti = member(entry.body, "token", "jti")
    return escape(f"token {jti}") if jti else ""


def _step(entry: Entry) -> str:
    number, of, undo = (member(entry.body, "step", name) for name in ("number", "of", "undo"))
    if number is None:
        return ""
    return escape(f"step {number}, which undoes" if undo is True else f"step {number} of {of}")


def _process(entry: Entry) -> str:
    name, pid = member(entry.body, "process", "identity", "name"), member(entry.body, "process", "pid")
    status, number = member(entry.body, "process", "exit_status"), member(entry.body, "process", "signal")
    words = [f"as {name}" if name else "", f"pid {pid}" if pid else ""]
    words += [f"exit {status}" if status is not None else "", f"signal {number}" if number is not None else ""]
    return escape(" ".join(word for word in words if word))


def _care(entry: Entry) -> str:
    """What was done with the log, and with settings and policy."""
    kind, question = member(entry.body, "access", "kind"), member(entry.body, "access", "question")
    words = [f"{kind} {question}".rstrip() if question else str(kind)] if kind else []
    for part, name, text in _COUNTED:
        value = member(entry.body, part, name)
        words += [text.format(value)] if isinstance(value, int) else []
    changed, layer = member(entry.body, "settings", "changed"), member(entry.body, "lockout", "layer")
    words += [" ".join(str(one) for one in changed)] if isinstance(changed, list) else []
    words += [str(layer)] if layer else []
    return escape(", ".join(words))


def _clock(entry: Entry) -> str:
    status, drift, sync, error = (member(entry.body, "clock", name) for name in ("status", "drift_us", "sync", "error_us"))
    if status is None or not isinstance(drift, int):
        return ""
    words = [f"clock {status}" + (f" by {drift / 1_000_000:+.1f} s" if status == "stepped" else "")]
    bound = f" within {error / 1000:.1f} ms" if isinstance(error, int) and sync == _SYNCHRONISED else ""
    words += [f"{sync}{bound}"] if sync in {_SYNCHRONISED, "unsynchronised"} else []
    return escape(", ".join(words))


def _reason(entry: Entry) -> str:
    code, text = member(entry.body, "reason", "code"), member(entry.body, "reason", "text")
    if not code:
        return ""
    return escape(f"{code}: {text}" if text and text != code else str(code))
