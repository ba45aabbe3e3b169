"""The demo's installer on the emulated machine: plan, several steps under one token, roll back, upgrade, uninstall."""

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.errors import DeniedError, TaskInvalidError
from elevate.host.folders import Folder
from elevate.host.registry import MACHINE, Registry
from elevate.outcome import Progress
from elevate.resources import shipped
from elevate.tasks import Task

KEY = r"SOFTWARE\Contoso\Notes"
MENU = "ProgramData/Microsoft/Windows/Start Menu/Programs/Contoso Notes.lnk"


@pytest.fixture(scope="module")
def setup() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("contoso_setup", shipped("demo/installer/setup.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state") as broker:
        digest = hashlib.sha256(shipped("demo/installer/steps.py").read_bytes()).hexdigest()
        rule = shipped("demo/installer/policy.toml").read_text().replace('"SHA256"', f'"{digest}"')
        file = tmp_path / "state" / "policy" / "contoso.toml"
        file.write_text(rule)
        file.chmod(0o600)
        broker.reload_policy()
        yield broker


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return tmp_path / "state" / "machine" / "drive_c"


def settings(drive: Path) -> object:
    with Folder.open(drive.parent / "registry") as folder:
        return Registry(folder).read(MACHINE, KEY)


def contents(drive: Path) -> dict[str, bytes]:
    return {str(path.relative_to(drive)): path.read_bytes() for path in drive.rglob("*") if path.is_file()}


def test_28_several_steps_under_one_token(broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path) -> None:
    """One prompt, one token; the steps are done in the order in which they are planned and shown."""
    product = setup.Setup(broker, tmp_path / "user")
    planned = product.plan("1.0")

    receipt = product.install("1.0")

    assert [one.outcome for one in planned] == ["credential"] * 8
    assert product.progress == [f"step {n} of 8: {one.task.display()}" for n, one in enumerate(planned, 1)]
    assert [step.kind for step in receipt.steps] == [one.task.kind for one in planned]
    assert (drive / "Program Files/Contoso Notes/notes").read_text().endswith("Contoso Notes 1.0\n")
    assert settings(drive) == {"Version": "1.0", "Folder": r"C:\Program Files\Contoso Notes"}
    assert (drive / MENU).exists()
    with Folder.open(drive.parent / "registry") as folder:
        entry = Registry(folder).read(MACHINE, r"SYSTEM\CurrentControlSet\Services\ContosoNotes")
    assert entry == {"ImagePath": r"C:\Program Files\Contoso Notes\notes", "Start": 3, "State": "running"}


@pytest.mark.parametrize("version", ["", "1.0"])
@pytest.mark.parametrize("failing", [0, 2, 4, 7])
def test_a_failed_step_undoes_all(
    broker: Broker,
    setup: ModuleType,
    drive: Path,
    tmp_path: Path,
    failing: int,
    version: str,
) -> None:
    """Whichever fails, on a fresh machine or in an upgrade: files and registry are as before."""
    product = setup.Setup(broker, tmp_path / "user")
    if version:
        product.install(version)
    before = contents(drive), settings(drive) or None

    class Failing(setup.Setup):  # type: ignore[name-defined,misc]
        def steps(self, version: str) -> list[Task]:
            steps = super().steps(version)
            return [*steps[:failing], Task.run(["false"]), *steps[failing:]]

    broken = Failing(broker, tmp_path / "user")
    with pytest.raises(setup.SetupError):
        broken.install("2.0")

    assert (contents(drive), settings(drive) or None) == before
    assert broken.progress[-1] == "undoing"


@pytest.mark.parametrize("at", [1, 4])
def test_a_cancelled_installation_is_undone(broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path, at: int) -> None:
    """Whoever leaves in the middle finds the machine as it was."""

    def leave(progress: Progress) -> None:
        if progress.step == at and not progress.ended:
            raise KeyboardInterrupt

    before = contents(drive), settings(drive) or None
    with pytest.raises(KeyboardInterrupt):
        setup.Setup(broker, tmp_path / "user", listen=leave).install("1.0")
    assert (contents(drive), settings(drive) or None) == before


def test_what_stands_in_the_way_fails_before_anybody_is_asked(
    broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path
) -> None:
    """A step that can't be done as it is asked is no question for the person."""
    (drive / MENU).mkdir()
    before = broker.parts.store.head()[0]
    with pytest.raises(TaskInvalidError):
        setup.Setup(broker, tmp_path / "user").install("1.0")
    told = [parse(entry).event for entry in broker.parts.store.entries(before)]
    assert told == ["requested", "failed"]


def test_an_installation_that_was_cut_off_is_put_right_by_the_next(
    broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path
) -> None:
    """As after a power cut: what was kept first is what an undo goes back to."""
    product = setup.Setup(broker, tmp_path / "user")
    before = contents(drive)
    with broker.elevate(product.steps("1.0")[:3], reason="cut off") as grant:
        assert grant.run(capture=True).exit_status == 0

    product.install("2.0")
    product.uninstall()

    assert contents(drive) == before


def test_an_upgrade_keeps_one_product(broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path) -> None:
    product = setup.Setup(broker, tmp_path / "user")
    product.install("1.0")
    before = set(contents(drive))

    product.install("2.0")

    assert set(contents(drive)) == before
    assert "2.0" in str(settings(drive))


def test_34_uninstall_finds_the_right_profile_by_the_receipt(
    broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path
) -> None:
    """What an older version left in the hidden account's profile is found there, not in the user's."""
    before = contents(drive)
    product = setup.Setup(broker, tmp_path / "user")
    receipt = product.install("1.0")
    left: Any = broker.elevate(Task.run(["/bin/sh", "-c", "echo x > $HOME/Documents/notes.ini"])).run(capture=True).receipt
    kept = tmp_path / "user" / "receipt.json"
    told: Any = json.loads(kept.read_text())
    kept.write_text(json.dumps(told | {"written": [*told["written"], *left["written"]]}))

    (path,) = product.left_in_profile()
    product.uninstall()

    assert path == str(drive / f"Users/{receipt.identity}/Documents/notes.ini")
    assert contents(drive) == before
    assert not settings(drive)


def test_only_this_program_may_do_it(broker: Broker, tmp_path: Path) -> None:
    """Changed by one byte, or asked for other steps, it is another task; one such step denies all."""
    helper = tmp_path / "steps.py"
    helper.write_bytes(shipped("demo/installer/steps.py").read_bytes() + b"\n")
    helper.chmod(0o755)
    own = os.fspath(shipped("demo/installer/steps.py"))

    with pytest.raises(DeniedError):
        broker.elevate(Task.run([str(helper), "files"], stdin=b"{}"), reason="x")
    with pytest.raises(DeniedError):
        broker.elevate(Task.run([own, "rm"], stdin=b"{}"), reason="x")
    with pytest.raises(DeniedError, match="step 2"):
        broker.elevate([Task.run([own, "commit"]), Task.run([own, "rm"])], reason="x")
