"""Frames are cut at NUL, whatever the pieces, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.errors import ProtocolError
from elevate.server.frames import MAX_FRAME, Frames


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"x")), max_size=8), st.integers(1, 17))
def test_pieces_do_not_matter(whole: list[bytes], size: int) -> None:
    """However a stream is cut into pieces, the same frames come out."""
    stream = b"".join(frame + b"\0" for frame in whole)
    frames = Frames()
    heard = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
    assert heard == whole
    assert not frames.unfinished


def test_longest_frame_passes_and_one_more_byte_does_not() -> None:
    """The bound counts the NUL, for whole frames and for unfinished ones."""
    assert Frames().feed(b"x" * (MAX_FRAME - 1) + b"\0") == [b"x" * (MAX_FRAME - 1)]
    with pytest.raises(ProtocolError, match="over 65536 bytes"):
        Frames().feed(b"x" * MAX_FRAME + b"\0")
    with pytest.raises(ProtocolError, match="over 65536 bytes"):
        Frames().feed(b"x" * MAX_FRAME)
