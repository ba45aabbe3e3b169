"""Rows 1 and 4 through the whole broker."""

from pathlib import Path

import pytest

from elevate.broker import Broker
from elevate.policy import Explanations
from elevate.tasks import Task
from tests.unit.policy.build import rule


def _set(folder: Path, before: str, after: str) -> None:
    path = folder / "settings.toml"
    path.write_text(path.read_text().replace(before, after))


def test_01_a_mode_change_is_pending_until_a_restart(tmp_path: Path) -> None:
    """`status` says that a restart is pending; the mode in force stays until then."""
    with Broker.embedded(tmp_path / "state") as broker:
        _set(tmp_path / "state", "TypeOfAdminApprovalMode = 2", "TypeOfAdminApprovalMode = 1")
        assert (broker.status()["pending_restart"], broker.status()["protected"]) == (True, True)
    with Broker.open(tmp_path / "state") as again:
        assert (again.status()["pending_restart"], again.status()["protected"]) == (False, False)


@pytest.mark.parametrize(("value", "outcome"), [(1, "credential"), (2, "consent")])
def test_01_the_prompt_behaviour_is_a_floor(tmp_path: Path, value: int, outcome: str) -> None:
    """With credentials wanted for all, a rule's consent is not enough; with consent, rules decide. `explain` says the same."""
    state = tmp_path / "state"
    with Broker.embedded(state):
        pass
    _set(state, "ConsentPromptBehaviorEnhancedAdmin = 1", f"ConsentPromptBehaviorEnhancedAdmin = {value}")
    for path in (state / "policy").iterdir():
        path.unlink()
    place = state / "policy" / "rules.toml"
    place.write_text(rule("all", task='{ kind = "process.run" }', then='{ prompt = "consent" }'))
    place.chmod(0o600)
    with Broker.embedded(state) as broker:
        grant = broker.elevate(Task.run(["true"]))
        assert grant.agreement.decision.outcome.value == outcome
        assert grant.claims.acr != "urn:elevate:acr:consent"
        several = broker.explain([Task.run(["true"]), Task.run(["false"])])
        assert isinstance(several, Explanations)
        for told in (broker.explain(Task.run(["true"])), several, *several.steps):
            assert told.json()["outcome"] == outcome


def test_12_both_levels_are_on_the_token(tmp_path: Path) -> None:
    """Medium for whoever asks, high for the task; the log has them, too."""
    with Broker.embedded(tmp_path / "state") as broker:
        grant = broker.elevate(Task.run(["true"]))
        assert (grant.claims.requester_integrity, grant.claims.integrity) == (8192, 12_288)
        assert grant.claims.to_json()["elv"]["integrity"] == 12_288  # type: ignore[index, call-overload]  # JSON


def test_04_the_task_runs_as_the_hidden_account(tmp_path: Path) -> None:
    """`whoami` prints it, under a policy that ships."""
    with Broker.embedded(tmp_path / "state") as broker:
        grant = broker.elevate(Task.run(["whoami"]))
        user = grant.agreement.requester.user
        assert grant.run(capture=True).stdout == f"ADMIN_{user}\n".encode()
        assert grant.identity.sid != grant.agreement.requester.sid
