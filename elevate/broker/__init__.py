"""The story of one elevation, and the broker that tells it.

Handed on lazily: whoever wants to know where a broker lives (`elevate.broker.home`) does not load one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elevate.broker.broker import Broker
    from elevate.broker.cancel import Cancellation
    from elevate.broker.elevation import Ask, Terms
    from elevate.broker.grant import Grant
    from elevate.broker.redeeming import AtOnce
    from elevate.outcome import Outcome

__all__ = ["Ask", "AtOnce", "Broker", "Cancellation", "Grant", "Outcome", "Terms"]

_HOMES = {
    "Ask": "elevate.broker.elevation",
    "AtOnce": "elevate.broker.redeeming",
    "Broker": "elevate.broker.broker",
    "Cancellation": "elevate.broker.cancel",
    "Grant": "elevate.broker.grant",
    "Outcome": "elevate.outcome",
    "Terms": "elevate.broker.elevation",
}


def __getattr__(name: str) -> object:
    """Load a name where it is asked for the first time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
