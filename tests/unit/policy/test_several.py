"""Several steps in rule files: tests beside the rules ask for them, and what is demanded of them together."""

import pytest

from elevate.errors import PolicyError
from elevate.model import Allow, Deny
from elevate.policy import Policy, Question, Source, given, load, question, run_tests

RULES = """
format = 1

[[rule]]
id = "notes"
effect = "allow"
task = { kind = "file.write", path = "/etc/notes.conf" }
then = { prompt = "consent", token_seconds = 60, ticket = "INC-#" }
why = "Its settings."

[[rule]]
id = "restart"
effect = "allow"
task = { kind = "service.control", service = "notes" }
then = { prompt = "credential", token_seconds = 20, gesture = "biometric" }
why = "Its service."

[[rule]]
id = "reboot"
effect = "allow"
task = { kind = "service.control", service = "machine" }
then = { prompt = "credential", alone = true }
why = "Nothing beside it."
"""
WRITE = {"kind": "file.write", "path": "/etc/notes.conf"}
RESTART = {"kind": "service.control", "service": "notes", "action": "restart"}
REBOOT = {"kind": "service.control", "service": "machine", "action": "restart"}
OTHER = {"kind": "file.write", "path": "/etc/passwd"}


def policy(tests: str = "") -> Policy:
    return load([Source(name="r.toml", data=(RULES + tests).encode())])


def asked(*steps: dict[str, str], **more: object) -> Question:
    return question({"user": "alice", "task": {"steps": list(steps), **more}})


def test_the_strictest_of_all_is_asked() -> None:
    """One prompt for both, with the ticket of the one and the gesture of the other."""
    decision = policy().decide(asked(WRITE, RESTART))
    assert isinstance(decision, Allow)
    wanted = decision.obligations
    assert (decision.outcome.value, wanted.token_seconds, wanted.min_strength) == ("credential", 20, "biometric")
    assert (wanted.reason_required, dict(wanted.extra)) == (True, {"ticket": ("INC-#",)})
    assert [step.rules for step in decision.steps] == [("notes",), ("restart",)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((WRITE, OTHER), "step 2 (file.write /etc/passwd): no rule allows this task"),
        ((REBOOT, WRITE), "step 1 (restart machine): a rule wants this task to be asked for alone"),
        ((OTHER, REBOOT), "step 1 (file.write /etc/passwd): no rule allows this task; step 2 (restart machine): a rule wants"),
    ],
)
def test_one_that_does_not_qualify_denies_all(steps: tuple[dict[str, str], ...], message: str) -> None:
    decision = policy().decide(asked(*steps))
    assert isinstance(decision, Deny)
    assert decision.message.startswith(message)


def test_alone_is_alone() -> None:
    assert isinstance(policy().decide(question({"user": "alice", "task": REBOOT})), Allow)
    assert isinstance(policy().decide(asked(REBOOT)), Allow)


def test_a_test_beside_the_rules_asks_for_several() -> None:
    found = run_tests(
        policy(
            """
[[test]]
given = { user = "alice", task = { steps = [
  { kind = "file.write", path = "/etc/notes.conf" },
  { kind = "service.control", service = "notes", action = "restart" },
] } }
expect = { outcome = "credential", rules = ["notes", "restart"] }

[[test]]
given = { user = "alice", task = { kind = "steps", undo = 1, steps = [
  { kind = "file.write", path = "/etc/notes.conf" },
  { kind = "file.write", path = "/etc/passwd" },
] } }
expect = { outcome = "denied", rules = [] }
"""
        )
    )
    assert (found.passed, found.failed) == (2, 0)


def test_what_is_recorded_is_asked_again() -> None:
    one = asked(WRITE, RESTART, undo=1)
    assert question(given(one)) == one
    assert one.task.task.undo == 1


@pytest.mark.parametrize(
    "task",
    [
        "{ steps = [] }",
        "{ steps = 1 }",
        "{ steps = [1] }",
        '{ kind = "process.run", steps = [{ kind = "package.remove", package = "x" }] }',
        '{ steps = [{ steps = [{ kind = "package.remove", package = "x" }] }] }',
        '{ steps = [{ kind = "package.remove", package = "x" }], undo = 1 }',
        '{ steps = [{ kind = "package.remove", package = "x" }], undo = true }',
        '{ steps = [{ kind = "package.remove", package = "x" }], path = "/" }',
    ],
)
def test_a_test_that_asks_for_what_are_no_steps_does_not_load(task: str) -> None:
    with pytest.raises(PolicyError, match=r"r\.toml:"):
        policy(f'\n[[test]]\ngiven = {{ user = "alice", task = {task} }}\nexpect = {{ outcome = "denied" }}\n')


def test_no_rule_names_steps() -> None:
    """What a rule allows is one task; a row is only ever its steps."""
    with pytest.raises(PolicyError):
        load([Source(name="r.toml", data=RULES.replace('"file.write"', '"steps"').encode())])
