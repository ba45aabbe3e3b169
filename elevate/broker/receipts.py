"""The receipt for a task that has ended: kept in the ledger's row, bounded, and given to its requester."""

from collections.abc import Sequence
from dataclasses import asdict

from elevate.canonical import MAX_INTEGER, Json
from elevate.model import AdminIdentity, Agreement, Ended, Written
from elevate.ports import Record
from elevate.text import escape

MAX_CHARS = 2**20
SHORT_CHARS = 2**12
"""What is listed where only the room is left that the ledger keeps for ends."""
_ONE_CHARS = 160
"""More than one thing that was written takes besides its path."""


def receipt_of(
    record: Record, agreement: Agreement, identity: AdminIdentity, ended: Ended, *, chars: int = MAX_CHARS
) -> dict[str, Json]:
    """Say what ran, as whom, how it ended and what it wrote; the list is cut at ``chars``, the count is whole."""
    return {
        "request": record.request,
        "session": record.session,
        "user": agreement.requester.user,
        "identity": {"name": identity.name, "sid": identity.sid},
        "task": agreement.task.task.display(),
        "host": record.host,
        "exit_status": ended.exit_status,
        "signal": ended.signal,
        "timed_out": ended.timed_out,
        "duration_ms": ended.duration_ms,
        "watched": [escape(one) for one in ended.watched],
        "written": _listed(ended.written, chars),
        "written_count": len(ended.written),
    }


def _listed(written: Sequence[Written], chars: int) -> list[Json]:
    listed: list[Json] = []
    for one in written:
        chars -= len(one.path) + _ONE_CHARS
        if chars < 0:
            break
        # A sparse file can be larger than a number in canonical JSON.
        listed.append(asdict(one) | {"size": min(one.size, MAX_INTEGER)})
    return listed
