"""A person at a terminal who waits for a prompt that may never come."""

import select
from typing import TypeVar

from tests.hello.pty import Asking, Person

SHOWN = "PIN: "
T = TypeVar("T")


def prompted(person: Person, asking: Asking[T]) -> bool:
    """Wait for one more prompt, or for the end of the request; say whether the prompt came."""
    before = person.reads_on().count(SHOWN)
    while asking.is_alive() and person.reads_on().count(SHOWN) == before:
        select.select([], [], [], 0.01)
    return person.reads_on().count(SHOWN) > before
