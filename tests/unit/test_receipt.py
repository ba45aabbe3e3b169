"""A receipt as values: what ran, what was written, and the way back."""

import json
from collections.abc import Iterator

import pytest

import elevate
from elevate.broker import Broker
from elevate.errors import TaskInvalidError
from elevate.receipt import Receipt
from elevate.tasks import Task

THEME = Task.setting(r"HKLM\SOFTWARE\Contoso\Notes", "Theme", "dark")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker.embedded(tmp_path_factory.mktemp("receipt") / "state") as broker:
        yield broker


def sh(text: str) -> Task:
    return Task.run(["/bin/sh", "-c", text])


def test_a_receipt_survives_being_kept(broker: Broker) -> None:
    """As an installer does: JSON in the user's folder, read again by the uninstaller; what is newer is left out."""
    outcome = broker.elevate([sh("echo x > $HOME/notes.ini"), THEME]).run(capture=True)
    receipt = Receipt.read(json.loads(json.dumps(dict(outcome.receipt) | {"newer": 1})))

    assert receipt == Receipt.read(outcome.receipt)
    assert [(one.step, one.kind, one.identity, one.exit_status) for one in receipt.steps] == [
        (1, "process.run", "account", 0),
        (2, "setting.change", "account", 0),
    ]
    assert receipt.whole
    (left,) = receipt.left_in_profile()
    assert left.endswith(f"/Users/{receipt.identity}/notes.ini")
    assert [(one.step, one.change) for one in receipt.written] == [(1, "created"), (2, "changed")]


def test_what_elevate_can_take_back_is_a_task_to_be_asked_for(broker: Broker) -> None:
    """Newest first, and asked for under one token like anything else."""
    broker.elevate([THEME]).run(capture=True)
    steps = [Task.setting(r"HKLM\SOFTWARE\Contoso\Notes", "Theme", "light"), Task.service("W32Time", "start")]
    receipt = Receipt.read(broker.elevate(steps).run(capture=True).receipt)

    assert receipt.undo_tasks() == (Task.service("W32Time", "stop"), THEME)
    assert broker.elevate(receipt.undo_tasks()).run(capture=True).exit_status == 0
    assert Receipt.read(broker.elevate(THEME).run(capture=True).receipt).undo_tasks() == (THEME,)


def test_what_it_can_not_is_said(broker: Broker) -> None:
    """A new setting can't be taken away by a task; a file that was there is named by the hash it had."""
    path = r"C:\ProgramData\notes.ini"
    broker.elevate(Task.write(path, b"a=1\n")).run(capture=True)
    new = Task.setting(r"HKLM\SOFTWARE\Contoso\Notes", "Never", 1)
    receipt = Receipt.read(broker.elevate([Task.write(path, b"a=2\n"), new]).run(capture=True).receipt)

    setting, file = receipt.undo
    assert (setting.do, setting.task, setting.what.endswith("Never")) == ("remove", None, True)
    assert (file.do, file.task) == ("restore", None)
    assert len(file.sha256) == 64
    assert receipt.undo_tasks() == ()


def test_a_task_that_is_one_has_no_steps(broker: Broker) -> None:
    receipt = Receipt.read(broker.elevate(THEME).run(capture=True).receipt)
    assert receipt.steps == ()
    assert {one.step for one in receipt.written} <= {1}
    assert elevate.Receipt is Receipt


@pytest.mark.parametrize("values", [{}, {"written": 1}, {"written": [], "identity": {}}, {"identity": None, "written": [{}]}])
def test_what_is_no_receipt(values: dict[str, object]) -> None:
    with pytest.raises(TaskInvalidError, match="no receipt"):
        Receipt.read(values)  # type: ignore[arg-type]  # the very point


def test_the_permission_bits_of_a_written_file_are_shown_and_kept(broker: Broker) -> None:
    """What the prompt shows, the receipt says; and how it was before, for whoever puts it back."""
    path = r"C:\ProgramData\secret.ini"
    first = Receipt.read(broker.elevate(Task.write(path, b"a=1\n", mode=0o600)).run(capture=True).receipt)
    kept = Receipt.read(broker.elevate(Task.write(path, b"a=2\n")).run(capture=True).receipt)
    steps = [Task.write(path, b"a=3\n", mode=0o640), Task.write(rf"{path}.new", b"")]
    opened = Receipt.read(broker.elevate(steps).run(capture=True).receipt)

    assert [one.mode for receipt in (first, kept, opened) for one in receipt.written] == ["0600", "0600", "0640", "0644"]
    assert [one.mode for receipt in (first, kept, opened) for one in receipt.undo] == ["", "0600", "", "0600"]
