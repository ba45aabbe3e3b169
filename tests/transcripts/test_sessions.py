"""Every session in a file beside this one is what a person sees."""

from pathlib import Path

import pytest

from tests.transcripts.session import read, replay

SESSIONS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.root  # in a user namespace / belongs to nobody, and a broker rightly refuses such a place
@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_session_is_as_written(path: Path, tmp_path: Path) -> None:
    """Typed again, it shows the same."""
    replay(read(path), tmp_path)


def test_there_are_sessions() -> None:
    """An empty folder proves nothing."""
    assert len(SESSIONS) >= 3
