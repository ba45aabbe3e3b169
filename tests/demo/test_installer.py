"""The demo's installer on the emulated machine: plan, several steps under one token, roll back, upgrade, uninstall."""

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from elevate.broker import Broker
from elevate.errors import DeniedError
from elevate.host.folders import Folder
from elevate.host.registry import MACHINE, Registry
from elevate.resources import shipped
from elevate.tasks import Task

KEY = r"SOFTWARE\Contoso\Notes"


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


def files(drive: Path) -> set[str]:
    return {str(path.relative_to(drive)) for path in drive.rglob("*") if path.is_file()}


def test_28_several_steps_under_one_token(broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path) -> None:
    """One prompt, one token; the steps are done in the order that the prompt showed."""
    product = setup.Setup(broker, tmp_path / "user")

    outcome = product.install("1.0")

    assert [step.name for step in product.plan()] == ["files", "service", "settings", "shortcut"]
    assert product.progress == [f"step {n} of 4: {step.name}" for n, step in enumerate(product.plan(), 1)]
    assert outcome.receipt["task"].endswith("steps.py install files service settings shortcut")
    assert (drive / "Program Files/Contoso Notes/notes").read_text().endswith("Contoso Notes 1.0\n")
    assert settings(drive) == {"Version": "1.0", "Folder": str(drive / "Program Files/Contoso Notes")}


@pytest.mark.parametrize("obstacle", ["Program Files/Contoso Notes/readme.txt", "ProgramData/Microsoft"])
@pytest.mark.parametrize("version", ["", "1.0"])
def test_a_failed_step_undoes_all(
    broker: Broker,
    setup: ModuleType,
    drive: Path,
    tmp_path: Path,
    obstacle: str,
    version: str,
) -> None:
    """Whether it fails at the first step or the last, on a fresh machine or in an upgrade: files and registry are as before."""
    product = setup.Setup(broker, tmp_path / "user")
    if version:
        product.install(version)
        if obstacle == "ProgramData/Microsoft":
            obstacle = "ProgramData/Microsoft/Windows/Start Menu/Programs/Contoso Notes.lnk"
        (drive / obstacle).unlink()
        (drive / obstacle).mkdir()
    elif obstacle == "ProgramData/Microsoft":
        (drive / obstacle).write_text("in the way")
    else:
        (drive / obstacle).mkdir(parents=True)
    before = files(drive), settings(drive) or None

    with pytest.raises(setup.SetupError):
        product.install("2.0")

    assert (files(drive), settings(drive) or None) == before
    assert product.progress[-1].startswith("undoing: ")


def test_an_upgrade_keeps_one_product(broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path) -> None:
    product = setup.Setup(broker, tmp_path / "user")
    product.install("1.0")
    before = files(drive)

    product.install("2.0")

    assert files(drive) == before
    assert "2.0" in str(settings(drive))


def test_34_uninstall_finds_the_right_profile_by_the_receipt(
    broker: Broker, setup: ModuleType, drive: Path, tmp_path: Path
) -> None:
    """What an older version left in the hidden account's profile is found there, not in the user's."""
    before = files(drive)
    product = setup.Setup(broker, tmp_path / "user")
    outcome = product.install("1.0")
    left = broker.elevate(Task.run(["/bin/sh", "-c", "echo x > $HOME/Documents/notes.ini"])).run(capture=True)
    receipt = dict(outcome.receipt) | {"written": [*outcome.receipt["written"], *left.receipt["written"]]}  # type: ignore[misc]
    (tmp_path / "user" / "receipt.json").write_text(json.dumps(receipt))

    (path,) = product.left_in_profile()
    product.uninstall()

    assert path == str(drive / f"Users/{outcome.receipt['identity']['name']}/Documents/notes.ini")
    assert files(drive) == before
    assert not settings(drive)


def test_only_this_program_may_do_it(broker: Broker, tmp_path: Path) -> None:
    """Changed by one byte, or asked for other steps, it is another task."""
    helper = tmp_path / "steps.py"
    helper.write_bytes(shipped("demo/installer/steps.py").read_bytes() + b"\n")
    helper.chmod(0o755)

    with pytest.raises(DeniedError):
        broker.elevate(Task.run([str(helper), "install", "files"], stdin=b"{}"), reason="x")
    with pytest.raises(DeniedError):
        broker.elevate(Task.run([os.fspath(shipped("demo/installer/steps.py")), "install", "rm"], stdin=b"{}"), reason="x")
