"""What is searched for: words such as ``user:alice outcome:denied since:24h``, the same on the command line and in the library.

All words must fit. A word without a colon is looked for in all that an entry says. ``-`` in front turns a word round.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from elevate.audit.entry import Entry
from elevate.audit.view import member
from elevate.canonical import Json, encode
from elevate.errors import AuditError
from elevate.lifecycle import APPROVED, NOT_APPROVED, State

KEYS = ("user", "event", "outcome", "rule", "kind", "code", "method")
_TIMES = ("since", "until")
_SCOPE = ("user:", *(f"{name}:" for name in _TIMES))
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OWN = "own"
_AGO = re.compile(r"(\d{1,6})([smhdw])")
MICROSECONDS = 1_000_000
MAX_WORDS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A parsed search.

    Attributes:
        terms: ``key:value``, all of which an entry must have.
        without: ``key:value``, none of which it may have.
        words: Texts that its content must hold, in lower case.
        since_us: Not before, Unix microseconds.
        until_us: Before this.
    """

    terms: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    since_us: int = -(2**62)
    until_us: int = 2**62

    def fits(self, entry: Entry, terms: frozenset[str]) -> bool:
        """Say whether an entry with these terms is meant."""
        if not (self.terms <= terms and not self.without & terms and self.since_us <= entry.unix_us < self.until_us):
            return False
        if not self.words:
            return True
        text = f"{entry.event} {entry.request} {encode(entry.body).decode()}".lower()
        return all(word in text for word in self.words)


def parse(text: str, now_us: int) -> Query:
    """Read a search.

    Args:
        text: Words, apart by spaces.
        now_us: What ``since:24h`` counts back from, Unix microseconds.

    Raises:
        AuditError: A key that there is not, or a time that can't be read.
    """
    terms: dict[bool, set[str]] = {True: set(), False: set()}
    times = {"since": -(2**62), "until": 2**62}
    words: list[str] = []
    for word in _words(text):
        wanted, (key, colon, value) = not word.startswith("-"), word.lstrip("-").partition(":")
        if not colon:
            words.append(word.lower())
        elif key in _TIMES:
            times[key] = _time(value, now_us)
        elif key in KEYS:
            terms[wanted].add(f"{key}:{value}")
        else:
            raise AuditError(f"nothing can be searched by {key!r}", hint=f"the keys are {', '.join((*KEYS, *_TIMES))}")
    return Query(
        terms=frozenset(terms[True]),
        without=frozenset(terms[False]),
        words=tuple(words),
        since_us=times["since"],
        until_us=times["until"],
    )


def scope(text: str) -> str:
    """Give those words of a search that mean whole requests, and a time: what is needed to say what became of what it finds."""
    return " ".join(word for word in _words(text) if word.startswith(_SCOPE))


def own_term(user: str, uid: int) -> str:
    """Name whose request an entry belongs to; no word of a search can be this term."""
    return f"{_OWN}:{uid}:{user}"


def owner_in(terms: frozenset[str]) -> str:
    """Give the user whose request an entry with these terms belongs to; empty where it is nobody's."""
    return next((term.split(":", 2)[2] for term in terms if term.startswith(f"{_OWN}:")), "")


def terms_of(entry: Entry, user: str, uid: int = -1) -> frozenset[str]:
    """Give what an entry is found by.

    Args:
        entry: With its openings, as far as they are there.
        user: Whose request it belongs to; empty where nobody's.
        uid: The same one's, by the kernel's word.
    """
    found = {f"event:{entry.event}", *(f"user:{name}" for name in (user, member(entry.body, "actor", "user")) if name)}
    found |= {own_term(user, uid)} if user else set()
    found |= {f"outcome:{name}" for name in _outcomes(entry.event)}
    for key, part, name in (("kind", "task", "kind"), ("code", "reason", "code"), ("method", "authentication", "method")):
        found |= {f"{key}:{value}" for value in _texts(entry.body, part, name)}
    return frozenset(found | {f"rule:{value}" for value in _texts(entry.body, "decision", "rules")})


def _outcomes(event: str) -> list[str]:
    if event in APPROVED:
        return ["approved", event]
    return ["refused", event] if event in NOT_APPROVED else [event] if event in _STATES else []


_STATES = frozenset(State)


def _texts(body: Mapping[str, Json], part: str, name: str) -> list[str]:
    value = member(body, part, name)
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


def _words(text: str) -> list[str]:
    words = text.split()
    if len(words) > MAX_WORDS:
        raise AuditError(f"a search has at most {MAX_WORDS} words")
    return words


def _time(text: str, now_us: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago:
        return now_us - int(ago[1]) * _SECONDS[ago[2]] * MICROSECONDS
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        hint = "write 24h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z"
        raise AuditError(f"{text!r} is no time", hint=hint) from exc
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * MICROSECONDS)
