"""What is known of a request by the time of one of its entries: later entries do not repeat what earlier ones said."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from elevate.audit.entry import Entry
from elevate.canonical import Json
from elevate.lifecycle import State

MAX_REQUESTS = 10_000
_ASKS = frozenset({State.REQUESTED.value, State.ISSUED.value})
"""Whoever acts in these is whose request it is; in the others somebody else may act."""

Look = Callable[[str], Iterable[Entry]]
"""Gives the entries of a request, opened."""


class Context:
    """Merges the bodies of each request's entries, for entries that come in order.

    Args:
        look: Asked once for a request that was not met before; entries from the one at hand on are left out.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._known: OrderedDict[str, dict[str, Json]] = OrderedDict()

    def feed(self, entry: Entry) -> Mapping[str, Json]:
        """Take in an entry; give all that its request has said up to it."""
        if not entry.request:
            return entry.body
        known = self._of(entry)
        asker = known.get("actor")
        _merge(known, entry.body)
        # A copy: what later entries say is none of this one's, whenever it is written.
        shown = dict(known)
        if asker is not None and entry.event not in _ASKS:
            known["actor"] = asker
        return shown

    def before(self, entry: Entry) -> Mapping[str, Json]:
        """Give what an entry's request had said before it, where nothing of it was taken in yet."""
        return dict(self._of(entry))

    def _of(self, entry: Entry) -> dict[str, Json]:
        if entry.request not in self._known:
            self._known[entry.request] = {}
            for earlier in self._look(entry.request):
                if earlier.seq < entry.seq:
                    self.feed(earlier)
            if len(self._known) > MAX_REQUESTS:
                self._known.popitem(last=False)
        return self._known[entry.request]


def _merge(known: dict[str, Json], body: Mapping[str, Json]) -> None:
    for part, value in body.items():
        before = known.get(part)
        known[part] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
