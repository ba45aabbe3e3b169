"""Bytes in, frames out: one JSON object and a NUL byte each. Pure.

Source: https://varlink.org/Method-Call; attacks.md row 36.
"""

from elevate.errors import ProtocolError

MAX_FRAME = 65_536
"""Bytes of one frame with its NUL."""


class Frames:
    """Cuts a stream into frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read; give the frames that are whole now, without their NUL.

        Raises:
            ProtocolError: A frame is over `MAX_FRAME`.
        """
        self._buffer += data
        *whole, rest = bytes(self._buffer).split(b"\0")
        self._buffer[:] = rest
        if len(rest) >= MAX_FRAME or any(len(frame) >= MAX_FRAME for frame in whole):
            raise ProtocolError(f"a message is over {MAX_FRAME} bytes")
        return whole
