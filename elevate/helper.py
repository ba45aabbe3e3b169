"""For privileged helpers of others: take a token by descriptor, verify it offline, redeem it once, do the task, report its end.

::

    token = read_token()                              # standard input; or read_token(fd) of a descriptor that was passed on
    claims = Verifier(fetch_keys(), audience="helper:contoso-updater").verify(token)
    with redeem(token) as task:                       # one call, one use; a second one raises TokenSpentError
        carry_out(task.argv)                          # task.task is exactly what the person agreed to

Verifying says that this broker made the token for this helper, and that it is in its time. Whether it was used before only the
broker knows: do nothing before `redeem`. What leaves the ``with`` block by an exception is reported as exit status 1.

Rules for whoever writes a helper: a token comes by a pipe, a socket or a sealed memory file. One that came in an argument, in
the environment or in a file on a disk is refused, because others may have read it there.
"""

import contextlib
import fcntl
import os
import secrets
import select
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, cast

from elevate.asking import HELPER, outcome_of
from elevate.canonical import Json
from elevate.errors import TokenError
from elevate.lifecycle import State
from elevate.outcome import Outcome
from elevate.token import Claims, Expected, verify
from elevate.token.keyset import read_jwks
from elevate.wire import Wire, place

__all__ = ["Claims", "Keys", "Redeemed", "Token", "Verifier", "fetch_keys", "read_token", "redeem"]

MAX_TOKEN_BYTES = 32_768
READ_SECONDS = 10.0
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_HINT = "pass it on by a pipe, a socket or the sealed memory file that it came in"


class Token:
    """A token that was read; shows nothing of itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token stays in its process")


class Keys:
    """A broker's public token keys, and its name as an issuer.

    Args:
        jwks: The key set (RFC 7517).
        issuer: Name of the broker in its tokens.

    Raises:
        TokenError: The set is not exactly one of Ed25519 signing keys under their own thumbprints.
    """

    def __init__(self, jwks: Mapping[str, Json], issuer: str) -> None:
        self.public = read_jwks(jwks)
        self.issuer = issuer


class Verifier:
    """Checks tokens with no broker at hand.

    Args:
        keys: From `fetch_keys`. The broker makes a new key at each start: where a token does not verify, get them again once.
        audience: This helper's own: ``helper:NAME``.

    Raises:
        TokenError: The audience is none of a helper.
    """

    def __init__(self, keys: Keys, *, audience: str) -> None:
        if not audience.startswith(HELPER) or audience == HELPER:
            raise TokenError("a helper's audience is helper:NAME", hint="the name that the broker's settings pin")
        self._keys = keys
        self._audience = audience

    def verify(self, token: Token, *, now: int | None = None) -> Claims:
        """Check a token against everything that a helper can know.

        ``claims.binding`` is the process to which the token was issued; a helper that is asked over a socket can compare it
        with its peer.

        Args:
            token: From `read_token`.
            now: Unix seconds; the machine's clock if not given.

        Raises:
            TokenError: Anything is not exactly as it must be.
            TokenExpiredError: All is well but its time is over.
        """
        expected = Expected(iss=self._keys.issuer, aud=self._audience, epoch=None, request_digest=None, binding=None)
        now = int(time.clock_gettime(time.CLOCK_REALTIME)) if now is None else now
        return verify(token._text, self._keys.public, expected, now=now)  # noqa: SLF001 - our own


class Redeemed:
    """A task that this process carries out now; the token is used up.

    Attributes:
        request: Id of the request.
        claims: What the token said.
        task: What the person agreed to: ``kind``, ``params``, ``argv``, ``cwd``, ``file``, ``payload`` (its digest), ``facts``.
        requester: ``user``, ``sid`` and ``uid`` of who asked.
        reason: Why.
        time_limit_seconds: Within this its end must be reported; later the outcome counts as unknown.
        stdin: Descriptor of the input that was agreed to, a sealed memory file at its beginning; `subprocess.DEVNULL` where
            there is none. It is closed with the task.
    """

    def __init__(self, wire: Wire, told: Mapping[str, object]) -> None:
        self._wire = wire
        self._outcome: Outcome | None = None
        self._cancelled = False
        self.stdin = wire.take_fds(1)[0] if told.get("input_fd") is not None else subprocess.DEVNULL
        self.request = str(told["request"])
        self.claims = cast("Mapping[str, Json]", told["claims"])
        self.task = cast("Mapping[str, Json]", told["task"])
        self.requester = cast("Mapping[str, Json]", told["requester"])
        self.reason = str(told["reason"])
        self.time_limit_seconds = cast("int", told["time_limit_seconds"])

    @property
    def argv(self) -> tuple[str, ...]:
        """The command, where the task is one; its first word is the real path."""
        return tuple(str(word) for word in cast("list[Json]", self.task["argv"]))

    def fileno(self) -> int:
        """Give a descriptor that turns readable when there is news: a cancellation, or the end of the broker."""
        return self._wire.socket.fileno()

    def cancelled(self, wait_seconds: float = 0) -> bool:
        """Say whether the request was cancelled: then stop what was begun, and report within five seconds.

        Args:
            wait_seconds: How long to wait for that.

        Raises:
            BrokerError: The broker has gone; its log says that the outcome is unknown.
        """
        if not self._cancelled and self._outcome is None and self._has_news(wait_seconds):
            told, _ = self._wire.receive()
            self._cancelled = told.get("state") == State.CANCELLED
        return self._cancelled

    def _has_news(self, wait_seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return self._wire.buffered or bool(poll.poll(wait_seconds * 1000))

    def finish(self, exit_status: int = 0) -> Outcome:
        """Report how it ended, 0 to 255; a second call changes nothing.

        Raises:
            TaskInvalidError: The broker no longer waits for it.
            BrokerError: The broker has gone; its log says that the outcome is unknown.
        """
        if self._outcome is None:
            try:
                self._wire.send("FinishToken", {"request": self.request, "exit_status": exit_status}, flag="oneway")
                told, continues = self._wire.receive()
                while continues:  # a cancellation that was told meanwhile
                    told, continues = self._wire.receive()
            finally:
                self._close()
            self._outcome = outcome_of(told)
        return self._outcome

    def _close(self) -> None:
        self._wire.close()
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = subprocess.DEVNULL

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
            return
        with contextlib.suppress(Exception):  # the task's own error is what counts
            self.finish(1)


def read_token(fd: int = 0, *, timeout_seconds: float = READ_SECONDS) -> Token:
    """Read a token to the end of a descriptor, standard input if not given; the descriptor stays open.

    Args:
        fd: Of a pipe, a socket or a sealed memory file; the last is read from its beginning, wherever it stands.
        timeout_seconds: How long whoever passes it on may take.

    Raises:
        TokenError: It is no token, came in a way in which others may have read it, or did not come in time.
    """
    data = os.pread(fd, MAX_TOKEN_BYTES + 1, 0) if _is_sealed(fd) else _read(fd, timeout_seconds)
    text = data.strip()
    if not text or len(text) > MAX_TOKEN_BYTES or not text.isascii() or text.count(b".") != 2:  # noqa: PLR2004 - three parts
        raise TokenError("what was passed on is not a token", hint=_HINT)
    # SECURITY: arguments and environment can be read by others, and outlive the token (attacks.md row 15).
    for place_ in ("/proc/self/cmdline", "/proc/self/environ"):
        if text in Path(place_).read_bytes():
            raise TokenError("the token is in this process's arguments or environment", hint=_HINT)
    return Token(text.decode())


def _is_sealed(fd: int) -> bool:
    """Say whether it is a sealed memory file; else it must be a pipe or a socket."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode) and fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS:
            return True
    except OSError:
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise TokenError("a token comes by a pipe, a socket or a sealed memory file", hint=_HINT)
    return False


def _read(fd: int, timeout_seconds: float) -> bytes:
    ends_at = time.monotonic() + timeout_seconds
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = bytearray()
    while len(data) <= MAX_TOKEN_BYTES:
        if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
            raise TokenError("the token did not come in time", hint="close the pipe behind it")
        chunk = os.read(fd, MAX_TOKEN_BYTES + 1 - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def fetch_keys(path: str | os.PathLike[str] | None = None) -> Keys:
    """Get the keys of the machine's broker.

    Args:
        path: Of a socket where this user's own broker listens, for tests; the fixed place if not given.

    Raises:
        NoBrokerError: Nobody listens.
        BrokerUntrustedError: Somebody else listens.
    """
    wire = _connect(path)
    try:
        wire.send("Keys", {})
        told, _ = wire.receive()
    finally:
        wire.close()
    return Keys(cast("Mapping[str, Json]", told["keys"]), str(told["issuer"]))


def redeem(token: Token, *, path: str | os.PathLike[str] | None = None) -> Redeemed:
    """Use a token, once: from now on this process carries the task out.

    Args:
        token: From `read_token`.
        path: As for `fetch_keys`.

    Raises:
        TokenSpentError: It was used before.
        TokenExpiredError: Its time is over.
        TokenRevokedError: It was taken back.
        TokenError: It is not good here, or this is not the program that root pinned.
        BrokerError: The broker can't be reached, or has gone; then do nothing.
    """
    wire = _connect(path)
    try:
        asked = {"token": token._text, "redeem_id": secrets.token_hex(16), "descriptors": True}  # noqa: SLF001 - our own
        wire.send("RedeemToken", asked, flag="more")
        told, _ = wire.receive()
        return Redeemed(wire, told)
    except BaseException:
        wire.close()
        raise


def _connect(path: str | os.PathLike[str] | None) -> Wire:
    where, uid = (os.fspath(path), os.getuid()) if path is not None else place()
    return Wire(where, uid)
