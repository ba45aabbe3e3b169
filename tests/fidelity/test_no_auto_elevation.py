"""Row 15: nothing elevates without a person, but for service identities that root lists (row 31)."""

import pytest

from elevate.errors import PolicyError
from elevate.model import Allow, Outcome
from elevate.policy import Policy, Settings, Source, load, question

EXACT = '{ kind = "process.run", path = "/usr/bin/apt-get", arguments = ["update"] }'
LISTED = '[[service]]\nname = "ci"\nuid = 990\nexecutable = "/opt/ci"\n'


def rule(who: str, task: str = EXACT) -> str:
    return f'[[rule]]\nid = "quiet"\neffect = "allow"\nwho = {who}\ntask = {task}\nthen = {{ prompt = "service" }}\n'


def loaded(text: str, *, ap_mode: bool = True) -> Policy:
    return load([Source(name="a.toml", data=text.encode())], settings=Settings(ap_mode=ap_mode))


@pytest.mark.parametrize("who", ["{}", '{ user = "alice" }', '{ group = "admins" }', "{ remote = false }"])
@pytest.mark.parametrize("ap_mode", [True, False])
def test_15_rule_without_a_person_is_rejected_at_load(who: str, *, ap_mode: bool) -> None:
    """In no mode does a person's task run without that person."""
    with pytest.raises(PolicyError, match=r"a\.toml:6:10: no task is done without a person"):
        loaded(rule(who) + LISTED, ap_mode=ap_mode)


def test_15_unlisted_service_identity_is_rejected_at_load() -> None:
    """In AP mode root must list the identity."""
    with pytest.raises(PolicyError, match=r"a\.toml:6:10: no root-listed service identity ci"):
        loaded(rule('{ service = "ci" }'))

    assert loaded(rule('{ service = "ci" }'), ap_mode=False).rules


@pytest.mark.parametrize(
    "task",
    [
        "{}",
        '{ kind = "process.run" }',
        '{ kind = "process.run", path = "/usr/bin/apt-get" }',
        '{ kind = "process.run", path = "/usr/bin/apt-get", arguments = { prefix = ["update"] } }',
        '{ kind = "process.run", directory = "/usr/bin", arguments = [] }',
        '{ kind = "package.install" }',
        '{ kind = "service.control" }',
    ],
)
def test_31_service_identity_needs_a_pinned_task(task: str) -> None:
    """Content, or a path with exact arguments; nothing broader."""
    with pytest.raises(PolicyError, match="must be pinned"):
        loaded(rule('{ service = "ci" }', task) + LISTED)


def test_31_listed_service_identity_runs_its_exact_task_only() -> None:
    """The one exception to row 15."""
    policy = loaded(rule('{ service = "ci" }') + LISTED)
    task = {"kind": "process.run", "path": "/usr/bin/apt-get", "arguments": ["update"]}

    decision = policy.decide(question({"service": "ci", "task": task}))

    assert isinstance(decision, Allow)
    assert decision.outcome is Outcome.SERVICE
    assert policy.decide(question({"user": "ci", "task": task})).rules == ()
    assert policy.decide(question({"service": "ci", "task": {**task, "arguments": ["update", "-o"]}})).rules == ()
