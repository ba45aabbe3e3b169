"""A gesture that a person makes, as it reaches the one who checks it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from elevate.hello.container import PIN

Stop: TypeAlias = Callable[[], bool]
"""Says whether a sensor should give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A gesture that the person makes: a PIN's ``secret`` is wiped by whoever uses the proof."""

    gesture: str = PIN
    secret: bytearray | None = field(default=None, repr=False)
    stop: Stop = bool
