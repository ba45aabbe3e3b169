"""The life of one request, as one table.

Every arrow is one audit entry, durable in one commit with the step itself. A step that is not in the table raises
`TransitionError` and changes nothing. The states up to `ISSUED` end in exactly one authorisation outcome (Windows events 15031
and 15032); what becomes of the token afterwards is a second record.
"""

from enum import StrEnum
from types import MappingProxyType

from elevate.errors import TransitionError


class State(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    DENIED = "denied"
    PROMPTING = "prompting"
    DECLINED = "declined"
    TIMED_OUT = "timed-out"
    LOCKED_OUT = "locked-out"
    CANCELLED = "cancelled"
    FAILED = "failed"
    AWAITING_APPROVAL = "awaiting-approval"
    ISSUED = "issued"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REDEEMED = "redeemed"
    RUNNING = "running"
    DESTROYED = "destroyed"
    OUTCOME_UNKNOWN = "outcome-unknown"
    CLEANUP_FAILED = "cleanup-failed"


_S = State

TRANSITIONS = MappingProxyType(
    {
        _S.REQUESTED: frozenset({_S.DENIED, _S.PROMPTING, _S.ISSUED, _S.LOCKED_OUT, _S.CANCELLED, _S.FAILED}),
        _S.PROMPTING: frozenset(
            {_S.ISSUED, _S.AWAITING_APPROVAL, _S.DECLINED, _S.TIMED_OUT, _S.LOCKED_OUT, _S.CANCELLED, _S.FAILED}
        ),
        _S.AWAITING_APPROVAL: frozenset({_S.ISSUED, _S.DECLINED, _S.TIMED_OUT, _S.CANCELLED, _S.FAILED}),
        _S.ISSUED: frozenset({_S.REDEEMED, _S.EXPIRED, _S.REVOKED}),
        # REDEEMED to DESTROYED: the task could not be started; the token is burnt all the same.
        _S.REDEEMED: frozenset({_S.RUNNING, _S.DESTROYED, _S.OUTCOME_UNKNOWN, _S.CLEANUP_FAILED}),
        _S.RUNNING: frozenset({_S.DESTROYED, _S.OUTCOME_UNKNOWN, _S.CLEANUP_FAILED}),
    }
)
"""What may follow each state; a state that is not a key is final."""

APPROVED = frozenset({_S.ISSUED})
"""Authorisation outcome: event 15031."""

NOT_APPROVED = frozenset({_S.DENIED, _S.DECLINED, _S.TIMED_OUT, _S.LOCKED_OUT, _S.CANCELLED, _S.FAILED})
"""Authorisation outcome: event 15032."""

ENDS_TOKEN = frozenset({_S.EXPIRED, _S.REVOKED, _S.DESTROYED, _S.OUTCOME_UNKNOWN, _S.CLEANUP_FAILED})
"""The second record: how the token ended."""


def is_final(state: State) -> bool:
    """Say whether nothing follows ``state``."""
    return state not in TRANSITIONS


def check_step(before: State, after: State) -> None:
    """Refuse a step that the table does not have.

    Raises:
        TransitionError: ``after`` does not follow ``before``.
    """
    if after not in TRANSITIONS.get(before, frozenset()):
        raise TransitionError(f"no step leads from {before} to {after}")


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, as in docs/lifecycle.md."""
    lines = ["stateDiagram-v2", "    [*] --> requested"]
    for before, followers in TRANSITIONS.items():
        lines += [f"    {_name(before)} --> {_name(after)}" for after in State if after in followers]
    lines += [f"    {_name(state)} --> [*]" for state in State if is_final(state)]
    return "\n".join(lines) + "\n"


def _name(state: State) -> str:
    return state.value.replace("-", "_")
