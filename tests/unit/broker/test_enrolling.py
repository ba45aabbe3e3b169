"""The enrolment desk: what is typed on the terminal, who may do what, and what the log says."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from elevate.broker import Broker
from elevate.broker.cancel import Cancellation
from elevate.broker.enrolling import METHODS, Visit, call, visit
from elevate.broker.turns import FREE_REFUSALS
from elevate.canonical import Json
from elevate.errors import (
    BusyError,
    CancelledError,
    DeclinedError,
    DeniedError,
    GestureError,
    HelloError,
    LockedOutError,
    TaskInvalidError,
)
from elevate.hello import Proof
from elevate.model import Requester
from elevate.server.description import DESCRIPTION
from tests.hello.parts import CHEAPEST, PIN, USER, WRONG, agreement
from tests.hello.pty import Asking, Person

NEW = b"141421"
ENTER = b"\r"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One machine for the whole module; each test resets its user."""
    with Broker.embedded(tmp_path_factory.mktemp("desk") / "state") as made:
        made.hello.vault._settings = replace(made.hello.settings, kdf=CHEAPEST)
        yield made


class Desk:
    def __init__(self, broker: Broker, person: Person) -> None:
        self.broker, self.person = broker, person
        self.visit: Visit = visit(broker, requester(0), terminal=person.terminal)

    def calls(self, method: str, **parameters: Json) -> Asking[dict[str, Json]]:
        return Asking(lambda: call(self.visit, method, parameters))

    def answers(self, *lines: tuple[str, bytes]) -> None:
        for shown, typed in lines:
            self.person.sees(shown)
            self.person.types(typed + ENTER)


def requester(uid: int, user: str = USER) -> Requester:
    who = agreement().requester
    return replace(who, user=user, process=replace(who.process, uid=uid))


@pytest.fixture
def desk(broker: Broker) -> Iterator[Desk]:
    broker.hello.reset(USER)
    broker.parts.turns.answered(USER)
    with Person() as person:
        yield Desk(broker, person)


def enrolled(desk: Desk) -> None:
    desk.broker.hello.enrol_pin(USER, bytearray(PIN))


def events(broker: Broker) -> list[str]:
    return [orjson.loads(entry)["event"] for entry in broker.parts.store.entries()]


def test_a_first_pin_is_typed_twice(desk: Desk) -> None:
    """A mistyped or a simple one is asked for again; the log has it before it counts."""
    asking = desk.calls("HelloEnrol")
    desk.answers(
        ("Enter for none): ", b"green heron"),
        ("new PIN (at least 6 digits): ", PIN),
        ("the same again: ", WRONG),
        ("the two are not the same", b"111111"),
        ("the same again: ", b"111111"),
        ("simple ones", PIN),
        ("the same again: ", PIN),
    )
    told = asking.result()["enrolled"]
    assert isinstance(told, dict)
    assert (told["gesture"], told["key_store"]) == ("pin", "software")
    assert desk.broker.hello.offer(USER).phrase == "green heron"
    assert PIN.decode() not in desk.person.reads_on()
    assert events(desk.broker)[-1] == "hello-enrolling"


def test_a_face_needs_the_pin(desk: Desk) -> None:
    """A wrong one is a try; a right one enrols."""
    enrolled(desk)
    asking = desk.calls("HelloEnrol", gesture="face", label="laptop")
    desk.answers(("PIN: ", WRONG), ("wrong PIN; 3 tries left", PIN))
    told = asking.result()["enrolled"]
    assert isinstance(told, dict)
    assert (told["gesture"], told["label"], told["simulated"]) == ("face", "laptop", True)


def test_the_pin_is_verified_without_elevating(desk: Desk) -> None:
    """The answer says how."""
    enrolled(desk)
    asking = desk.calls("HelloVerify")
    desk.answers(("nothing is elevated", b""), ("PIN: ", PIN))
    told = asking.result()["verified"]
    assert isinstance(told, dict)
    assert (told["method"], told["amr"]) == ("pin", ["pin", "swk", "mfa"])


def test_a_pin_is_changed_on_the_proof_of_the_old_one(desk: Desk) -> None:
    """Then only the new one counts."""
    enrolled(desk)
    asking = desk.calls("HelloChangePin")
    desk.answers(("PIN: ", PIN), ("new PIN", NEW), ("the same again: ", NEW))
    asking.result()
    asking = desk.calls("HelloVerify")
    desk.answers(("PIN: ", PIN), ("wrong PIN", NEW))
    asking.result()


def test_a_gesture_is_removed_on_the_proof_of_the_pin(desk: Desk) -> None:
    """The list says what is left."""
    enrolled(desk)
    asking = desk.calls("HelloRemove", gesture="pin")
    desk.answers(("without a PIN there is no other gesture", b""), ("PIN: ", PIN))
    assert asking.result() == {"gestures": []}
    assert call(desk.visit, "HelloList", {}) == {"gestures": []}


def test_wrong_pins_lock_here_as_at_a_prompt(desk: Desk) -> None:
    """Three, the phrase, one more."""
    enrolled(desk)
    asking = desk.calls("HelloRemove", gesture="pin")
    desk.answers(*[("PIN: ", WRONG)] * 3, ("type A1B2C3", b"x"), ("not the phrase", b"A1B2C3"), ("PIN: ", WRONG))
    with pytest.raises(LockedOutError):
        asking.result()
    assert [one["gesture"] for one in desk.broker.hello.list(USER)] == ["pin"]


def test_ctrl_c_changes_nothing(desk: Desk) -> None:
    """At the second PIN."""
    asking = desk.calls("HelloEnrol")
    desk.answers(("Enter for none): ", b""), ("new PIN", PIN))
    desk.person.sees("the same again: ")
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()
    assert desk.broker.hello.list(USER) == []


def test_attack_45_nobody_manages_another_users_gestures(desk: Desk) -> None:
    """But root, who may."""
    enrolled(desk)
    mallory = replace(desk.visit, requester=requester(4711, "mallory"))
    for method in ("HelloList", "HelloReset", "HelloEnrol", "HelloRename", "HelloUnlock"):
        with pytest.raises(DeniedError):
            call(mallory, method, {"user": USER, "gesture": "pin"})
    assert [one["gesture"] for one in desk.broker.hello.list(USER)] == ["pin"]
    assert call(replace(desk.visit, requester=requester(0, "root")), "HelloReset", {"user": USER}) == {}


def test_35_visits_wait_in_the_queue_of_prompts_and_wear_out_patience(desk: Desk) -> None:
    """A second prompt does not come up beside the first, and who keeps declining is asked less and less."""
    enrolled(desk)
    turns = desk.broker.parts.turns
    asking = desk.calls("HelloChangePin")
    desk.person.sees("PIN: ")
    assert turns.open_prompts() == 1
    with pytest.raises(CancelledError):
        call(replace(desk.visit, cancel=_gone()), "HelloVerify", {})
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()
    for _ in range(FREE_REFUSALS):
        turns.refused(USER)
    with pytest.raises(BusyError):
        call(desk.visit, "HelloVerify", {})


def test_root_forgets_wrong_pins_and_keeps_the_gestures(desk: Desk) -> None:
    """The person is let in again by the same PIN, and the log names who did it."""
    enrolled(desk)
    for _ in range(3):
        with pytest.raises(GestureError):
            desk.broker.hello.change_pin(USER, Proof(gesture="pin", secret=bytearray(WRONG)), bytearray(NEW))
    assert desk.broker.hello.offer(USER).pin_phrase
    gestures = call(replace(desk.visit, requester=requester(0, "root")), "HelloUnlock", {"user": USER})["gestures"]
    assert isinstance(gestures, list)
    assert len(gestures) == 1
    assert not desk.broker.hello.offer(USER).pin_phrase
    assert events(desk.broker)[-1] == "hello-unlocking"


def _gone() -> Cancellation:
    switch = Cancellation()
    switch.cancel()
    return switch


def test_bad_calls_are_one_clear_error(desk: Desk) -> None:
    """No such method, parameter or sensor; no terminal; enrolled twice."""
    for method, parameters in (("HelloHack", {}), ("HelloList", {"root": True}), ("HelloList", {"user": 3})):
        with pytest.raises(TaskInvalidError):
            call(desk.visit, method, parameters)
    with pytest.raises(GestureError, match="no terminal"):
        call(replace(desk.visit, terminal=None), "HelloEnrol", {})
    enrolled(desk)
    for gesture in ("pin", "voice", "fingerprint"):
        with pytest.raises(HelloError):
            call(desk.visit, "HelloEnrol", {"gesture": gesture})


def test_the_devices_say_what_they_are(desk: Desk) -> None:
    """A scripted sensor says so."""
    devices = call(desk.visit, "HelloTest", {})["devices"]
    assert isinstance(devices, list)
    shown = {one["device"]: (one["kind"], one["simulated"]) for one in devices if isinstance(one, dict)}
    assert shown == {"software": ("key store", False), "face": ("sensor", True), "security-key": ("key store", False)}


def test_every_method_is_described() -> None:
    """In the interface's own words."""
    described = {line.split("(")[0].split()[1] for line in DESCRIPTION.splitlines() if line.startswith("method Hello")}
    assert described == set(METHODS)


def test_a_name_needs_no_proof(desk: Desk) -> None:
    """It opens nothing."""
    enrolled(desk)
    told = call(desk.visit, "HelloRename", {"gesture": "pin", "label": "mine"})["enrolled"]
    assert isinstance(told, dict)
    assert told["label"] == "mine"
