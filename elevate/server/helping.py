"""What helpers of others call, and how a token leaves: by a sealed memory file, and by nothing else.

A helper's task is bound to its connection: one that leaves before it has reported ends with an unknown outcome.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

from elevate.canonical import Json
from elevate.errors import ElevateError, TaskInvalidError
from elevate.host.sealed import seal
from elevate.lifecycle import State
from elevate.server import interface
from elevate.server.call import Call
from elevate.server.surface import Redeemed

MAX_TOKEN_CHARS = 32_768
MAX_STATUS = 255


@contextlib.contextmanager
def descriptor_of(token: str) -> Iterator[int]:
    """Give a sealed memory file with a token, at its beginning; it is closed here when it was sent."""
    fd = seal(token.encode())
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _keys(call: Call) -> None:
    call.parameters.end()
    call.answer(call.broker.keys())


def _redeem_token(call: Call) -> None:
    token = call.parameters.text("token", max_chars=MAX_TOKEN_CHARS)
    redeem_id = call.parameters.text("redeem_id", max_chars=64)
    descriptors = call.parameters.flag("descriptors")
    call.parameters.end()
    redeemed = call.broker.redeem(token, redeem_id, call.connection.peer.facts())
    call.connection.carry(redeemed)
    if call.request.more:
        redeemed.listen(lambda: None)  # a cancellation that comes now is told behind the first reply
    told: dict[str, Json] = {"state": State.RUNNING.value, "request": redeemed.request, **redeemed.told()}
    with _input_of(redeemed, wanted=descriptors) as fds:
        told |= {"input_fd": 0} if fds else {}
        if not call.request.more:
            call.answer(told, fds)
            return
        call.progress(told, fds)
    cancelled: dict[str, Json] = {"state": State.CANCELLED.value, "request": redeemed.request}
    redeemed.listen(lambda: call.connection.tell(cancelled, continues=True))


@contextlib.contextmanager
def _input_of(redeemed: Redeemed, *, wanted: bool) -> Iterator[tuple[int, ...]]:
    """Give what travels beside the answer; it is closed here when it was sent."""
    fd = redeemed.open_input() if wanted else None
    try:
        yield () if fd is None else (fd,)
    finally:
        if fd is not None:
            os.close(fd)


def _finish_token(call: Call) -> None:
    request = call.parameters.text("request", max_chars=64)
    status = call.parameters.number("exit_status", least=0, most=MAX_STATUS)
    call.parameters.end()
    redeemed = call.connection.carried(request)
    if not call.request.oneway:
        call.answer(_finished(redeemed, status))
        return
    # The redemption asked for more: how it ended is the last of its replies.
    try:
        call.connection.tell(_finished(redeemed, status))
    except ElevateError as error:
        call.connection.send(interface.failure(error))


def _finished(redeemed: Redeemed | None, status: int | None) -> dict[str, Json]:
    if redeemed is None:
        raise TaskInvalidError("this connection carries out no such task", hint="report on the connection that redeemed it")
    redeemed.listen(lambda: None)  # nothing is told behind the last reply
    if status is None:
        redeemed.leave()
        return {"state": State.OUTCOME_UNKNOWN.value, "request": redeemed.request}
    return {"state": State.DESTROYED.value, "request": redeemed.request, "outcome": dict(redeemed.finish(status))}


METHODS: Mapping[str, Callable[[Call], None]] = {"Keys": _keys, "RedeemToken": _redeem_token, "FinishToken": _finish_token}
