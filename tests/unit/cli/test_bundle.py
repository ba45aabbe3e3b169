"""What the launcher of ``elevate run`` loads at once: the modules as they are, or, where they have changed, not at all."""

import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elevate.cli import bundle, service
from tests.unit.client.test_run import HEAVY

SAY = "import sys, elevate.client\nprint(elevate.client.__spec__ is None, *sys.modules)\n"


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a launcher and its bundle below a folder; the launcher says what it has loaded, and runs nothing."""
    monkeypatch.setattr(bundle, "FOLDER", tmp_path.relative_to("/"))
    written = service.files(Path("/"))
    (tmp_path / bundle.place().name).write_bytes(written[Path("/", bundle.place())][0])
    path = tmp_path / "elevate"
    text = written[Path("/usr/local/bin/elevate")][0].decode()
    path.write_text(text.replace("from elevate.__main__ import main\nmain()\n", SAY))
    assert SAY in path.read_text()
    return path


def loaded(launcher: Path, *words: str) -> tuple[bool, set[str]]:
    """Start it; say whether the bundle counted, and give what was loaded."""
    done = subprocess.run([sys.executable, "-IS", launcher, *words], capture_output=True, check=True, text=True, timeout=30)
    counted, *modules = done.stdout.split()
    return counted == "True", set(modules)


def test_run_is_loaded_at_once(launcher: Path) -> None:
    """All of it, no error class, and nothing that costs."""
    counted, modules = loaded(launcher, "run")
    assert counted
    assert set(bundle.MODULES) <= modules
    assert not modules & (HEAVY | {"elevate.errors"})


def test_bundle_holds_all_that_run_loads(launcher: Path) -> None:
    """No module of ours is searched for beside it."""
    (launcher.parent / bundle.place().name).unlink()
    counted, modules = loaded(launcher, "run")
    assert not counted
    assert {name for name in modules if name.split(".")[0] == "elevate"} | {"elevate.__main__"} == set(bundle.MODULES)


def test_other_commands_do_without(launcher: Path) -> None:
    """Only run is in a hurry."""
    assert not loaded(launcher, "status")[0]
    assert not loaded(launcher)[0]


def test_bundle_of_other_sources_does_not_count(launcher: Path) -> None:
    """After an upgrade the launcher loads the modules that are there."""
    path = launcher.parent / bundle.place().name
    start, package, sources, modules = marshal.loads(path.read_bytes())  # noqa: S302 - written here
    for index, (source, size, changed) in enumerate(sources):
        for other in ((source, size + 1, changed), (source, size, changed - 1), (source + "x", size, changed)):
            path.write_bytes(marshal.dumps((start, package, (*sources[:index], other, *sources[index + 1 :]), modules)))
            assert not loaded(launcher, "run")[0], other


def test_damaged_bundle_does_not_count(launcher: Path) -> None:
    """Cut anywhere, empty, or something else."""
    path = launcher.parent / bundle.place().name
    whole = path.read_bytes()
    for content in (b"", b"N", b"(\x01\x00\x00\x00N", b"\xff" * 99, whole[:40], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        assert not loaded(launcher, "run")[0], content[:9]


def test_bundle_of_another_python_does_not_count(launcher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by a name that only the Python that made it looks for."""
    kept = launcher.parent / bundle.place().name
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    kept.rename(launcher.parent / bundle.place().name)
    assert not loaded(launcher, "run")[0]


def test_errors_are_told_from_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded later finds its place beside what came at once."""
    monkeypatch.setattr(bundle, "FOLDER", tmp_path.relative_to("/"))
    written = service.files(Path("/"))
    (tmp_path / bundle.place().name).write_bytes(written[Path("/", bundle.place())][0])
    (tmp_path / "elevate").write_bytes(written[Path("/usr/local/bin/elevate")][0])
    call = [sys.executable, "-IS", str(tmp_path / "elevate"), "run"]
    done = subprocess.run([*call, "-s"], capture_output=True, check=False, text=True, timeout=30)
    assert (done.returncode, done.stderr.splitlines()[0]) == (126, "elevate: error: there is no shell without a rule for it")
    done = subprocess.run([*call, "--help"], capture_output=True, check=False, text=True, timeout=30)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "usage: elevate run [OPTION…] [VAR=VALUE…] [--] COMMAND [ARGUMENT…]",
    )


def test_what_is_written_is_fresh(tmp_path: Path) -> None:
    """Made again it is the same; of something else, or cut, it is not."""
    made = bundle.make()
    assert len(made) < bundle.MAX_BYTES
    assert bundle.is_fresh(made)
    start, package, sources, modules = marshal.loads(made)  # noqa: S302 - written here
    assert not bundle.is_fresh(marshal.dumps((start, package, sources, modules[:-1])))
    assert not bundle.is_fresh(marshal.dumps((start, os.fspath(tmp_path), sources, modules)))
    assert not bundle.is_fresh(made[:-100])
    assert not bundle.is_fresh(b"")
