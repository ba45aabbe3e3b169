"""Whether the steps of each request follow on one another as the lifecycle has them.

Hashes and signatures say that a log is as it was written, not that a broker wrote it: whoever has the log's key can write a
second redemption that is as good as any entry.
"""

from collections.abc import Iterable

from elevate.audit.entry import Entry
from elevate.lifecycle import TRANSITIONS, State

_STATES = {state.value: state for state in State}


class Order:
    """Follows requests, entry by entry.

    Attributes:
        cut: By request, the first step that was seen of one whose beginning was not.
    """

    def __init__(self) -> None:
        self.cut: dict[str, Entry] = {}
        self._stands: dict[str, State] = {}

    def feed(self, entry: Entry) -> str:
        """Take in an entry; say what is wrong with it, as far as that is known by those before it."""
        state = _STATES.get(entry.event)
        if state is None:
            return ""
        before = self._stands.get(entry.request)
        self._stands[entry.request] = state
        if before is None and state is not State.REQUESTED:
            self.cut[entry.request] = entry
        return _said(before, state) if before is not None else ""


def beginning(entry: Entry, life: Iterable[Entry]) -> str:
    """Say what is wrong with one of `Order.cut`, by its whole request; of one of which nothing is known, nothing."""
    steps = [one for one in life if one.event in _STATES]
    before = [one for one in steps if one.seq < entry.seq]
    if before:
        return _said(_STATES[before[-1].event], _STATES[entry.event])
    return f"{entry.event}, and nobody asked for it: it was pruned, or never written" if steps else ""


def _said(before: State, after: State) -> str:
    return "" if after in TRANSITIONS.get(before, frozenset()) else f"{after} after {before}: no request goes that way"
