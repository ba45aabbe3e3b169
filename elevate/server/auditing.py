"""The methods on the log: read their parameters, ask the broker's logbook as whoever the kernel says asks, answer."""

from collections.abc import Callable, Mapping
from contextlib import closing

from elevate.broker.asking import MAX_LINES, MAX_PAGE_ENTRIES, MAX_WORDS_CHARS, PAGE_ENTRIES, Asked
from elevate.broker.logbook import MAX_NAME_CHARS
from elevate.canonical import MAX_INTEGER
from elevate.server.call import Call
from elevate.server.interface import ServiceError

_MAX_CURSOR = 128
_MAX_SUBJECT = 256


def show(call: Call) -> None:
    """Answer with one request's life."""
    name, mine = call.parameters.text("id", max_chars=MAX_NAME_CHARS), call.parameters.flag("mine")
    call.parameters.end()
    call.answer(call.broker.logbook.show(name, call.requester(), mine=mine, answers=call.connection.peer.owner))


def prove(call: Call) -> None:
    """Answer with a proof."""
    position, mine = call.parameters.number("position", least=0, most=MAX_INTEGER), call.parameters.flag("mine")
    call.parameters.end()
    if position is None:
        raise ServiceError("InvalidParameter", "parameter", "position")
    call.answer(call.broker.logbook.prove(position, call.requester(), mine=mine, answers=call.connection.peer.owner))


def checkpoint(call: Call) -> None:
    """Answer with a checkpoint, or with what leads from one size to another."""
    old, new = (call.parameters.number(name, least=0, most=MAX_INTEGER) for name in ("old", "new"))
    call.parameters.end()
    if (old is None) is not (new is None):
        raise ServiceError("InvalidParameter", "parameter", "old" if old is None else "new")
    call.answer(call.broker.logbook.checkpoint(old, new, call.requester(), answers=call.connection.peer.owner))


def search(call: Call) -> None:
    """Answer with one page."""
    given = call.parameters
    asked = Asked(
        words=given.text("words", max_chars=MAX_WORDS_CHARS, default=""),
        position=given.number("position", least=0, most=MAX_INTEGER),
        oldest_first=given.flag("oldest_first"),
        limit=given.number("limit", least=1, most=MAX_PAGE_ENTRIES) or PAGE_ENTRIES,
        context=given.flag("context"),
        mine=given.flag("mine"),
        cursor=given.text("cursor", max_chars=_MAX_CURSOR, default=""),
    )
    given.end()
    call.answer(call.broker.logbook.search(asked, call.requester(), answers=call.connection.peer.owner))


def follow(call: Call) -> None:
    """Answer with what comes, until the caller leaves."""
    given = call.parameters
    asked = Asked(
        words=given.text("words", max_chars=MAX_WORDS_CHARS, default=""),
        position=given.number("position", least=0, most=MAX_INTEGER),
        lines=given.number("lines", least=0, most=MAX_LINES) or 0,
        context=given.flag("context"),
        mine=given.flag("mine"),
        oldest_first=True,
    )
    given.end()
    at = asked.position or 0
    peer, hangup = call.connection.peer, call.connection.hangup
    told = call.broker.logbook.follow(asked, call.requester(), cancel=hangup, answers=peer.owner, again=call.requester)
    with closing(told) as pages:
        for page in pages:
            if not call.request.more:
                call.answer(page)
                return
            call.progress(page)
            at = page["next"] if isinstance(page["next"], int) else at
    call.answer({"entries": [], "next": at})


def erase(call: Call) -> None:
    """Erase a person."""
    subject = call.parameters.text("subject", max_chars=_MAX_SUBJECT)
    call.parameters.end()
    call.answer(call.broker.care.erase(subject, call.requester()))


def prune(call: Call) -> None:
    """Archive what is old."""
    archive = call.descriptor("archive_fd")
    before = call.parameters.number("before", least=0, most=MAX_INTEGER)
    call.parameters.end()
    if archive is None or before is None:
        raise ServiceError("InvalidParameter", "parameter", "before" if before is None else "archive_fd")
    call.answer(call.broker.care.prune(before, archive, call.requester()))


def rotate_key(call: Call) -> None:
    """Take a new log key."""
    call.parameters.end()
    call.answer(call.broker.care.rotate_key(call.requester()))


METHODS: Mapping[str, Callable[[Call], None]] = {
    "AuditShow": show,
    "AuditProve": prove,
    "AuditCheckpoint": checkpoint,
    "AuditSearch": search,
    "AuditFollow": follow,
    "AuditErase": erase,
    "AuditPrune": prune,
    "AuditRotateKey": rotate_key,
}
