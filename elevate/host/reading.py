"""Reading the kernel's small files. Standard library only, and nothing of it that is slow to load."""

import os

_PART = 8192


def read_record(path: str) -> bytes:
    """Read what fits into one part of a file that the kernel makes as one record: ``stat``, ``status`` and a single number."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PART)
    finally:
        os.close(fd)


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
