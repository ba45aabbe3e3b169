"""The service's files are what systemd takes, and the daemon takes what systemd hands over."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from elevate.cli import service
from elevate.errors import HostError
from elevate.server import systemd
from tests.e2e.daemon import ROOT, Daemon, enrol

_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_units_verify(tmp_path: Path) -> None:
    """As systemd's own checker says, without a word."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    if os.geteuid() and not Path("/run/systemd").is_dir():
        pytest.skip("systemd-analyze needs /run/systemd, which is not here")
    service.install(root=tmp_path)
    units = sorted((tmp_path / "etc/systemd/system").glob("elevate.*"))
    assert [unit.name for unit in units] == ["elevate.service", "elevate.socket"]
    done = subprocess.run([analyze, "verify", *map(str, units)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "elevate" in line]
    assert (done.returncode, said) == (0, [])


def test_unit_says_nothing_that_would_bind_tasks() -> None:
    """Whoever adds an option must know that each task inherits it: adr/0059 says which were tried, and what they broke."""
    lines = service.SERVICE.partition("[Service]\n")[2].partition("[Install]")[0].splitlines()
    options = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert options == {
        *(
            "Type",
            "ExecStart",
            "ExecReload",
            "Restart",
            "RestartSec",
            "KillMode",
            "TimeoutStopSec",
            "Delegate",
            "OOMPolicy",
            "TasksMax",
        ),
        *("StateDirectory", "StateDirectoryMode", "ConfigurationDirectory"),
        # Inherited as well, and set anew for every task.
        *("WorkingDirectory", "Environment", "UMask", "LimitCORE", "LimitNOFILE", "OOMScoreAdjust", "KeyringMode"),
        "StandardInput",
    }


def test_install_and_uninstall_leave_nothing(tmp_path: Path) -> None:
    """Policy and log stay until --purge; the launcher is a program, the state private."""
    service.install(root=tmp_path)
    launcher = tmp_path / "usr/local/bin/elevate"
    assert launcher.stat().st_mode & 0o777 == 0o755
    assert launcher.read_text().startswith(f"#!{sys.executable} -IS\n")
    assert (tmp_path / "var/lib/elevate").stat().st_mode & 0o777 == 0o700
    assert 'host = "linux"' in (tmp_path / "var/lib/elevate/settings.toml").read_text()
    service.install(root=tmp_path)
    for folder in ("run/elevate", "etc/elevate"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/local/lib/elevate/run.of-an-older-python").touch()
    service.uninstall(root=tmp_path)
    assert not (tmp_path / "usr/local/lib/elevate").exists()
    assert not (tmp_path / "run/elevate").exists()
    assert not (tmp_path / "etc/elevate").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "var/lib" not in str(path)] == []
    assert (tmp_path / "var/lib/elevate/settings.toml").exists()
    service.uninstall(root=tmp_path, purge=True)
    assert not (tmp_path / "var/lib/elevate").exists()


def test_launcher_runs_the_client(tmp_path: Path) -> None:
    """Started from anywhere, isolated: no module of the working directory or of PYTHONPATH comes in."""
    service.install(root=tmp_path)
    launcher = tmp_path / "usr/local/bin/elevate"
    text = launcher.read_text()
    launcher.write_text(text.replace("import sys\n", f"import sys\nsys.path.append({str(ROOT)!r})\n", 1))
    (tmp_path / "select.py").write_text("raise SystemExit('planted')")
    done = subprocess.run(
        [str(launcher), "run", "--help"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout[:18]) == (0, b"usage: elevate run")


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs a service")
def test_33_broker_that_others_can_change_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder above the packages counts."""
    open_to_all = tmp_path / "open"
    (open_to_all / "site-packages" / "typer").mkdir(parents=True)
    open_to_all.chmod(0o777)
    # A path of the running program can't be moved otherwise.
    monkeypatch.setattr(typer, "__file__", str(open_to_all / "site-packages/typer/__init__.py"))
    with pytest.raises(HostError, match="can be changed by others than root"):
        service.check_trusted()


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs a service")
@pytest.mark.parametrize("name", ["launcher", "what it loads"])
def test_33_nothing_is_installed_where_others_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The launcher's folder, and that of what it loads: everybody starts it, root too."""
    monkeypatch.setattr(service, "loaded", lambda: ())
    places = {"launcher": tmp_path / "bin/elevate", "what it loads": tmp_path / "lib/elevate/run.x"}
    monkeypatch.setattr(service, "files", lambda _root: dict.fromkeys(places.values(), (b"", 0o644)))
    for folder in ("bin", "lib"):
        (tmp_path / folder).mkdir(mode=0o755)
    service.check_trusted()
    (tmp_path / places[name].relative_to(tmp_path).parts[0]).chmod(0o775)
    with pytest.raises(HostError, match="can be changed by others than root"):
        service.check_trusted()


def test_daemon_takes_the_socket_that_it_is_handed(tmp_path: Path) -> None:
    """It answers there, says that it is ready, and leaves the socket's name to its owner."""
    enrol(tmp_path / "state", sensor=True)
    ready, path = tmp_path / "ready", tmp_path / "given.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        listener.bind(str(path))
        listener.listen()
        heard.bind(str(ready))
        heard.settimeout(30)
        serve = [sys.executable, "-m", "elevate", "serve", "--state", str(tmp_path / "state")]
        process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, str(listener.fileno()), *serve],
            pass_fds=[listener.fileno()], env={**os.environ, "NOTIFY_SOCKET": str(ready)}, cwd=ROOT, stdout=-1, stderr=-1,
        )  # fmt: skip
        assert heard.recv(100) == b"READY=1"
        own = Daemon.__new__(Daemon)
        own.socket = path
        assert own.run("echo", "x") == (0, b"x\n", b"")
        process.terminate()
        assert heard.recv(100) == b"STOPPING=1"
        process.communicate(timeout=60)
        assert (process.returncode, path.exists()) == (0, True)


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    """A file, a connected socket, two descriptors: no."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from elevate.server import systemd; systemd.inherited()"
    with (tmp_path / "file").open("w") as file:
        argv = [sys.executable, "-c", _HAND_OVER, str(file.fileno()), sys.executable, "-c", code]
        done = subprocess.run(argv, pass_fds=[file.fileno()], capture_output=True, check=False)
    assert b"BrokerUntrustedError" in done.stderr


def test_without_a_service_manager_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that are meant for another process are not ours."""
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd.inherited() is None
