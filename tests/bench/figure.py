"""One measured figure, and how figures are taken: the median of several runs."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the bench: our value, the peer's, and their ratio (ours / peer's)."""

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's; None where there is no peer."""
        return self.value / self.peer_value if self.peer_value else None


def median(measure: Callable[[], float], *, runs: int = 5) -> float:
    """Run ``measure`` several times and give the median of what it returns."""
    return statistics.median(measure() for _ in range(runs))
