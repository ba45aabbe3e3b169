"""The story of one elevation, on a real emulated machine with real processes."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from elevate.audit import parse
from elevate.audit.notes import VerifierKey
from elevate.audit.proof import check
from elevate.broker import Ask, Broker, Cancellation, Grant, Terms
from elevate.errors import (
    BrokerError,
    BusyError,
    CancelledError,
    CommandNotFoundError,
    DeclinedError,
    DeniedError,
    ElevateError,
    GestureError,
    LockedOutError,
    PolicyChangedError,
    PromptTimedOutError,
    TaskInvalidError,
    TokenError,
    TokenExpiredError,
    TokenRevokedError,
    TokenSpentError,
)
from elevate.host.processes import read_process
from elevate.lifecycle import APPROVED, NOT_APPROVED, State
from elevate.model import Requester
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.broker.conftest import events
from tests.unit.broker.people import answering, raising

TRUE = Task.run(["true"])
WHOLE_LIFE = ["requested", "prompting", "issued", "redeemed", "running", "destroyed"]


def _me(broker: Broker) -> Requester:
    return broker.requester(read_process(os.getpid()))


def _request(
    broker: Broker, act: Callable[[], object] = lambda: None, *, task: Task = TRUE, requester: Requester | None = None
) -> tuple[list[str], Callable[[], Grant]]:
    """Prepare a request; the list gets its id."""
    seen: list[str] = []
    terms = Terms(
        prompter=answering(broker, act),
        cancel=Cancellation(),
        listener=lambda request, _state: seen.append(request),
    )
    return seen, lambda: broker.request(Ask(task=task, requester=requester or _me(broker)), terms)


def test_one_task_runs_once(broker: Broker) -> None:
    """The whole life, in order, and a second use is refused."""
    grant = broker.elevate(Task.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]))
    outcome = grant.run(capture=True)
    assert (outcome.exit_status, outcome.stdout, outcome.stderr) == (7, b"out\n", b"err\n")
    with pytest.raises(TokenSpentError):
        grant.run()
    assert events(broker, grant.request) == [*WHOLE_LIFE, "second-use"]


def test_standard_input_is_what_was_declared(broker: Broker) -> None:
    """The task reads the declared bytes, and nothing else."""
    with broker.elevate(Task.run(["cat"], stdin=b"declared")) as grant:
        assert grant.run(capture=True).stdout == b"declared"
    with broker.elevate(Task.run(["cat"])) as grant:
        assert grant.run(capture=True).stdout == b""


def test_the_receipt_is_kept(broker: Broker) -> None:
    """What the task wrote can be asked for later, by its requester."""
    grant = broker.elevate(Task.run(["/bin/sh", "-c", "echo x > $HOME/note"]))
    outcome = grant.run(capture=True)
    receipt = broker.receipt(grant.request, _me(broker))
    assert check(str(receipt.pop("proof")), VerifierKey.parse(broker.parts.store.verifier_key)).entry.request == grant.request
    assert receipt == outcome.receipt
    written = receipt["written"]
    assert isinstance(written, list)
    assert any(isinstance(one, dict) and str(one["path"]).endswith("/note") for one in written)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DeclinedError("no"), "declined"),
        (PromptTimedOutError("late"), "timed-out"),
        (LockedOutError("locked"), "locked-out"),
        (CancelledError("gone"), "cancelled"),
        (GestureError("wrong"), "failed"),
        (ZeroDivisionError("a fault in the prompt"), "failed"),
    ],
)
def test_every_way_out_of_the_prompt_is_a_state(broker: Broker, error: Exception, state: str) -> None:
    """The request ends in the state that fits, with the code in the log, and nothing is granted."""
    seen, ask = _request(broker, raising(error))
    with pytest.raises(ElevateError) as caught:
        ask()
    assert events(broker, seen[0]) == ["requested", "prompting", state]
    assert isinstance(caught.value, type(error) if isinstance(error, ElevateError) else BrokerError)
    last = parse(broker.parts.store.entries_of(seen[0])[-1])
    assert last.body["reason"] != {}


def test_ctrl_c_in_the_prompt_cancels(broker: Broker) -> None:
    """The embedded broker's process is interrupted: the request ends, and nothing was granted."""
    seen: list[str] = []

    def interrupt() -> object:
        raise KeyboardInterrupt

    terms = Terms(
        prompter=answering(broker, interrupt), cancel=Cancellation(), listener=lambda request, _state: seen.append(request)
    )
    with pytest.raises(KeyboardInterrupt):
        broker.request(Ask(task=TRUE, requester=_me(broker)), terms)
    assert events(broker, seen[0])[-1] == "cancelled"


def test_a_token_that_can_not_be_made_is_taken_back(broker: Broker) -> None:
    """It was registered before it was signed; when signing fails it does not stay usable."""
    broker.parts = replace(broker.parts, issuer="x" * 600)
    seen, ask = _request(broker)
    with pytest.raises(TokenError):
        ask()
    assert events(broker, seen[0])[-2:] == ["issued", "revoked"]


def test_grants_that_are_held_are_bounded(broker: Broker) -> None:
    """One uid can't hold more than sixteen open requests; releasing one makes room."""
    held = [broker.elevate(TRUE) for _ in range(16)]
    with pytest.raises(BusyError):
        broker.elevate(TRUE)
    held.pop().release()
    held.append(broker.elevate(TRUE))
    for grant in held:
        grant.release()
    assert broker.status()["open_requests"] == 0


def test_exactly_one_authorisation_outcome_per_request(broker: Broker) -> None:
    """Whatever happened, one terminal event: approved or not."""
    grant = broker.elevate(TRUE)
    grant.run(capture=True)
    requests = [grant.request]
    for act in (raising(DeclinedError("no")), raising(CancelledError("gone"))):
        seen, ask = _request(broker, act)
        with pytest.raises(ElevateError):
            ask()
        requests.append(seen[0])
    outcomes = APPROVED | NOT_APPROVED
    for request in requests:
        assert sum(event in outcomes for event in events(broker, request)) == 1


def test_a_denied_task_prompts_nobody(broker: Broker) -> None:
    """Deny by default, with the rule that would allow it in the hint."""
    seen, ask = _request(broker, raising(AssertionError("prompted")), task=Task.run(["/bin/sh"]))
    with pytest.raises(DeniedError, match="not one task"):
        ask()
    assert events(broker, seen[0]) == ["requested", "denied"]


def test_a_command_that_is_not_there_fails(broker: Broker) -> None:
    """The request is in the log, and its end too."""
    seen, ask = _request(broker, task=Task.run(["no-such-command"]))
    with pytest.raises(CommandNotFoundError):
        ask()
    assert events(broker, seen[0]) == ["requested", "failed"]


def test_a_remote_session_is_refused(broker: Broker) -> None:
    """Unless a setting allows it."""
    _seen, ask = _request(broker, requester=replace(_me(broker), remote=True))
    with pytest.raises(DeniedError, match="remote"):
        ask()


def test_a_client_that_leaves_during_the_prompt_gets_nothing(broker: Broker) -> None:
    """Cancelling counts even where the gesture succeeds."""
    cancel = Cancellation()
    seen: list[str] = []
    terms = Terms(
        prompter=answering(broker, cancel.cancel), cancel=cancel, listener=lambda request, _state: seen.append(request)
    )
    with pytest.raises(CancelledError):
        broker.request(Ask(task=TRUE, requester=_me(broker)), terms)
    assert events(broker, seen[0])[-1] == "cancelled"


def _add_rule(broker: Broker) -> None:
    text = '[[rule]]\nid = "another"\neffect = "deny"\ntask = { kind = "service.control", service = "other" }\n'
    path = broker.home.policy / "another.toml"
    path.write_text("format = 1\n" + text)
    path.chmod(0o600)
    broker.reload_policy()


def test_48_policy_changed_between_prompt_and_issue(broker: Broker) -> None:
    """The decision is never made again: the request fails."""
    seen, ask = _request(broker, lambda: _add_rule(broker))
    with pytest.raises(PolicyChangedError):
        ask()
    assert events(broker, seen[0]) == ["requested", "prompting", "failed"]


def test_48_policy_changed_between_issue_and_run(broker: Broker) -> None:
    """The token is taken back."""
    grant = broker.elevate(TRUE)
    _add_rule(broker)
    with pytest.raises(PolicyChangedError):
        grant.run()
    with pytest.raises(TokenRevokedError):
        grant.run()
    assert events(broker, grant.request)[-1] == "revoked"


def test_an_expired_token_is_refused(broker: Broker, clock: ManualClock) -> None:
    """At exp, not one second later."""
    grant = broker.elevate(TRUE)
    clock.advance(grant.claims.exp - grant.claims.iat)
    with pytest.raises(TokenExpiredError):
        grant.run()
    with pytest.raises(TokenExpiredError):
        grant.run()
    assert events(broker, grant.request)[-1] == "expired"


def test_a_token_is_good_until_just_before_its_end(broker: Broker, clock: ManualClock) -> None:
    """The last second counts."""
    grant = broker.elevate(TRUE)
    clock.advance(grant.claims.exp - grant.claims.iat - 1)
    assert grant.run(capture=True).exit_status == 0


def test_21_a_clock_set_back_revives_nothing(broker: Broker, clock: ManualClock) -> None:
    """The monotonic deadline stands beside the wall clock."""
    grant = broker.elevate(TRUE)
    clock.advance(60)
    clock.step_wall(-60)
    with pytest.raises(TokenExpiredError):
        grant.run()


def test_a_revoked_token_is_refused(broker: Broker) -> None:
    """Its owner takes it back by its id."""
    grant = broker.elevate(TRUE)
    broker.revoke(grant.claims.jti, _me(broker))
    with pytest.raises(TokenRevokedError):
        grant.run()
    with pytest.raises(TaskInvalidError, match="revoked already"):
        broker.revoke(grant.claims.jti, _me(broker))


def test_an_unused_grant_is_taken_back(broker: Broker) -> None:
    """Leaving the context without a run ends the token."""
    with broker.elevate(TRUE) as grant:
        pass
    assert events(broker, grant.request)[-1] == "revoked"
    assert broker.status()["open_requests"] == 0


def test_15_another_process_can_not_use_the_grant(broker: Broker) -> None:
    """The token is bound to the requesting process; the attempt is in the log."""
    grant = broker.elevate(TRUE)
    thief = replace(grant.agreement.requester.process, pid=1)
    with pytest.raises(TokenError):
        grant.start("00" * 16, thief)
    assert events(broker, grant.request)[-1] == "token-refused"
    assert grant.run(capture=True).exit_status == 0


def test_47_the_same_redeem_id_starts_nothing_twice(broker: Broker) -> None:
    """Asking again with the winner's id is no second start, and no alarm."""
    grant = broker.elevate(TRUE)
    me = grant.agreement.requester.process
    grant.finish(grant.start("ab" * 16, me))
    with pytest.raises(TokenSpentError):
        grant.start("ab" * 16, me)
    assert events(broker, grant.request) == WHOLE_LIFE


def test_the_winner_can_ask_again_what_became_of_it(broker: Broker) -> None:
    """By its redeem_id, and nobody else."""
    grant = broker.elevate(Task.run(["/bin/sh", "-c", "exit 3"]))
    with pytest.raises(TokenSpentError, match="did not redeem"):
        broker.became(grant.request, "", _me(broker))
    running = grant.start("ef" * 16, grant.agreement.requester.process)
    grant.journal.settle()
    assert broker.became(grant.request, "ef" * 16, _me(broker))["state"] == "running"
    grant.finish(running)
    again = broker.became(grant.request, "ef" * 16, _me(broker))
    assert again["state"] == "destroyed"
    assert isinstance(again["result"], dict)
    assert again["result"]["exit_status"] == 3
    with pytest.raises(TokenSpentError, match="did not redeem"):
        broker.became(grant.request, "00" * 16, _me(broker))
    os.close(running.stdout)
    os.close(running.stderr)


def test_others_learn_nothing_of_a_request(broker: Broker) -> None:
    """Somebody else's request looks like none."""
    grant = broker.elevate(TRUE)
    stranger = replace(_me(broker), process=replace(_me(broker).process, uid=12345))
    for ask in (
        lambda: broker.receipt(grant.request, stranger),
        lambda: broker.cancel(grant.request, stranger),
        lambda: broker.revoke(grant.claims.jti, stranger),
        lambda: broker.receipt("00" * 16, stranger),
    ):
        with pytest.raises(TaskInvalidError, match="of yours has this id"):
            ask()
    grant.release()


def test_a_running_task_can_be_cancelled(broker: Broker) -> None:
    """`cancel` ends the task's tree; the token is destroyed as always."""
    grant = broker.elevate(Task.run(["sleep", "60"]))
    running = grant.start("cd" * 16, grant.agreement.requester.process)
    broker.cancel(grant.request, _me(broker))
    outcome = grant.finish(running)
    assert outcome.signal == 15
    assert events(broker, grant.request) == WHOLE_LIFE
    os.close(running.stdout)
    os.close(running.stderr)


def test_a_bad_policy_does_not_replace_the_good_one(broker: Broker) -> None:
    """Reload keeps the last good policy, and the log has the attempt."""
    before = broker.parts.policy.current
    (broker.home.policy / "bad.toml").write_text("format = 1\n[[rule]]\nid = 3\n")
    with pytest.raises(ElevateError, match=r"bad\.toml"):
        broker.reload_policy()
    assert broker.parts.policy.current is before
    assert parse(list(broker.parts.store.entries())[-1]).event == "policy-refused"
    assert broker.elevate(TRUE).run(capture=True).exit_status == 0


def test_states_are_told_in_order(broker: Broker) -> None:
    """The listener hears every step with the request's id."""
    heard: list[tuple[str, State]] = []
    terms = Terms(
        prompter=lambda: broker.prompter(None),
        cancel=Cancellation(),
        listener=lambda request, state: heard.append((request, state)),
    )
    grant = broker.request(Ask(task=TRUE, requester=_me(broker)), terms)
    grant.run(capture=True)
    assert [state.value for _request_id, state in heard] == WHOLE_LIFE
    assert {request for request, _state in heard} == {grant.request}
