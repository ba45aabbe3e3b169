"""Packages are installed whole or not at all, and an archive can't reach out of its folder."""

import io
import tarfile
from pathlib import Path

import pytest

from elevate.errors import CommandNotFoundError, TaskInvalidError
from elevate.host import packages
from elevate.host.registry import MACHINE, UNINSTALL
from elevate.tasks import Task
from tests.unit.host.archives import link, source, wheel
from tests.unit.host.emulating import Emulated


def entry_of(machine: Emulated, name: str) -> dict[str, str | int]:
    return machine.host.machine.registry.read(MACHINE, rf"{UNINSTALL}\{name}") or {}


def test_wheel_is_installed(machine: Emulated, tmp_path: Path) -> None:
    """A wheel lands in Program Files and in the registry; the facts come from its metadata."""
    path = wheel(tmp_path / "any.whl", {"notes/__init__.py": b"x = 1\n"}, version="1.2.0")
    done = machine.do(Task.install("any.whl", cwd=str(tmp_path)))
    assert done.out.splitlines()[-1] == r"installed notes 1.2.0 in C:\Program Files\notes"
    assert (machine.drive / "Program Files/notes/notes/__init__.py").read_bytes() == b"x = 1\n"
    facts = dict(done.inspected.facts)
    assert (facts["package"], facts["version"], facts["path"]) == ("notes", "1.2.0", str(path))
    assert entry_of(machine, "notes")["DisplayVersion"] == "1.2.0"
    assert str(entry_of(machine, "notes")["InstalledBy"]).startswith("ADMIN_")
    assert done.inspected.argv == ()


def test_source_archive_is_installed(machine: Emulated, tmp_path: Path) -> None:
    """A .tar.gz lands without its top folder; an executable stays one."""
    script = tarfile.TarInfo("notes-2.0/bin/run")
    script.mode = 0o755
    path = source(tmp_path / "n.tar.gz", {"notes-2.0/data/a.txt": b"a", "run": script}, version="2.0")
    assert machine.do(Task.install(str(path))).ended.exit_status == 0
    folder = machine.drive / "Program Files/notes"
    assert (folder / "data/a.txt").read_bytes() == b"a"
    assert (folder / "bin/run").stat().st_mode & 0o777 == 0o755


def test_upgrade_replaces_everything(machine: Emulated, tmp_path: Path) -> None:
    """An upgrade leaves nothing of the version before."""
    machine.do(Task.install(str(wheel(tmp_path / "1.whl", {"notes/old.py": b"1"}))))
    done = machine.do(Task.install(str(wheel(tmp_path / "2.whl", {"notes/new.py": b"2"}, version="2.0"))))
    assert done.out.startswith("changing notes from 1.0 to 2.0\n")
    assert sorted(path.name for path in (machine.drive / "Program Files/notes/notes").iterdir()) == ["new.py"]
    assert [path.name for path in (machine.drive / "Program Files").iterdir()] == ["notes"]
    assert entry_of(machine, "notes")["DisplayVersion"] == "2.0"
    again = machine.do(Task.install(str(tmp_path / "2.whl")))
    assert again.out.startswith("installing notes 2.0 again\n")


HOSTILE = {
    "up": {"../../escape": b"x"},
    "up-inside": {"notes/../../../escape": b"x"},
    "absolute": {"/tmp/escape": b"x"},
    "drive": {"C:/escape": b"x"},
    "backslash": {"..\\escape": b"x"},
    "newline": {"a\nb": b"x"},
    "empty-step": {"a//b": b"x"},
    "deep": {"/".join("d" * 40): b"x"},
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_hostile_names_install_nothing(machine: Emulated, tmp_path: Path, case: str) -> None:
    """A name that could lead elsewhere refuses the whole package, in a wheel and in an archive."""
    archives = [
        wheel(tmp_path / "h.whl", {"notes/first.py": b"1", **HOSTILE[case]}),
        source(
            tmp_path / "h.tar.gz",
            {"notes-1.0/first.py": b"1", **{f"notes-1.0/{name}": data for name, data in HOSTILE[case].items()}},
        ),
    ]
    for archive in archives:
        done = machine.do(Task.install(str(archive)))
        assert (done.ended.exit_status, done.ended.written) == (1, ())
        assert "not allowed" in done.err
    assert not list(tmp_path.rglob("escape"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_install_nothing(machine: Emulated, tmp_path: Path, kind: bytes) -> None:
    """Plain files only."""
    path = source(tmp_path / "h.tar.gz", {"x": link("notes-1.0/x", "/etc", kind), "notes-1.0/x/y": b"1"})
    done = machine.do(Task.install(str(path)))
    assert (done.ended.exit_status, done.ended.written) == (1, ())


def test_wheel_with_a_link_installs_nothing(machine: Emulated, tmp_path: Path) -> None:
    """A zip member that is a symbolic link is refused."""
    done = machine.do(Task.install(str(wheel(tmp_path / "l.whl", {"notes/x": b"/etc"}, mode=0o120777))))
    assert (done.ended.exit_status, done.ended.written) == (1, ())


def test_wheel_that_its_record_does_not_vouch_for(machine: Emulated, tmp_path: Path) -> None:
    """A file that RECORD does not list is refused."""
    done = machine.do(Task.install(str(wheel(tmp_path / "r.whl", {"notes/x": b"1"}, vouched=False))))
    assert done.ended.exit_status == 1
    assert "RECORD does not vouch" in done.err


def test_failed_upgrade_keeps_the_old(machine: Emulated, tmp_path: Path) -> None:
    """A bad new version changes nothing of the installed one."""
    machine.do(Task.install(str(wheel(tmp_path / "1.whl", {"notes/old.py": b"1"}))))
    done = machine.do(Task.install(str(wheel(tmp_path / "2.whl", {"../x": b"2"}, version="2.0"))))
    assert (done.ended.exit_status, done.ended.written) == (1, ())
    assert entry_of(machine, "notes")["DisplayVersion"] == "1.0"


@pytest.mark.parametrize("data", [b"text", b"PK\x03\x04broken", b"\x1f\x8bbroken"])
def test_file_that_is_no_package(machine: Emulated, tmp_path: Path, data: bytes) -> None:
    """Anything else is refused before anybody is asked."""
    (tmp_path / "x.whl").write_bytes(data)
    with pytest.raises(TaskInvalidError, match="not a package"):
        machine.host.inspect(Task.install(str(tmp_path / "x.whl")), machine.requester)


def test_package_that_is_not_there(machine: Emulated) -> None:
    """Not there is one error."""
    with pytest.raises(CommandNotFoundError):
        machine.host.inspect(Task.install("/no/such.whl"), machine.requester)


@pytest.mark.parametrize(("name", "version"), [("../x", "1.0"), ("a b", "1"), ("notes", ""), ("notes", "../1"), ("-x", "1")])
def test_metadata_is_checked(tmp_path: Path, name: str, version: str) -> None:
    """A name or version that could be a path is refused."""
    text = f"Name: {name}\nVersion: {version}\n\n".encode()
    with pytest.raises(packages.PackageError):
        packages._parse(text, "wheel")
    assert tmp_path.exists()


def test_wheel_must_name_one_package(tmp_path: Path) -> None:
    """Folder and METADATA of a wheel name the same package."""
    path = wheel(tmp_path / "w.whl", {})
    data = path.read_bytes().replace(b"notes-1.0.dist-info", b"other-1.0.dist-info")
    with pytest.raises(packages.PackageError, match="different packages"):
        packages.describe(io.BytesIO(data))


def test_same_file_twice_is_refused(tmp_path: Path) -> None:
    """The second of two equal names can't replace the first."""
    path = source(tmp_path / "t.tar.gz", {"a": tarfile.TarInfo("notes-1.0/x"), "b": tarfile.TarInfo("notes-1.0/x")})
    with path.open("rb") as file, pytest.raises(packages.PackageError, match="twice"):
        list(packages.entries(file, packages.describe(file)))


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than the bound are refused, whatever they compress to."""
    monkeypatch.setattr(packages, "MAX_BYTES", 1000)
    for path in (
        wheel(tmp_path / "b.whl", {"notes/x": b"0" * 1001}),
        source(tmp_path / "b.tar.gz", {"notes-1.0/x": b"0" * 1001}),
    ):
        with path.open("rb") as file, pytest.raises(packages.PackageError):
            list(packages.entries(file, packages.describe(file)))
