"""The receipt for a task that has ended: kept in the ledger's row, bounded, and given to its requester."""

from collections.abc import Sequence
from dataclasses import asdict

from elevate import canonical
from elevate.canonical import MAX_INTEGER, Json
from elevate.model import AdminIdentity, Agreement, Ended, Written
from elevate.ports import Record
from elevate.text import escape

MAX_BYTES = 2**20
SHORT_BYTES = 2**12
"""What is listed where only the room is left that the ledger keeps for ends."""


def receipt_of(
    record: Record, agreement: Agreement, identity: AdminIdentity, ended: Ended, *, size_bytes: int = MAX_BYTES
) -> dict[str, Json]:
    """Say what ran, as whom, how it ended and what it wrote; the list is cut at ``size_bytes``, the count is whole."""
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
        "written": _listed(ended.written, size_bytes),
        "written_count": len(ended.written),
    }


def _listed(written: Sequence[Written], size_bytes: int) -> list[Json]:
    listed: list[Json] = []
    for one in written:
        # A sparse file can be larger than a number in canonical JSON.
        shown: Json = asdict(one) | {"size": min(one.size, MAX_INTEGER)}
        size_bytes -= len(canonical.encode(shown))  # a control character takes six bytes
        if size_bytes < 0:
            break
        listed.append(shown)
    return listed
