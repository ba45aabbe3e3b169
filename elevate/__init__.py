"""Give admin to one task, once.

The public API, handed on lazily: ``import elevate`` loads nothing else.
"""

__version__ = "0.1.0"

__all__ = [
    "AsyncConnection",
    "AsyncGrant",
    "Broker",
    "Connection",
    "ElevateError",
    "Grant",
    "HandOver",
    "KindSpec",
    "Outcome",
    "Progress",
    "Receipt",
    "Task",
    "connect",
    "connect_async",
    "install",
    "invoking_user",
    "is_protected",
    "plan",
    "uninstall",
]

# The name alone tells type checkers; importing typing would cost the thin client's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from elevate.aio import AsyncConnection, AsyncGrant, connect_async
    from elevate.broker import Broker
    from elevate.errors import ElevateError
    from elevate.handover import HandOver
    from elevate.installing import install, uninstall
    from elevate.kinds import KindSpec
    from elevate.library import Connection, Grant, connect, invoking_user, is_protected
    from elevate.outcome import Outcome, Progress
    from elevate.planning import plan
    from elevate.receipt import Receipt
    from elevate.tasks import Task

_HOMES = {
    "AsyncConnection": "elevate.aio",
    "AsyncGrant": "elevate.aio",
    "Broker": "elevate.broker",
    "ElevateError": "elevate.errors",
    "HandOver": "elevate.handover",
    "KindSpec": "elevate.kinds",
    "Outcome": "elevate.outcome",
    "Progress": "elevate.outcome",
    "Receipt": "elevate.receipt",
    "Task": "elevate.tasks",
    "connect_async": "elevate.aio",
    "install": "elevate.installing",
    "plan": "elevate.planning",
    "uninstall": "elevate.installing",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        message = f"module 'elevate' has no attribute {name!r}"
        raise AttributeError(message)
    import importlib

    value: object = getattr(importlib.import_module(_HOMES.get(name, "elevate.library")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
