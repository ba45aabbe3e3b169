"""What a step does to a row: the one rule that every store follows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise

import orjson

from elevate import canonical
from elevate.canonical import Json
from elevate.errors import StoreError
from elevate.lifecycle import State, check_step
from elevate.ports import Record, Step

_FIXED = frozenset({"request", "state", "position"})
COLUMNS = tuple(field.name for field in fields(Record))
_STATE, _RESULT = COLUMNS.index("state"), COLUMNS.index("result")
BLANK: Mapping[str, str | int] = {
    "user": "",
    "uid": -1,
    "session": "",
    "host": "",
    "epoch": "",
    "request_digest": "",
    "expires_at": 0,
    "deadline_ns": 0,
    "redeem_id": "",
    "result": "{}",
}
"""What an erasure leaves of a row; what is not named here stays as it is."""
_TYPES = {name: int if name in {"uid", "expires_at", "deadline_ns"} else str for name in COLUMNS} | {"result": Mapping}


def check(step: Step, *then: Step) -> None:
    """Refuse a step that no row could take, and steps that do not follow on one another.

    Raises:
        TransitionError: The lifecycle has no such step.
        StoreError: A field is no column, may not change, or has the wrong type; or a step is not one that follows.
    """
    _check(step)
    for before, after in pairwise((step, *then)):
        _check(after)
        if (before.request, before.after, before.epoch) != (after.request, after.before, after.epoch):
            raise StoreError("a step does not follow on the one before it")


def _check(step: Step) -> None:
    check_step(step.before, step.after)
    for name, value in step.fields.items():
        if name not in _TYPES or name in _FIXED:
            raise StoreError(f"a step can't set {name}")
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise StoreError(f"the column {name} can't hold {type(value).__name__}")
    if "result" in step.fields:
        try:
            canonical.encode(step.fields["result"])
        except ValueError as exc:
            raise StoreError(f"the result can't be kept: {exc}") from exc


def expected(row: Record, step: Step) -> bool:
    """Compare: say whether a row is as a step expects it."""
    return row.state is step.before and step.epoch in {"", row.epoch}


def advanced(row: Record, position: int, *steps: Step) -> Record:
    """Set: give a row after steps.

    Args:
        row: As the first step expects it.
        position: Where the first step's entry would stand.
        steps: Checked before by `check`.
    """
    changes: dict[str, Json | Mapping[str, Json]] = {}
    for place, step in enumerate(steps, position):
        changes |= step.fields
        changes["state"] = step.after
        if step.after is State.ISSUED:
            changes["position"] = place
    return replace(row, **changes) if changes else row  # type: ignore[arg-type]  # `check` has compared the types


def values_of(row: Record) -> list[str | int]:
    """Give a row as it is kept, in the order of `COLUMNS`."""
    values = [getattr(row, name) for name in COLUMNS]
    values[_STATE] = str(row.state)
    values[_RESULT] = canonical.encode(row.result).decode() if row.result else "{}"
    return values


def digest(values: Sequence[str | int]) -> str:
    """Give what an entry says of the row that it leaves: the SHA-256 over all columns, in hexadecimal.

    The session id, 128 random bits, is its salt: once that is erased nothing can be guessed from it.
    """
    return hashlib.sha256(orjson.dumps(values)).hexdigest()


def check_new(row: Record, *then: Step) -> None:
    """Refuse a row that does not begin where every request begins, and steps that do not follow on it.

    Raises:
        TransitionError: As `check`.
        StoreError: It is in another state; or as `check`.
    """
    if row.state is not State.REQUESTED:
        raise StoreError(f"a request begins as requested, not as {row.state}")
    if then:
        check(*then)
        if (then[0].request, then[0].before) != (row.request, row.state) or then[0].epoch not in {"", row.epoch}:
            raise StoreError("a step does not follow on the one before it")


def missing(request: str) -> StoreError:
    """Give the error for a request that the ledger does not have."""
    return StoreError(f"the ledger has no request {request}")


def taken(request: str) -> StoreError:
    """Give the error for a request that is there already."""
    return StoreError(f"the ledger has the request {request} already")
