"""Rows of fidelity.md to the letter, where a part of one only shows in a whole elevation: account, session, use and event."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from elevate.audit import Entry, leaf_hash, opened
from elevate.audit.context import Context
from elevate.audit.export import windows
from elevate.broker import Broker
from elevate.errors import DeclinedError, DeniedError, PolicyError, TokenSpentError
from elevate.model import Allow
from elevate.policy import Question, Source, load
from elevate.receipt import Receipt
from elevate.resources import shipped
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.fidelity.test_broker import PIN, Desk, Person
from tests.unit.host.windows.programs import Program, manifest

EVENT = "{http://schemas.microsoft.com/win/2004/08/events/event}"
DECLINED, APPROVED = 15032, 15031


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock()
    with Broker.embedded(tmp_path / "state", clock=clock, pin=PIN) as broker:
        yield Desk(broker, clock, Person(broker))


def entries(desk: Desk) -> list[Entry]:
    """Give the entries of the last request, opened."""
    store = desk.broker.parts.store
    return [opened(*pair) for pair in zip(store.entries_of(desk.request), store.openings_of(desk.request), strict=True)]


def exported(desk: Desk) -> list[ET.Element]:
    """Give the Windows events of the last request."""
    context = Context(lambda _: iter(()))
    hashes = [leaf_hash(data) for data in desk.broker.parts.store.entries_of(desk.request)]
    lines = [windows(entry, context.feed(entry), digest) for entry, digest in zip(entries(desk), hashes, strict=True)]
    return [ET.fromstring(line) for line in lines if line]  # noqa: S314 - our own


def test_03_no_descriptor_and_no_key_is_left(desk: Desk, tmp_path: Path) -> None:
    """Neither program nor input is held open any more; the key that signs tokens is in no file."""
    with desk.elevate(Task.run(["cat"], stdin=b"x")) as grant:
        assert {os.path.realpath("/usr/bin/cat")} <= _held()
        grant.run(capture=True)
    secret = desk.broker.parts.key.private.private_bytes_raw()

    assert not {path for path in _held() if path.endswith("/cat") or "payload" in path}
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def _held() -> set[str]:
    """Give what this process's descriptors lead to."""
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def test_06_nobody_has_an_account_before_the_first_approval(desk: Desk) -> None:
    """Asking makes none, nor does declining; the first approval makes one, the second no other."""
    found = []
    for error in (DeclinedError("no"), None, None):
        desk.person.error = error
        if error is not None:
            with pytest.raises(DeclinedError):
                desk.elevate()
        else:
            desk.elevate().run(capture=True)
        found.append([user.smaa for user in desk.broker.parts.host.users()])  # type: ignore[attr-defined]  # the emulated one
    assert found[0] == [None]
    assert found[1] == found[2] != [None]


def test_08_one_place_mints_and_one_place_starts() -> None:
    """In the whole code one call makes a token, and one starts an admin process."""
    code = {path: path.read_text() for path in shipped("elevate").rglob("*.py")}
    mints = [path.name for path, text in code.items() if re.search(r"(?<!def )\bmint\(", text)]
    starts = [path.name for path, text in code.items() if re.search(r"\bhost\.start\(", text)]
    assert (mints, starts) == (["issuing.py"], ["starting.py"])


def test_09_the_session_is_on_the_token_and_in_the_log(desk: Desk) -> None:
    """Never the same twice; every entry has the request's id, whose session the first and the issue name."""
    seen = set()
    for _ in range(3):
        grant = desk.elevate()
        grant.run(capture=True)
        found = entries(desk)
        assert {entry.request for entry in found} == {grant.request}
        named = {entry.event: entry.body["actor"]["session"] for entry in found if entry.event in {"requested", "issued"}}  # type: ignore[index, call-overload]  # JSON
        assert set(named.values()) == {grant.claims.session}
        seen.add(grant.claims.session)
    assert len(seen) == 3


def test_11_34_the_receipt_names_user_account_and_what_was_written(desk: Desk) -> None:
    """An uninstaller finds the profile by it."""
    outcome = desk.elevate(Task.run(["/bin/sh", "-c", "echo text > ~/Documents/letter.txt"])).run(capture=True)
    receipt = Receipt.read(outcome.receipt)
    assert (receipt.user, receipt.identity) == (desk.me.user, f"ADMIN_{desk.me.user}")
    assert [one.path.rpartition("/Users/")[2] for one in receipt.written] == [f"{receipt.identity}/Documents/letter.txt"]
    assert receipt.left_in_profile() == (receipt.written[0].path,)


def test_13_a_second_use_is_refused_as_used(desk: Desk) -> None:
    """By its own name, with an alarm in the log; nothing runs again."""
    grant = desk.elevate()
    grant.run(capture=True)
    with pytest.raises(TokenSpentError) as caught:
        grant.run(capture=True)
    assert (caught.value.code, desk.events()[-2:]) == ("token-spent", ["destroyed", "second-use"])


def test_20_results_carry_the_numbers(desk: Desk) -> None:
    """Declined and needed: what the caller gets; the log has a decline as an outcome, not as a failure."""
    desk.person.error = DeclinedError("no")
    with pytest.raises(DeclinedError) as declined:
        desk.elevate()
    assert (declined.value.windows_code, desk.events()[-1]) == (1223, "declined")
    with pytest.raises(DeniedError) as denied:
        desk.elevate(Task.run(["su"]))
    assert denied.value.windows_code == 740


@pytest.mark.parametrize("approved", [True, False])
def test_22_23_the_exported_event(desk: Desk, *, approved: bool) -> None:
    """Exactly one for each request, from Windows' provider, with Windows' fields and number."""
    if approved:
        desk.elevate().run(capture=True)
    else:
        desk.person.error = DeclinedError("no")
        with pytest.raises(DeclinedError):
            desk.elevate()

    (event,) = exported(desk)
    (provider,) = event.iter(f"{EVENT}Provider")
    assert provider.attrib == {"Name": "Microsoft-Windows-LUA", "Guid": "{93c05d69-51a3-485e-877f-1806a8731346}"}
    assert event.findtext(f".//{EVENT}EventID") == str(APPROVED if approved else DECLINED)
    data = {one.get("Name"): one.text or "" for one in event.iter(f"{EVENT}Data")}
    assert (data["UserSid"], data["ApplicationName"]) == (desk.me.sid, "true")
    assert data["ApplicationPath"] == os.path.realpath("/usr/bin/true")
    assert data["Outcome"] == ("Approved" if approved else "NotApproved")
    assert data["SystemManagedAccount"] == (f"ADMIN_{desk.me.user}" if approved else "")
    assert bool(data["AuthenticationMethod"]) is approved


def test_26_a_kind_comes_from_the_machine_s_own_folder_with_a_name() -> None:
    """One whose description names nothing is refused when the folder is read."""
    allow = '[[rule]]\nid = "a"\neffect = "allow"\ntask = { kind = "acme.go" }\n'
    head = '[[kind]]\nname = "acme.go"\nargv = ["/usr/bin/true"]\n'
    for shown in ("", 'display_name = ""\n', 'display_name = "  "\n'):
        with pytest.raises(PolicyError, match=r"display_name|display name"):
            load([Source(name="a.toml", data=(head + shown + allow).encode())])
    named = load([Source(name="a.toml", data=(head + 'display_name = "Go"\n' + allow).encode())])
    assert "acme.go" in named.kinds


def test_28_several_steps_are_on_one_token(desk: Desk) -> None:
    """The scope is the whole task, and the token lists its steps; the next token has nothing of them."""
    steps = [Task.run(["true"]), Task.service("Spooler", "start")]
    grant = desk.elevate(Task.in_order(steps))
    assert grant.claims.steps == (os.path.realpath("/usr/bin/true"), "start Spooler")
    grant.run(capture=True)
    assert desk.elevate().claims.steps == (os.path.realpath("/usr/bin/true"),)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [('manifest = "requireAdministrator"', True), ('manifest = "asInvoker"', False), ("installer = true", True)],
)
def test_29_30_rules_go_by_what_a_real_file_says(desk: Desk, asked: str, *, allowed: bool) -> None:
    """Level and installer detection, read from a PE file, decide."""
    pytest.importorskip("lief")
    file = Path(desk.broker.home.folder) / "machine" / "drive_c" / "ProgramData" / "notes-setup.exe"
    file.write_bytes(Program(manifest=manifest("requireAdministrator")).build())
    file.chmod(0o755)
    rule = f'[[rule]]\nid = "a"\neffect = "allow"\ntask = {{ kind = "process.run", {asked} }}\n'
    inspection = desk.broker.parts.host.inspect(Task.run([str(file)]), desk.me)
    inspection.close()
    question = Question(requester=desk.me, task=inspection.task, now=desk.clock.read(), reason="")
    assert isinstance(load([Source(name="a.toml", data=rule.encode())]).decide(question), Allow) is allowed
