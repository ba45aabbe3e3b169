"""One arena for nearly all attacks, and a strict one."""

from collections.abc import Iterator

import pytest

from tests.attacks.real.arena import Arena, open_arena


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    with open_arena() as made:
        yield made


@pytest.fixture(scope="session")
def strict() -> Iterator[Arena]:
    with open_arena(strict=True) as made:
        yield made
