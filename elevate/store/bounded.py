"""Files that somebody names on the command line: read whole, and never without a bound."""

import errno
from pathlib import Path

MEGABYTE = 2**20


def read_at_most(path: Path, megabytes: int) -> bytes:
    """Read a file of so many megabytes at most.

    Raises:
        OSError: It can't be read, or is longer; ``strerror`` says so.
    """
    limit = megabytes * MEGABYTE
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is over {megabytes} MB", str(path))
    return data
