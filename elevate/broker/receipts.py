"""The receipt for a task that has ended: kept in the ledger's row, bounded, and given to its requester."""

from collections.abc import Iterable
from dataclasses import asdict

from elevate import canonical
from elevate.broker.undoing import undo_of
from elevate.canonical import MAX_INTEGER, Json
from elevate.model import AdminIdentity, Agreement, Allow, Ended, InspectedTask, Written, mode_of, run_as_of
from elevate.ports import Record
from elevate.text import escape

MAX_BYTES = 2**20
SHORT_BYTES = 2**12
"""What is listed where only the room is left that the ledger keeps for ends."""
_SHORT_CHARS = 64


def receipt_of(
    record: Record, agreement: Agreement, identity: AdminIdentity, ended: Ended, *, size_bytes: int = MAX_BYTES
) -> dict[str, Json]:
    """Say what ran, as whom, how it ended, what it wrote, and what would take it back.

    The lists are cut at half of ``size_bytes`` each, the counts are whole.
    """
    written, undo = _written(agreement, ended), list(undo_of(agreement, ended))
    return {
        "request": record.request,
        "session": record.session,
        "user": agreement.requester.user,
        "identity": {"name": identity.name, "sid": identity.sid},
        "run_as": run_as_of(agreement.task),
        "task": _shown(agreement.task.task.display(), size_bytes),
        "host": record.host,
        "exit_status": ended.exit_status,
        "signal": ended.signal,
        "timed_out": ended.timed_out,
        "duration_ms": ended.duration_ms,
        **({"problem": ended.problem} if ended.problem and not ended.steps else {}),
        "watched": [escape(one) for one in ended.watched],
        **({"steps": [_step(record, agreement, one, size_bytes) for one in ended.steps]} if ended.steps else {}),
        "written": _listed(written, size_bytes // 2),
        "written_count": len(written),
        "undo": _listed(undo, size_bytes // 2),
        "undo_count": len(undo),
    }


def _step(record: Record, agreement: Agreement, ended: Ended, size_bytes: int) -> Json:
    task, decided = agreement.steps[ended.step - 1]
    return {
        "step": ended.step,
        "task": _shown(task.task.display(), size_bytes),
        "kind": task.task.kind,
        "as": _as_whom(task, decided, emulated=record.host.startswith("emulated:")),
        "undo": ended.step > len(agreement.steps) - agreement.task.task.undo,
        "problem": ended.problem,
        "exit_status": ended.exit_status,
        "signal": ended.signal,
        "timed_out": ended.timed_out,
        "duration_ms": ended.duration_ms,
        "written_count": len(ended.written),
    }


def _as_whom(task: InspectedTask, decided: Allow, *, emulated: bool) -> str:
    """Say whose rights a step had: ``account``, ``root``, or the user that a rule let it run as."""
    # What a real machine does itself, a package or a file of its own, it does as uid 0.
    default = "account" if emulated or task.task.own or task.task.kind == "process.run" else "root"
    return str(dict(task.facts).get("run_as") or dict(decided.obligations.extra).get("identity", default))


def _shown(text: str, size_bytes: int) -> str:
    return text if size_bytes > SHORT_BYTES else text[:_SHORT_CHARS]


def _written(agreement: Agreement, ended: Ended) -> list[dict[str, Json]]:
    """Give what was written, in order; of several steps with the number of the one that did it."""
    tasks = [task for task, _ in agreement.steps]
    if not ended.steps:
        return [_one(written, tasks[0]) for written in ended.written]
    return [{"step": one.step, **_one(written, tasks[one.step - 1])} for one in ended.steps for written in one.written]


def _one(written: Written, task: InspectedTask) -> dict[str, Json]:
    agreed = {"mode": mode_of(task)} if task.task.kind == "file.write" and task.file and task.file.path == written.path else {}
    # A sparse file can be larger than a number in canonical JSON.
    return {**asdict(written), "size": min(written.size, MAX_INTEGER), **agreed}


def _listed(members: Iterable[dict[str, Json]], size_bytes: int) -> list[Json]:
    listed: list[Json] = []
    for one in members:
        size_bytes -= len(canonical.encode(one))  # a control character takes six bytes
        if size_bytes < 0:
            break
        listed.append(one)
    return listed
