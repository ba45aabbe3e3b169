"""The requests that are open now: how many one user may have, how they are told to stop, how closing waits for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from elevate.audit.body import Body
from elevate.broker.cancel import Cancellation
from elevate.broker.grant import Grant
from elevate.broker.patience import Patience
from elevate.errors import BrokerError, BusyError, CancelledError, ElevateError
from elevate.ports import Cancel

MAX_OPEN_PER_UID = 16
CLOSE_SECONDS = 10
"""How long closing waits for requests that were told to stop."""


@dataclass(slots=True)
class Opened:
    """One open request, and its grant once it has one."""

    uid: int
    cancel: Cancel
    grant: Grant | None = None

    def stop(self, by: Body | None = None) -> None:
        """Tell it to stop wherever it stands; what runs is asked to end. ``by`` says in the log who asked for it."""
        if isinstance(self.cancel, Cancellation):
            self.cancel.cancel(by)
        if self.grant is not None:
            self.grant.cancel(by=by)


class OpenRequests:
    """All open requests of one broker, by id.

    Args:
        patience: With those whose requests are refused again and again.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._opened: dict[str, Opened] = {}
        self._asking: dict[int, int] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._closed = False

    def __len__(self) -> int:
        return len(self._opened)

    @contextmanager
    def admitted(self, uid: int) -> Iterator[None]:
        """Let one more request of a user in.

        Raises:
            BusyError: The user has too many, or was refused too often.
            BrokerError: The broker is stopping.
        """
        self._sweep(uid)
        self._patience.check(uid)
        with self._lock:
            if self._closed:
                raise BrokerError("the broker is stopping", hint="start it again: elevate serve")
            held = sum(one.uid == uid and one.grant is not None for one in list(self._opened.values()))
            if self._asking.get(uid, 0) + held >= MAX_OPEN_PER_UID:
                raise BusyError(f"{MAX_OPEN_PER_UID} requests of this user are open already")
            self._asking[uid] = self._asking.get(uid, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._asking[uid] -= 1
                self._idle.notify_all()

    def find(self, request: str) -> Opened | None:
        """Give an open request."""
        return self._opened.get(request)

    def grants(self) -> list[Grant]:
        """Give the grants of all open requests."""
        return [one.grant for one in list(self._opened.values()) if one.grant is not None]

    def open(self, request: str, uid: int, cancel: Cancel) -> None:
        """Note a request that begins; one that has begun while the broker was told to stop is stopped."""
        self._opened[request] = begun = Opened(uid, cancel)
        with self._lock:
            closed = self._closed
        if closed:
            begun.stop()

    def granted(self, request: str, uid: int, cancel: Cancel, grant: Grant) -> None:
        """Note that a request has its grant; it is forgotten when the grant ends.

        Raises:
            CancelledError: It was told to stop before; the token is taken back.
        """
        grant.on_end = lambda: self.forget(request)
        # SECURITY: the same object as before, and looked at after: whoever tells it to stop sees the grant, or is seen here.
        self._opened.setdefault(request, Opened(uid, cancel)).grant = grant
        if cancel.cancelled():
            grant.cancel(by=cancel.by if isinstance(cancel, Cancellation) else None)
            grant.release()
            raise CancelledError("the request was ended while its token was issued")

    def forget(self, request: str) -> None:
        """Drop a request that has ended; twice is the same as once."""
        self._opened.pop(request, None)

    def close(self) -> bool:
        """Stop all and let nobody in any more; False where that was done before."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            for one in list(self._opened.values()):
                one.stop()
            self._idle.wait_for(lambda: not any(self._asking.values()), CLOSE_SECONDS)
        for one in list(self._opened.values()):
            if one.grant is not None:
                # One that can't be ended is ended, and said, at the next start.
                with suppress(ElevateError):
                    one.grant.close()
        return True

    def _sweep(self, uid: int) -> None:
        """End the tokens of one user that nobody used in time."""
        for one in list(self._opened.values()):
            if one.uid == uid and one.grant is not None and one.grant.overdue():
                one.grant.release()
