"""Reading the kernel's small files. Standard library only, and nothing of it that is slow to load."""

import os

_PART = 8192


def read(path: str) -> bytes:
    """Read a small file of the kernel's whole."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(fd, _PART)]
        while parts[-1]:
            parts.append(os.read(fd, _PART))
        return b"".join(parts)
    finally:
        os.close(fd)
