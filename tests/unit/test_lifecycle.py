"""The state table: complete, closed, and drawn in the docs as it is."""

from itertools import product
from pathlib import Path

import pytest

from elevate import lifecycle
from elevate.errors import TransitionError
from elevate.lifecycle import TRANSITIONS, State

PAIRS = list(product(State, State))
ALLOWED = {(before, after) for before, followers in TRANSITIONS.items() for after in followers}
FINAL = {state for state in State if lifecycle.is_final(state)}
DOC = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"

STORY = {
    "requested": "denied prompting issued locked-out cancelled failed",
    "prompting": "issued awaiting-approval declined timed-out locked-out cancelled failed",
    "awaiting-approval": "issued declined timed-out cancelled failed",
    "issued": "redeemed expired revoked",
    "redeemed": "running destroyed outcome-unknown cleanup-failed",
    "running": "destroyed outcome-unknown cleanup-failed",
}
"""The table written a second time by hand: a change of the one must be meant enough to change the other."""


def test_table_is_the_story() -> None:
    """Every arrow is one that was agreed, and none is missing."""
    assert {str(state): set(map(str, followers)) for state, followers in TRANSITIONS.items()} == {
        state: set(followers.split()) for state, followers in STORY.items()
    }


@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair in ALLOWED])
def test_step_in_the_table_passes(before: State, after: State) -> None:
    """What is in the table may happen."""
    lifecycle.check_step(before, after)


@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair not in ALLOWED])
def test_step_not_in_the_table_raises(before: State, after: State) -> None:
    """What is not in the table raises, and says which step."""
    with pytest.raises(TransitionError) as caught:
        lifecycle.check_step(before, after)
    assert caught.value.message == f"no step leads from {before} to {after}"


def test_every_state_is_reached_and_ends() -> None:
    """From `requested` every state can be reached, no state can be left towards itself, and every way ends."""
    seen, edge = {State.REQUESTED}, {State.REQUESTED}
    while edge:
        edge = {after for before, after in ALLOWED if before in edge} - seen
        assert State.REQUESTED not in edge
        seen |= edge
    assert seen == set(State)
    assert set(TRANSITIONS) | FINAL == set(State)
    assert not set(TRANSITIONS) & FINAL


def test_no_state_returns() -> None:
    """The table has no circle: what was used or refused never lives again."""
    order: list[State] = []
    left = dict(TRANSITIONS)
    while left:
        free = [state for state in left if not any(state in followers for followers in left.values())]
        assert free, f"a circle among {sorted(left)}"
        order += free
        left = {state: followers for state, followers in left.items() if state not in free}
    assert order[0] is State.REQUESTED


def test_outcomes_part_the_final_states() -> None:
    """Each end is one authorisation outcome or one end of a token, never both, never neither."""
    assert lifecycle.NOT_APPROVED | lifecycle.ENDS_TOKEN == FINAL
    assert not lifecycle.NOT_APPROVED & lifecycle.ENDS_TOKEN
    assert frozenset({State.ISSUED}) == lifecycle.APPROVED


def test_nothing_refused_has_a_token_and_nothing_issued_is_refused() -> None:
    """No way leads from `issued` to a refusal, and none to a token's end without `issued`."""
    after_issue, edge = set(), {State.ISSUED}
    while edge:
        after_issue |= edge
        edge = {after for before, after in ALLOWED if before in edge}
    assert not after_issue & lifecycle.NOT_APPROVED
    ways_in = {before for before, after in ALLOWED if after in lifecycle.ENDS_TOKEN}
    assert ways_in <= after_issue


def test_only_redeemed_leads_to_running() -> None:
    """Nothing runs but what was redeemed, and nothing is redeemed but what was issued."""
    assert {before for before, after in ALLOWED if after is State.RUNNING} == {State.REDEEMED}
    assert {before for before, after in ALLOWED if after is State.REDEEMED} == {State.ISSUED}


def test_table_can_not_be_changed() -> None:
    """The table is read-only."""
    with pytest.raises(TypeError):
        TRANSITIONS[State.DENIED] = frozenset({State.ISSUED})  # type: ignore[index]


def test_diagram_in_the_docs_is_up_to_date() -> None:
    """docs/lifecycle.md holds the diagram that the table gives."""
    assert f"```mermaid\n{lifecycle.diagram()}```\n" in DOC.read_text(encoding="utf-8")


def test_diagram_draws_every_arrow_once() -> None:
    """The drawing has one line per arrow, one into the first state and one out of each final one."""
    lines = lifecycle.diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> requested"]
    assert len(lines) == len(set(lines)) == 2 + len(ALLOWED) + len(FINAL)
    assert "    requested --> timed_out" not in lines
    assert "    prompting --> timed_out" in lines
    assert "    cleanup_failed --> [*]" in lines
