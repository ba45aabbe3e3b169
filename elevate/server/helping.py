"""What helpers of others call, and how a token leaves: by a sealed memory file, and by nothing else.

A helper's task is bound to its connection: one that leaves before it has reported ends with an unknown outcome.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

from elevate.errors import TaskInvalidError
from elevate.host.sealed import seal
from elevate.lifecycle import State
from elevate.server.call import Call

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
    call.parameters.end()
    redeemed = call.broker.redeem(token, redeem_id, call.connection.peer.facts())
    call.connection.carry(redeemed)
    call.answer({"state": State.RUNNING.value, "request": redeemed.request, **redeemed.told()})


def _finish_token(call: Call) -> None:
    request = call.parameters.text("request", max_chars=64)
    status = call.parameters.number("exit_status", least=0, most=MAX_STATUS)
    call.parameters.end()
    redeemed = call.connection.carried(request)
    if redeemed is None:
        raise TaskInvalidError("this connection carries out no such task", hint="report on the connection that redeemed it")
    if status is None:
        redeemed.leave()
        call.answer({"state": State.OUTCOME_UNKNOWN.value, "request": request})
        return
    call.answer({"state": State.DESTROYED.value, "request": request, "outcome": dict(redeemed.finish(status))})


METHODS: Mapping[str, Callable[[Call], None]] = {"Keys": _keys, "RedeemToken": _redeem_token, "FinishToken": _finish_token}
