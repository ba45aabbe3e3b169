"""The values between the rooms: bad ones can't be made, and both digests cover everything."""

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest

from elevate import canonical
from elevate.errors import HostError, PolicyError, TaskInvalidError
from elevate.model import (
    Agreement,
    Allow,
    Blob,
    Fact,
    FileFact,
    InspectedTask,
    Obligations,
    Outcome,
    ProcessIdentity,
    Requester,
    request_digest,
)
from elevate.tasks import STEPS, Task

A, B = "a" * 64, "b" * 64

FILE = FileFact(path="/usr/bin/id", sha256=A, size=10)
TASK = InspectedTask(
    task=Task.run(["id", "-u"], cwd="/srv"),
    argv=("/usr/bin/id", "-u"),
    cwd="/srv",
    file=FILE,
    payload=Blob(sha256=B, size=3),
    facts=(("installer", False), ("package", "coreutils"), ("signer", Fact.ABSENT)),
)
REQUESTER = Requester(
    user="alice",
    sid="S-1-5-21-1-2-3-1001",
    groups=("developers",),
    machine="m1",
    process=ProcessIdentity(uid=1000, pid=4711, start_time=99, boot_id="boot"),
    executable="/usr/bin/bash",
    chain=("bash (4711)",),
)
OBLIGATIONS = Obligations(token_seconds=30, extra=(("identity", "admin"),))
DECISION = Allow(outcome=Outcome.CREDENTIAL, rules=("r1",), obligations=OBLIGATIONS)
AGREEMENT = Agreement(
    task=TASK,
    requester=REQUESTER,
    session="s" * 32,
    reason="because",
    host="emulated:1",
    decision=DECISION,
    policy_digest=A,
    nonce=bytes(16),
)


def several(*steps: InspectedTask, undo: int = 0) -> InspectedTask:
    task = Task(kind=STEPS, params=(), steps=tuple(step.task for step in steps), undo=undo)
    return InspectedTask(task=task, argv=(), cwd="/", steps=steps)


SEVERAL = replace(AGREEMENT, task=several(TASK), decision=replace(DECISION, steps=(DECISION,)))

OTHER_TASKS: Mapping[str, InspectedTask] = {
    "task kind": replace(TASK, task=Task.service("id", "stop")),
    "task argv": replace(TASK, task=Task.run(["id", "-g"], cwd="/srv")),
    "task cwd": replace(TASK, task=Task.run(["id", "-u"], cwd="/srv/")),
    "task env": replace(TASK, task=Task.run(["id", "-u"], cwd="/srv", env={"A": ""})),
    "task time limit": replace(TASK, task=Task.run(["id", "-u"], cwd="/srv", time_limit_seconds=1)),
    "argv": replace(TASK, argv=("/usr/bin/id", "-g")),
    "argv joined": replace(TASK, argv=("/usr/bin/id -u",)),
    "argv longer": replace(TASK, argv=("/usr/bin/id", "-u", "")),
    "argv empty": replace(TASK, argv=()),
    "cwd": replace(TASK, cwd="/"),
    "no file": replace(TASK, file=None),
    "file path": replace(TASK, file=replace(FILE, path="/bin/id")),
    "file sha256": replace(TASK, file=replace(FILE, sha256=B)),
    "file size": replace(TASK, file=replace(FILE, size=11)),
    "no payload": replace(TASK, payload=None),
    "payload sha256": replace(TASK, payload=Blob(sha256=A, size=3)),
    "payload size": replace(TASK, payload=Blob(sha256=B, size=4)),
    "no facts": replace(TASK, facts=()),
    "fact fewer": replace(TASK, facts=TASK.facts[1:]),
    "fact value": replace(TASK, facts=(("installer", True), *TASK.facts[1:])),
    "fact type": replace(TASK, facts=(("installer", 0), *TASK.facts[1:])),
    "fact name": replace(TASK, facts=(("writable", False), *TASK.facts[1:])),
    "fact undetermined": replace(TASK, facts=(*TASK.facts[:2], ("signer", Fact.UNDETERMINED))),
    "fact as text": replace(TASK, facts=(*TASK.facts[:2], ("signer", "absent"))),
    "steps": several(TASK),
    "steps more": several(TASK, TASK),
    "steps others": several(replace(TASK, cwd="/"), TASK),
    "steps in another order": several(TASK, replace(TASK, cwd="/")),
    "steps that undo": several(TASK, TASK, undo=1),
}

OTHER_REQUESTERS: Mapping[str, Requester] = {
    "user": replace(REQUESTER, user="bob"),
    "sid": replace(REQUESTER, sid="S-1-5-21-1-2-3-1002"),
    "groups": replace(REQUESTER, groups=("developers", "wheel")),
    "machine": replace(REQUESTER, machine="m2"),
    "process": replace(REQUESTER, process=replace(REQUESTER.process, uid=0)),
    "process pid": replace(REQUESTER, process=replace(REQUESTER.process, pid=4712)),
    "process start": replace(REQUESTER, process=replace(REQUESTER.process, start_time=100)),
    "process boot": replace(REQUESTER, process=replace(REQUESTER.process, boot_id="other")),
    "executable": replace(REQUESTER, executable="/usr/bin/zsh"),
    "chain": replace(REQUESTER, chain=("bash (4711)", "sshd (1)")),
    "remote": replace(REQUESTER, remote=True),
    "service": replace(REQUESTER, service="ci"),
    "audit_uid": replace(REQUESTER, audit_uid=1000),
    "executable_sha256": replace(REQUESTER, executable_sha256=B),
}

OTHER_OBLIGATIONS: Mapping[str, Obligations] = {
    "reason_required": replace(OBLIGATIONS, reason_required=True),
    "token_seconds": replace(OBLIGATIONS, token_seconds=31),
    "time_limit_seconds": replace(OBLIGATIONS, time_limit_seconds=1),
    "min_strength": replace(OBLIGATIONS, min_strength="pin"),
    "env": replace(OBLIGATIONS, env=("A",)),
    "extra": replace(OBLIGATIONS, extra=(("identity", "root"),)),
    "extra none": replace(OBLIGATIONS, extra=()),
    "extra type": replace(OBLIGATIONS, extra=(("identity", ("admin",)),)),
}

OTHER_AGREEMENTS: Mapping[str, Agreement] = {
    **{
        f"task {name}": replace(AGREEMENT, task=task, decision=replace(DECISION, steps=(DECISION,) * len(task.steps)))
        for name, task in OTHER_TASKS.items()
    },
    "decision steps": replace(SEVERAL, decision=replace(DECISION, steps=(replace(DECISION, rules=("r1", "r2")),))),
    "decision steps outcome": replace(SEVERAL, decision=replace(DECISION, steps=(replace(DECISION, outcome=Outcome.CONSENT),))),
    "decision steps obligations": replace(
        SEVERAL, decision=replace(DECISION, steps=(replace(DECISION, obligations=Obligations()),))
    ),
    **{f"requester {name}": replace(AGREEMENT, requester=one) for name, one in OTHER_REQUESTERS.items()},
    **{
        f"decision obligations {name}": replace(AGREEMENT, decision=replace(DECISION, obligations=one))
        for name, one in OTHER_OBLIGATIONS.items()
    },
    "session": replace(AGREEMENT, session="t" * 32),
    "reason": replace(AGREEMENT, reason="because "),
    "host": replace(AGREEMENT, host="emulated:2"),
    "decision outcome": replace(AGREEMENT, decision=replace(DECISION, outcome=Outcome.CONSENT)),
    "decision rules": replace(AGREEMENT, decision=replace(DECISION, rules=("r1", "r2"))),
    "policy_digest": replace(AGREEMENT, policy_digest=B),
    "nonce": replace(AGREEMENT, nonce=bytes(15) + b"\1"),
}


def test_task_digest_is_the_hash_of_the_canonical_form() -> None:
    """The digest is the SHA-256 of what `canonical` gives, and does not depend on the object."""
    assert TASK.digest == canonical.digest(TASK.canonical()) == replace(TASK).digest


@pytest.mark.parametrize("name", OTHER_TASKS)
def test_task_digest_covers(name: str) -> None:
    """Any one member changed changes the task digest."""
    assert OTHER_TASKS[name].digest != TASK.digest


def test_task_digests_all_differ() -> None:
    """No two of the changed tasks have the same digest."""
    assert len({task.digest for task in OTHER_TASKS.values()}) == len(OTHER_TASKS)


@pytest.mark.parametrize("name", OTHER_AGREEMENTS)
def test_request_digest_covers(name: str) -> None:
    """Any one member changed changes the request digest: task, requester, reason, decision, policy, nonce."""
    assert request_digest(OTHER_AGREEMENTS[name]) != request_digest(AGREEMENT)


def test_request_digest() -> None:
    """32 bytes, the same for the same agreement, different for every changed one."""
    digests = {request_digest(agreement) for agreement in OTHER_AGREEMENTS.values()}
    assert len(digests) == len(OTHER_AGREEMENTS)
    assert len(request_digest(AGREEMENT)) == 32
    assert request_digest(replace(AGREEMENT)) == request_digest(AGREEMENT)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (InspectedTask, OTHER_TASKS),
        (Requester, OTHER_REQUESTERS),
        (Obligations, OTHER_OBLIGATIONS),
        (Agreement, OTHER_AGREEMENTS),
    ],
)
def test_every_member_is_among_the_changed(kind: type, changed: Mapping[str, object]) -> None:
    """A new member must be added to these tables, and so to the digest."""
    names = [name.replace("no ", "").replace("facts", "fact") for name in changed]
    for member in (one for one in fields(kind) if one.init):
        wanted = member.name.removesuffix("s") if member.name == "facts" else member.name
        assert any(name.startswith(wanted) for name in names), member.name


def test_order_of_facts_does_not_matter() -> None:
    """Facts are a set of names; the order in which they were found is not hashed."""
    assert replace(TASK, facts=TASK.facts[::-1]).digest == TASK.digest


def test_what_two_readers_could_read_in_two_ways() -> None:
    """A name given twice would be one thing for the policy and another for the digest."""
    with pytest.raises(HostError, match="a fact is given twice"):
        replace(TASK, facts=(("signer", "good"), ("signer", "evil")))
    with pytest.raises(PolicyError, match="an obligation is given twice"):
        replace(OBLIGATIONS, extra=(("identity", "admin"), ("identity", "root")))


def test_steps_that_are_not_those_that_were_asked() -> None:
    """What was found of one step can't stand for another, and a decision leaves none out."""
    with pytest.raises(HostError, match="not of the steps"):
        replace(SEVERAL.task, steps=(replace(TASK, task=Task.run(["id"])),))
    with pytest.raises(HostError, match="not of the steps"):
        replace(SEVERAL.task, steps=())
    with pytest.raises(PolicyError, match="about each step"):
        replace(SEVERAL, decision=DECISION)
    with pytest.raises(PolicyError, match="about each step"):
        replace(AGREEMENT, decision=SEVERAL.decision)


def test_input_that_no_digest_covers() -> None:
    """An inspected task holds no input of its own: only what was hashed may run."""
    with pytest.raises(HostError, match="its digest is"):
        replace(TASK, task=Task.run(["id"], stdin=b"evil"))


@pytest.mark.parametrize(
    "members",
    [
        {"argv": ("/bin/\udcff",)},
        {"cwd": "/\udcff"},
        {"file": replace(FILE, path="/\udcff")},
        {"facts": (("path", "\udcff"),)},
        {"argv": ("\ud83d", "\ude02")},
    ],
)
def test_path_that_is_not_unicode(members: dict[str, object]) -> None:
    """A name that can't be hashed, shown or logged can't be elevated; the error says what to do."""
    with pytest.raises(TaskInvalidError, match="not Unicode") as caught:
        replace(TASK, **members)  # type: ignore[arg-type]
    assert caught.value.hint == "rename the file or folder"


@pytest.mark.parametrize("name", ["user", "sid", "machine", "executable", "service", "groups", "chain"])
def test_requester_that_is_not_unicode(name: str) -> None:
    """The same for whoever asks."""
    value: object = ("\udcff",) if name in {"groups", "chain"} else "\udcff"
    with pytest.raises(HostError, match="not Unicode"):
        replace(REQUESTER, **{name: value})  # type: ignore[arg-type]


def test_reason_that_is_not_unicode() -> None:
    """The same for the reason."""
    with pytest.raises(TaskInvalidError, match="the reason is not Unicode text"):
        replace(AGREEMENT, reason="\ud800")


@pytest.mark.parametrize("sha256", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", "à" * 64])
def test_file_digest(sha256: str) -> None:
    """A digest is 64 lower-case hexadecimal characters."""
    for kind in (lambda: FileFact(path="/a", sha256=sha256, size=1), lambda: Blob(sha256=sha256, size=0)):
        with pytest.raises(HostError, match="64 hexadecimal characters"):
            kind()


def test_file_size() -> None:
    """A size is not negative."""
    assert Blob(sha256=A, size=0).size == 0
    with pytest.raises(HostError):
        FileFact(path="/a", sha256=A, size=-1)


def test_target_that_is_not_there_yet() -> None:
    """It has no digest, and its task another digest than that of an empty file."""
    absent, empty = FileFact(path="/a", sha256="", size=0), FileFact(path="/a", sha256=A, size=0)
    assert replace(TASK, file=absent).digest != replace(TASK, file=empty).digest != replace(TASK, file=None).digest


@pytest.mark.parametrize("seconds", [1, 120])
def test_token_seconds_within(seconds: int) -> None:
    """A token lives 1 to 120 seconds."""
    assert Obligations(token_seconds=seconds).token_seconds == seconds


@pytest.mark.parametrize("seconds", [-1, 0, 121, 10**18])
def test_token_seconds_beyond(seconds: int) -> None:
    """No decision can ask for a longer token."""
    with pytest.raises(PolicyError, match="a token lives 1 to 120 seconds"):
        Obligations(token_seconds=seconds)


def test_other_obligations_are_bounded() -> None:
    """The time limit is at most a day; a strength is one of four."""
    assert Obligations(time_limit_seconds=86_400, min_strength="hardware").min_strength == "hardware"
    for bad in (-1, 86_401):
        with pytest.raises(PolicyError, match="a time limit is at most 86400 seconds"):
            Obligations(time_limit_seconds=bad)
    for strength in ("", "none", "PIN"):
        with pytest.raises(PolicyError, match="one of any, pin, biometric, hardware"):
            Obligations(min_strength=strength)


def test_the_nonce_is_not_shown() -> None:
    """The nonce is in no repr."""
    assert "nonce" not in repr(AGREEMENT)
