"""Several steps under one token: what policy makes of them, what their digest covers, and which of them run."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from elevate.broker.several import SeveralInspected
from elevate.broker.starting import Listener, Start
from elevate.broker.stepping import start
from elevate.errors import HostError
from elevate.model import AdminIdentity, Agreement, Allow, Deny, Ended, InspectedTask, Obligations, request_digest
from elevate.outcome import Progress
from elevate.policy import Question, decide_by_scan, questions_of
from elevate.policy.several import together
from elevate.ports import Inspection
from elevate.tasks import STEPS, Task
from tests.hello.parts import agreement
from tests.property.policies import GIVEN, TASKS, ask, build, rule_lists


def several(steps: tuple[InspectedTask, ...], undo: int = 0) -> InspectedTask:
    task = Task(kind=STEPS, params=(), steps=tuple(step.task for step in steps), undo=undo)
    return InspectedTask(task=task, argv=(), cwd="/", steps=steps)


def questions(given_one: dict[str, Any], tasks: list[dict[str, Any]]) -> Question:
    return ask(given_one | {"task": {"kind": STEPS, "steps": tasks}})


@given(rules=rule_lists(), given_one=GIVEN, tasks=st.lists(TASKS, min_size=2, max_size=4))
@settings(max_examples=150)
def test_several_qualify_where_each_does(rules: list[dict[str, Any]], given_one: dict[str, Any], tasks: list[Any]) -> None:
    """Never where one would not; and what is asked of the person is the strictest of all, in whatever order."""
    policy, question = build(rules), questions(given_one, tasks)
    whole, each = policy.decide(question), [policy.decide(one) for one in questions_of(question)]
    turned = policy.decide(questions(given_one, tasks[::-1]))
    assert decide_by_scan(policy.rules, question) == whole
    if isinstance(whole, Deny):
        assert any(isinstance(one, Deny) for one in each)
        assert isinstance(turned, Deny)
        assert turned.rules == whole.rules
        return
    allows = [one for one in each if isinstance(one, Allow)]
    assert list(whole.steps) == each == allows
    assert isinstance(turned, Allow)
    assert replace(turned, steps=()) == replace(whole, steps=())
    assert whole.obligations.token_seconds == min(one.obligations.token_seconds for one in allows)
    assert whole.obligations.reason_required == any(one.obligations.reason_required for one in allows)
    assert together([*allows, allows[0]]).obligations == whole.obligations


@given(rules=rule_lists(), given_one=GIVEN, tasks=st.lists(TASKS, min_size=2, max_size=3))
@settings(max_examples=50)
def test_alone_is_never_among_others(rules: list[dict[str, Any]], given_one: dict[str, Any], tasks: list[Any]) -> None:
    """A rule that wants a task asked for alone denies every row that it matches in, and changes nothing for one."""
    lone = {"id": "lone", "effect": "require", "who": {}, "task": {"kind": "process.run"}, "then": {"alone": True}}
    policy, plain = build([*rules, lone]), build(rules)
    assert isinstance(policy.decide(questions(given_one, tasks)), Deny)
    one = ask(given_one | {"task": tasks[0]})
    assert isinstance(policy.decide(one), Deny) is isinstance(plain.decide(one), Deny)


ARGV = st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=2).map(lambda words: ("/usr/bin/id", *words))


@given(argvs=st.lists(ARGV, min_size=1, max_size=4), data=st.data())
def test_the_digest_covers_every_step_its_place_and_what_undoes(argvs: list[tuple[str, ...]], data: st.DataObject) -> None:
    """Two rows have one digest where they are the same row: in another order, or undoing otherwise, they are another."""
    others = st.one_of(st.permutations(argvs), st.lists(ARGV, min_size=1, max_size=4), st.just(argvs[::-1]), st.just(argvs))
    found: list[Agreement] = []
    for row in (argvs, data.draw(others)):
        steps = tuple(agreement(argv).task for argv in row)
        one = agreement()
        whole = several(steps, data.draw(st.integers(0, len(steps) - 1)))
        found.append(replace(one, task=whole, decision=replace(one.decision, steps=(one.decision,) * len(steps))))
    same = found[0].task == found[1].task
    assert (found[0].task.digest == found[1].task.digest) is same
    assert (request_digest(found[0]) == request_digest(found[1])) is same


@given(at=st.integers(0, 2), field_=st.sampled_from(("identity", "network", "read_only")))
def test_the_digest_covers_the_obligations_of_every_step(at: int, field_: str) -> None:
    one = agreement()
    decisions = [one.decision] * 3
    asked = replace(one, task=several((one.task,) * 3), decision=replace(one.decision, steps=tuple(decisions)))
    decisions[at] = replace(one.decision, obligations=Obligations(time_limit_seconds=60, extra=((field_, "x"),)))
    other = replace(asked, decision=replace(one.decision, steps=tuple(decisions)))
    assert request_digest(asked) != request_digest(other)


@dataclass
class Scripted:
    """A host, its tasks and their inspections: each step ends as the test says, and is counted.

    Attributes:
        ends: Exit status of each step; None where it can't be started.
    """

    ends: list[int | None]
    began: list[int] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)

    def start(self, inspection: "Step", *_: object, **__: object) -> "Step":
        if self.ends[inspection.number - 1] is None:
            raise HostError("it can't be started")
        self.began.append(inspection.number)
        return inspection


@dataclass
class Step:
    script: Scripted
    number: int
    task: InspectedTask
    pid: int = 1

    def check(self) -> None:
        pass

    def close(self) -> None:
        self.script.closed.add(self.number)

    def wait(self) -> Ended:
        return Ended(exit_status=self.script.ends[self.number - 1])

    def cancel(self, signal: int = 15) -> None:
        raise AssertionError(signal)


def run(ends: list[int | None], undo: int, listener: Listener) -> tuple[Scripted, Ended | None, list[tuple[int, bool]]]:
    """Run a row of steps; give what began, how it ended, and what was noted before."""
    script = Scripted(ends)
    one = agreement()
    steps = tuple(Step(script, number, one.task) for number in range(1, len(ends) + 1))
    whole = several(tuple(step.task for step in steps), undo)
    asked = replace(one, task=whole, decision=replace(one.decision, steps=(one.decision,) * len(steps)))
    noted: list[tuple[int, bool]] = []
    looked: tuple[Inspection, ...] = steps
    what = Start(
        host=script,  # type: ignore[arg-type]  # only its start is called
        identity=AdminIdentity(name="ADMIN_alice", sid="S", uid=1, home="/"),
        session="s",
        agreement=asked,
        inspection=SeveralInspected(task=whole, steps=looked),
        note=lambda number, told: noted.append((number, isinstance(told, Ended))),
    )
    try:
        running = start(what, None, listener)
    except HostError:
        return script, None, noted
    ended = running.wait()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    return script, ended, noted


STATUS = st.sampled_from((0, 0, 0, 0, 1, 2, None))


@given(ends=st.lists(STATUS, min_size=1, max_size=6), undo=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_no_step_runs_after_a_failed_one(ends: list[int | None], undo: int) -> None:
    """The steps run one after the other up to the first that fails; then, and only then, all that undo. None runs twice."""
    undo = min(undo, len(ends) - 1)
    forward = len(ends) - undo
    told: list[Progress] = []
    script, ended, noted = run(ends, undo, told.append)

    failed = next((number for number, end in enumerate(ends[:forward], 1) if end != 0), 0)
    row = list(range(1, (failed or forward) + 1)) + (list(range(forward + 1, len(ends) + 1)) if failed else [])
    if ended is None:
        assert failed == 1
        assert ends[0] is None
        assert script.began == []
        return
    assert script.began == [number for number in row if ends[number - 1] is not None]
    assert [one.step for one in ended.steps] == row
    assert [number for number, before in noted if before] == row[1:]
    assert ended.succeeded is (failed == 0)
    assert [(one.step, one.ended) for one in told] == [(number, over) for number in row for over in (False, True)]
    assert script.closed >= set(script.began)
