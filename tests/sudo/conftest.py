"""One place for all tests of sudo's behaviours; each behaviour is tried on `elevate run` and, as an oracle, on real sudo."""

from collections.abc import Iterator

import pytest

from tests.sudo.place import Place, Way, open_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with open_place(tmp_path_factory.mktemp("sudo")) as made:
        yield made


@pytest.fixture(params=["elevate", "sudo"])
def way(place: Place, request: pytest.FixtureRequest) -> Way:
    """Both ways: what a test says of it is the same for both."""
    return Way(request.param, place)


@pytest.fixture
def elevate(place: Place) -> Way:
    return Way("elevate", place)


@pytest.fixture
def sudo(place: Place) -> Way:
    """Real sudo, for what differs; the first use skips the rest of the test where it is not installed."""
    return Way("sudo", place)
