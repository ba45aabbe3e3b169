"""A token on its way to a helper: a descriptor that the program which asked passes on, and never reads.

::

    with broker.hand_over(task, helper="contoso-updater", reason="INC-4711") as token:
        subprocess.run(["/usr/lib/contoso/updater"], stdin=token.fileno(), check=True)

or, to a helper that runs already, ``socket.send_fds(sock, [b"token"], [token.fileno()])``. There is no way here to put it into
an argument, a variable or a file.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Mapping
from typing import NoReturn, Self, cast

from elevate.canonical import Json
from elevate.errors import BrokerError, TaskInvalidError


class HandOver:
    """A token for a helper. It ends with the connection that asked, or with `release`, unless the helper was first.

    Attributes:
        request: Id of the request.
        expires_at: Unix seconds, exclusive.
        claims: What the token says.
    """

    def __init__(self, fd: int, told: Mapping[str, Json], revoke: Callable[[str], object]) -> None:
        self._fd = fd
        self._revoke = revoke
        self.request = str(told["request"])
        self.expires_at = cast("int", told["expires_at"])
        self.claims = cast("Mapping[str, Json]", told["claims"])

    def fileno(self) -> int:
        """Give the descriptor: a sealed memory file, to be read once from its beginning.

        Raises:
            ValueError: It was released.
        """
        if self._fd < 0:
            raise ValueError("the token was released")
        return self._fd

    def release(self) -> None:
        """Close the descriptor, and take the token back where the helper has not used it; twice is the same as once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            with contextlib.suppress(TaskInvalidError, BrokerError):
                self._revoke(str(self.claims["jti"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def __del__(self) -> None:
        """Close what was dropped, and say so; the token goes with the connection that asked."""
        if self._fd >= 0:
            os.close(self._fd)
            warnings.warn("a token for a helper was dropped without being released", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"HandOver(request={self.request!r}, expires_at={self.expires_at})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token stays where it is")
