"""An installation for the user alone: nobody is asked, nothing is elevated, and it is found again by its receipt."""

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import elevate
from elevate.broker import Broker
from elevate.errors import CommandNotFoundError, RefusedError, TaskInvalidError
from elevate.installing import PLACE
from tests.unit.host import archives
from tests.unit.policy.build import rule


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own in the user database; the environment is not asked."""
    entry = pwd.getpwuid(0)
    found = pwd.struct_passwd((entry.pw_name, "x", 0, 0, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: found)  # the test's home is not in the machine's database
    for name in ("SUDO_UID", "ELEVATE_USER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


FILES = {"notes/a.txt": b"a", "notes/deep/b.txt": b"b"}


def wheel(home: Path, version: str = "1.0", files: Mapping[str, bytes] = FILES) -> Path:
    return archives.wheel(home / f"notes-{version}-py3-none-any.whl", files, version=version)


def below(home: Path) -> list[str]:
    folder = home / PLACE
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_it_needs_no_broker_and_leaves_a_receipt(home: Path) -> None:
    """Written below the user's own folder, in the user's own name; the receipt says what, and what takes it back."""
    receipt = elevate.install(wheel(home), scope="user")
    assert receipt.identity == receipt.user
    assert [one.path for one in receipt.written][:2] == [f"{home}/{PLACE}/notes/{name}" for name in FILES]
    assert {undo.do for undo in receipt.undo} == {"remove"}
    assert [undo.what for undo in receipt.undo] == [one.path for one in reversed(receipt.written)]
    assert "notes/notes/deep/b.txt" in below(home)


def test_an_upgrade_replaces_it_whole(home: Path) -> None:
    """What the new version has not is gone."""
    elevate.install(wheel(home), scope="user")
    elevate.install(wheel(home, "2.0", {"notes/c.txt": b"c"}), scope="user")
    assert "notes/notes/a.txt" not in below(home)
    assert "notes/notes/c.txt" in below(home)


def test_uninstall_goes_by_the_receipt(home: Path) -> None:
    """What the user changed or made stays; the rest is gone, and a second time there is nothing."""
    elevate.install(wheel(home), scope="user")
    folder = home / PLACE / "notes" / "notes"
    (folder / "a.txt").write_text("mine")
    (folder / "new.txt").write_text("mine")
    gone = elevate.uninstall("notes")
    assert f"{home}/{PLACE}/notes/notes/deep/b.txt" in [one.path for one in gone.written]
    assert below(home) == ["notes/notes/a.txt", "notes/notes/new.txt"]
    with pytest.raises(TaskInvalidError):
        elevate.uninstall("notes")


def test_uninstall_leaves_nothing_of_its_own(home: Path) -> None:
    """Neither files nor empty folders."""
    elevate.install(wheel(home), scope="user")
    elevate.uninstall("notes")
    assert list((home / PLACE).iterdir()) == []


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "", "nothing"])
def test_uninstall_stays_in_its_folder(home: Path, name: str) -> None:
    """A name is one of a package, and no path."""
    (home / PLACE).mkdir(parents=True)
    with pytest.raises(TaskInvalidError):
        elevate.uninstall(name)


@pytest.mark.parametrize("variable", ["ELEVATE_USER", "SUDO_UID", "PKEXEC_UID", "DOAS_USER"])
def test_it_is_refused_in_an_elevated_process(home: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """There "this user" is not the person."""
    monkeypatch.setenv(variable, "alice")
    with pytest.raises(RefusedError, match="never elevated"):
        elevate.install(wheel(home), scope="user")
    with pytest.raises(RefusedError):
        elevate.uninstall("notes")
    assert below(home) == []


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"PK\x03\x04"])
def test_what_can_not_be_installed_so_is_told(home: Path, data: bytes) -> None:
    """With nothing written, and with what else could be done."""
    (home / "notes.deb").write_bytes(data)
    with pytest.raises(TaskInvalidError) as told:
        elevate.install(home / "notes.deb", scope="user")
    assert "scope='machine'" in told.value.hint
    assert below(home) == []
    with pytest.raises(CommandNotFoundError):
        elevate.install(home / "none.whl", scope="user")


def test_a_link_in_its_place_is_not_followed(home: Path, tmp_path: Path) -> None:
    """What lies at the end of a link is not written to."""
    (home / PLACE).mkdir(parents=True)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (home / PLACE / "notes").symlink_to(target)
    elevate.install(wheel(home), scope="user")
    assert list(target.iterdir()) == []


def test_plan_says_that_it_needs_no_admin(home: Path) -> None:
    """And the broker refuses to elevate it."""
    task = elevate.Task.install(str(wheel(home)), scope="user")
    with Broker.embedded(home / "state") as broker:
        [planned] = elevate.plan(broker, [task])
        assert (planned.needs_admin, planned.outcome, planned.possible) == (False, "none", True)
        assert "this user alone" in planned.why[0]
        assert task.display().startswith("install 'for this user:'")
        with pytest.raises(TaskInvalidError, match="never elevated"):
            broker.elevate(task)


def test_invoking_user_and_is_protected(tmp_path: Path) -> None:
    """A task knows for whom it runs; nothing else is a task. Protection is what the settings say."""
    # A Python of the user's own is copied before it runs, and then finds no packages by itself.
    paths = [str(Path(elevate.__file__).parents[1]), *sys.path]
    ask = f"import sys; sys.path[:0] = {paths!r}; import elevate; print(elevate.invoking_user())"
    assert elevate.invoking_user() is None
    with Broker.embedded(tmp_path / "state") as broker:
        me, _, _ = broker.parts.host.user_for(os.getuid())
        place = broker.home.policy / "python.toml"
        place.write_text(rule("python", task='{ kind = "process.run" }', then='{ prompt = "credential" }'))
        place.chmod(0o600)
        broker.reload_policy()
        told = broker.elevate(elevate.Task.run([sys.executable, "-c", ask])).run(capture=True).stdout.decode().strip()
        assert told == me
        assert broker.status()["protected"] is True
