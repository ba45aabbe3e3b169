"""One daemon for all tests of a module that leave it as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon")) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own, to be stopped, killed or misused."""
    with Daemon(tmp_path) as made:
        yield made
