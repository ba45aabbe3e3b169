"""Rows of fidelity.md that only a whole broker shows: the prompt, the outcomes, the queue, what is left between tasks."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import opened, parse
from elevate.broker import Ask, Broker, Cancellation, Grant, Terms
from elevate.broker.prompting import ScriptedPrompter
from elevate.broker.turns import MAX_WAITING
from elevate.canonical import Json
from elevate.errors import (
    BusyError,
    CancelledError,
    DeclinedError,
    DeniedError,
    GestureError,
    LockedOutError,
    NotEnrolledError,
    PromptTimedOutError,
    TaskInvalidError,
    TaskKindUnknownError,
    TokenSpentError,
)
from elevate.hello.render import COLOURED_LINES, lines
from elevate.hello.view import TIMEOUT_SECONDS, prompt_view, refusal_view
from elevate.host.processes import read_process
from elevate.host.windows import tokens
from elevate.lifecycle import APPROVED, NOT_APPROVED
from elevate.model import Fact, FactValue, Requester
from elevate.ports import Assertion, Cancel
from elevate.tasks import KINDS, KindSpec, Task
from elevate.testing import ManualClock
from tests.hello.parts import OFFER, agreement

PIN = b"274913"
TRUE = Task.run(["true"])


@dataclass
class Person:
    """Sees every prompt, does what the test says, and then lets the sensor answer."""

    broker: Broker
    error: Exception | None = None
    pin: bytes = b""
    views: list[Mapping[str, Json]] = field(default_factory=list)
    challenges: list[bytes] = field(default_factory=list)

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        self.views.append(view)
        self.challenges.append(challenge)
        if self.error is not None:
            raise self.error
        if self.pin:
            return ScriptedPrompter(self.broker.hello, self.pin).ask(view, user, challenge, cancel=cancel)
        return self.broker.prompter(None).ask(view, user, challenge, cancel=cancel)


@dataclass
class Desk:
    """A broker and the person before it."""

    broker: Broker
    clock: ManualClock
    person: Person
    request: str = ""

    @property
    def me(self) -> Requester:
        return self.broker.requester(read_process(os.getpid()))

    def elevate(self, task: Task = TRUE, *, requester: Requester | None = None, cancel: Cancel | None = None) -> Grant:
        def listen(request: str, _state: object) -> None:
            self.request = request

        terms = Terms(prompter=lambda: self.person, cancel=cancel or Cancellation(), listener=listen)
        return self.broker.request(Ask(task=task, requester=requester or self.me), terms)

    def events(self) -> list[str]:
        return [parse(entry).event for entry in self.broker.parts.store.entries_of(self.request)]

    def body(self, event: str) -> dict[str, Json]:
        store = self.broker.parts.store
        found = map(opened, store.entries_of(self.request), store.openings_of(self.request))
        return dict(next(entry.body for entry in found if entry.event == event))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock()
    with Broker.embedded(tmp_path / "state", clock=clock, pin=PIN) as broker:
        yield Desk(broker, clock, Person(broker))


def test_02_no_user_account_control_makes_all_of_it_inert(tmp_path: Path) -> None:
    """`status` says so, with the reason, once the machine has started with it."""
    with Broker.embedded(tmp_path / "state") as broker:
        assert (broker.status()["protected"], broker.status()["inert"]) == (True, "")
    path = tmp_path / "state" / "settings.toml"
    path.write_text(path.read_text().replace("EnableLUA = 1", "EnableLUA = 0"))
    with Broker.open(tmp_path / "state") as broker:
        assert broker.status()["protected"] is False
        assert "EnableLUA is 0" in str(broker.status()["inert"])


def test_03_between_tasks_nothing_grants_admin(desk: Desk, tmp_path: Path) -> None:
    """No process of the elevation lives, no file holds its token, no grant is open; the standard token has no admin part."""
    with desk.elevate() as grant:
        token = grant.token.encode()
        grant.run(capture=True)

    session = f"ELEVATE_SESSION={grant.claims.session}".encode()
    living = [path for path in Path("/proc").glob("[0-9]*/environ") if session in _read(path).split(b"\0")]
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert (living, holding, desk.broker.status()["open_requests"]) == ([], [], 0)
    assert list((tmp_path / "state" / "machine" / "scratch").iterdir()) == []
    assert tokens.ADMINISTRATORS not in dict(tokens.STANDARD.groups).values()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_12_integrity_levels_are_in_the_log(desk: Desk) -> None:
    """The one who asks at medium, the task at high."""
    desk.elevate().run(capture=True)
    body: Any = desk.body("issued")

    assert body["actor"]["integrity"] == 8192
    assert body["process"]["identity"]["integrity"] == 12288


def test_16_n_tasks_take_n_authentications(desk: Desk) -> None:
    """No grace period and no cache: each is asked for, each with a challenge of its own."""
    for _ in range(3):
        desk.elevate().run(capture=True)

    assert len(desk.person.views) == 3
    assert len(set(desk.person.challenges)) == 3


GOLDEN = {
    "grey": " elevate: allow this task to act as administrator? ",
    "yellow": " elevate: allow this task of an unknown publisher to act as administrator? ",
    "red": " elevate: this task is blocked ",
}
PUBLISHERS: dict[str, FactValue] = {"grey": "Contoso", "yellow": Fact.ABSENT}


@pytest.mark.parametrize("colour", list(GOLDEN))
def test_18_one_rendering_for_each_class(colour: str) -> None:
    """Head and description both carry the colour; the publisher is named only where it is verified."""
    asked = agreement()
    if colour == "red":
        view = refusal_view(asked.task, asked.requester, message="not here", emulated=True)
    else:
        facts = tuple(sorted({**dict(asked.task.facts), "signer": PUBLISHERS[colour]}.items()))
        view = prompt_view(replace(asked, task=replace(asked.task, facts=facts)), OFFER, emulated=True)

    shown = lines(view, phrase="")

    assert shown[:COLOURED_LINES] == [GOLDEN[colour], " Run a program: /usr/bin/id -u "]
    assert any("Contoso" in line for line in shown) is (colour != "yellow")


def test_19_the_prompt_shows_what_was_found(desk: Desk, tmp_path: Path) -> None:
    """The real path behind a link, its hash, the arguments; a caller has no way to give a title."""
    link = tmp_path / "harmless"
    link.symlink_to("/bin/echo")
    desk.elevate(Task.run([str(link), "an argument"])).run(capture=True)

    (view,) = desk.person.views
    assert view["path"] == os.path.realpath("/bin/echo")
    assert view["argv"] == [os.path.realpath("/bin/echo"), "an argument"]
    assert view["sha256"] == hashlib.sha256(Path("/bin/echo").read_bytes()).hexdigest()
    assert view["title"] == KINDS["process.run"].display_name
    with pytest.raises(TaskInvalidError):
        Task.parse("process.run", {"argv": ["true"], "cwd": "/", "title": "Windows Update"})


def test_20_windows_numbers() -> None:
    """Declined 1223, elevation needed 740; a decline is a refusal and no failure of the broker."""
    assert (DeclinedError.windows_code, DeniedError.windows_code) == (1223, 740)
    assert DeclinedError.exit_code == DeniedError.exit_code == 126


def test_21_the_prompt_times_out_after_two_minutes(desk: Desk) -> None:
    """Like a decline for the caller, and an outcome of its own in the log."""
    desk.person.error = PromptTimedOutError("nobody answered")

    with pytest.raises(PromptTimedOutError):
        desk.elevate()

    assert (TIMEOUT_SECONDS, PromptTimedOutError.windows_code) == (120, 1223)
    assert desk.person.views[0]["timeout_seconds"] == 120
    assert desk.events()[-1] == "timed-out"


ENDS: tuple[tuple[Exception | None, str], ...] = (
    (None, "issued"),
    (DeclinedError("no"), "declined"),
    (PromptTimedOutError("late"), "timed-out"),
    (LockedOutError("locked"), "locked-out"),
    (CancelledError("gone"), "cancelled"),
    (GestureError("wrong"), "failed"),
)


@pytest.mark.parametrize(("error", "expected"), ENDS)
def test_22_one_outcome_for_each_request(desk: Desk, error: Exception | None, expected: str) -> None:
    """Approved (15031) or not (15032): exactly one entry of these, whatever happened, and running adds none."""
    desk.person.error = error
    if error is None:
        desk.elevate().run(capture=True)
    else:
        with pytest.raises(type(error)):
            desk.elevate()

    outcomes = [event for event in desk.events() if event in {state.value for state in APPROVED | NOT_APPROVED}]
    assert outcomes == [expected]


def test_22_a_denied_request_has_one_outcome_too(desk: Desk) -> None:
    with pytest.raises(DeniedError):
        desk.elevate(Task.run(["su"]))

    assert desk.events() == ["requested", "denied"]


def test_23_what_an_outcome_names(desk: Desk) -> None:
    """Requester's SID, application name and path, outcome, the hidden account, authentication method."""
    grant = desk.elevate()
    body: Any = desk.body("issued")

    assert body["actor"]["sid"] == grant.agreement.requester.sid
    assert body["task"]["display"] == "true"
    assert str(body["task"]["path"]).endswith("/true")
    assert body["decision"]["outcome"] in {"credential", "consent"}
    assert body["process"]["identity"]["name"] == grant.identity.name
    assert body["authentication"]["method"]


@pytest.mark.parametrize("setting", ["everybody", "listed"])
def test_25_a_remote_administrator_is_refused(desk: Desk, setting: str) -> None:
    """Nobody is asked, and the log says who it was; one of the two settings lets it through."""
    remote = replace(desk.me, remote=True)

    with pytest.raises(DeniedError, match="remote"):
        desk.elevate(requester=remote)

    assert desk.person.views == []
    assert desk.events()[-1] == "denied"
    lets = {"remote": True} if setting == "everybody" else {"remote_listed": (remote.user,)}
    desk.person.pin = PIN
    object.__setattr__(desk.broker.parts, "settings", replace(desk.broker.parts.settings, **lets))  # as a restart would
    assert desk.elevate(requester=remote).run(capture=True).exit_status == 0


@pytest.mark.parametrize("name", ["", "  "])
def test_26_a_kind_without_a_display_name_is_refused(name: str) -> None:
    """The kinds are a closed list; one that a prompt could not name can't be made, and an unknown one can't be asked for."""
    with pytest.raises(TaskInvalidError, match="display name"):
        KindSpec(name="x.y", display_name=name, params={})
    with pytest.raises(TaskKindUnknownError):
        Task.parse("com.elevate", {})
    assert all(spec.display_name for spec in KINDS.values())


def test_27_one_prompt_at_a_time(desk: Desk) -> None:
    """A second request of the same user waits, no prompt is shown for it; the number of those who wait is bounded."""
    turns, user = desk.broker.parts.turns, desk.me.user
    gone = Cancellation()
    gone.cancel()

    with turns.take(user, Cancellation()):
        with pytest.raises(CancelledError):
            desk.elevate(cancel=gone)
        assert desk.person.views == []
        turns._people[user].waiting.extend([object()] * MAX_WAITING)
        with pytest.raises(BusyError):
            desk.elevate()
        turns._people[user].waiting.clear()


def test_28_a_task_remembers_no_elevated_state(desk: Desk) -> None:
    """The token's scope is the task with its steps; nothing of one task is in the next."""
    grant = desk.elevate(Task.run(["/bin/sh", "-c", "echo x > $TMPDIR/kept; echo $TMPDIR"]))
    first = grant.run(capture=True).stdout.decode().strip()
    second = desk.elevate(Task.run(["/bin/sh", "-c", "ls $TMPDIR; echo $ELEVATE_SESSION"])).run(capture=True)

    assert grant.claims.steps == (grant.claims.display,)
    assert not Path(first).exists()
    assert second.stdout.decode().split() != []
    assert b"kept" not in second.stdout
    assert grant.claims.session.encode() not in second.stdout
    with pytest.raises(TokenSpentError):
        grant.run()


def test_31_with_nobody_to_ask_it_is_refused(desk: Desk) -> None:
    """A task with highest privileges and no person: no gesture can be made, so nothing runs."""
    desk.broker.hello.reset(desk.me.user)

    with pytest.raises(NotEnrolledError):
        desk.elevate()

    assert "issued" not in desk.events()
