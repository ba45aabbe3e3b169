"""Attacks by what surrounds a request: environment, PATH, working directory, descriptors (rows 1 to 6, 17, 29)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import HostError, TaskError, TaskInvalidError
from elevate.host.launcher import Launcher
from elevate.tasks import Task
from tests.attacks.host import naive
from tests.unit.host.emulating import Emulated, emulated


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    folder = tmp_path / "evil"
    folder.mkdir()
    return folder


@pytest.fixture
def fresh() -> Iterator[Launcher]:
    """A launcher that is first used inside the hostile surroundings."""
    with Launcher() as launcher:
        yield launcher


def test_01_ld_variables_do_not_reach_the_task(machine: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader of the task hears nothing of the caller's LD_*."""
    monkeypatch.setenv("LD_TRACE_LOADED_OBJECTS", "1")
    assert "libc.so" in naive.run(["/bin/echo", "ran"])
    with Launcher() as launcher:
        machine.host._launcher = launcher
        assert machine.do(Task.run(["/bin/echo", "ran"])).out == "ran\n"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "ld_preload", "GLIBC_TUNABLES", "DYLD_INSERT_LIBRARIES"]
)
def test_01_ld_variables_can_not_be_asked_for(machine: Emulated, name: str) -> None:
    """No rule can allow them: the host refuses."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], env={name: "/tmp/x.so"}), machine.requester)


def test_02_python_variables_reach_neither_launcher_nor_task(
    tmp_path: Path, evil: Path, fresh: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of PYTHONPATH is imported: not by the launcher, the machine's own programs, or a task in Python."""
    marker = tmp_path / "marker"
    for module in ("sitecustomize", "usercustomize", "json", "socket", "ctypes", "zipfile"):
        (evil / f"{module}.py").write_text(f"open({str(marker)!r}, 'a').write('{module} ')\n")
    monkeypatch.setenv("PYTHONPATH", str(evil))
    monkeypatch.setenv("PYTHONSTARTUP", str(evil / "json.py"))
    naive.run(["/usr/bin/env", "python3", "-s", "-c", "import json"])
    assert "json" in marker.read_text()
    marker.unlink()
    with emulated(tmp_path / "machine", fresh) as machine:
        machine.do(Task.service("Spooler", "start"))
        assert machine.do(Task.run(["env", "python3", "-c", "import json; print(1)"])).out == "1\n"
    assert not marker.exists()


def test_03_hostile_working_directory(tmp_path: Path, evil: Path, fresh: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that lie in the caller's directory are not the machine's."""
    marker = tmp_path / "marker"
    for module in ("json", "socket", "struct", "ctypes"):
        (evil / f"{module}.py").write_text(f"open({str(marker)!r}, 'a').write('{module} ')\n")
    monkeypatch.chdir(evil)
    naive.run(["/usr/bin/env", "python3", "-c", "import json"])
    assert marker.exists()
    marker.unlink()
    with emulated(tmp_path / "machine", fresh) as machine:
        done = machine.do(Task.service("Spooler", "start"))
    assert (done.ended.exit_status, marker.exists()) == (0, False)


def test_04_planted_path_is_not_searched(machine: Emulated, evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is looked up on the fixed PATH, and that path is what is shown."""
    naive.script(evil / "ls", "echo planted")
    monkeypatch.setenv("PATH", f"{evil}:.:{os.environ['PATH']}")
    monkeypatch.chdir(evil)
    assert naive.run(["ls"]) == "planted\n"
    done = machine.do(Task.run(["ls", "-d", "/"], cwd=str(evil)))
    assert done.out == "/\n"
    assert done.inspected.argv[0] == os.path.realpath("/usr/bin/ls")


def test_04_path_can_not_be_asked_for(machine: Emulated, evil: Path) -> None:
    """Neither may the task's own PATH be planted."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], env={"PATH": str(evil)}), machine.requester)


def test_05_shell_variables_do_not_reach_the_task(tmp_path: Path, evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BASH_ENV, ENV and exported functions of the caller run nothing."""
    naive.script(evil / "env.sh", "echo hijacked")
    monkeypatch.setenv("BASH_ENV", str(evil / "env.sh"))
    monkeypatch.setenv("ENV", str(evil / "env.sh"))
    monkeypatch.setenv("BASH_FUNC_true%%", "() { echo hijacked; }")
    assert "hijacked" in naive.run(["/bin/bash", "-c", "true"])
    with Launcher() as launcher, emulated(tmp_path / "machine", launcher) as machine:
        assert machine.do(Task.run(["/bin/bash", "-c", "true"])).out == ""


NEVER = (
    *(
        "BASH_ENV",
        "ENV",
        "PS4",
        "SHELLOPTS",
        "IFS",
        "CDPATH",
        "PROMPT_COMMAND",
        "BASH_FUNC_ls",
        "NODE_OPTIONS",
        "GIT_CONFIG_COUNT",
    ),
    *("GIT_SSH_COMMAND", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "GCONV_PATH", "PERL5LIB", "PERL5OPT", "RUBYOPT", "PYTHONPATH"),
    *(
        "PYTHONHOME",
        "HOME",
        "USER",
        "ELEVATE_USER",
        "SUDO_USER",
        "TMPDIR",
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "EDITOR",
    ),
    "TAR_OPTIONS",
    "RSYNC_RSH",
    "VIMINIT",
    "EXINIT",
    "CARGO_HOME",
    "RUSTC_WRAPPER",
    "GOFLAGS",
    "DOCKER_HOST",
    "KUBECONFIG",
    "ANSIBLE_CONFIG",
    "PGSERVICEFILE",
    "MYSQL_HOME",
    *(
        "GIO_EXTRA_MODULES",
        "GDK_PIXBUF_MODULE_FILE",
        "GST_PLUGIN_PATH",
        "LIBGL_DRIVERS_PATH",
        "SASL_PATH",
        "LDAPCONF",
        "GNUPGHOME",
    ),
    *(
        "GCC_EXEC_PREFIX",
        "COMPILER_PATH",
        "CPATH",
        "C_INCLUDE_PATH",
        "AWKPATH",
        "AWKLIBPATH",
        "ASAN_OPTIONS",
        "CMAKE_PREFIX_PATH",
    ),
    *(
        "DOTNET_STARTUP_HOOKS",
        "CORECLR_PROFILER_PATH",
        "MAVEN_OPTS",
        "GRADLE_OPTS",
        "PIP_CONFIG_FILE",
        "CONDARC",
        "YARN_RC_FILENAME",
    ),
    *(
        "ERL_FLAGS",
        "GUILE_LOAD_PATH",
        "JULIA_LOAD_PATH",
        "R_PROFILE_USER",
        "CAML_LD_LIBRARY_PATH",
        "EMACSLOADPATH",
        "VIMRUNTIME",
    ),
    *(
        "INPUTRC",
        "SCREENRC",
        "TMUX_TMPDIR",
        "MANPATH",
        "GROFF_TMAC_PATH",
        "TEXINPUTS",
        "BROWSER",
        "WGETRC",
        "NETRC",
        "AWS_CONFIG_FILE",
    ),
)


@pytest.mark.parametrize("name", NEVER)
def test_05_dangerous_variables_can_not_be_asked_for(machine: Emulated, name: str) -> None:
    """What a shell, an interpreter or a tool would run code by is never an addition."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], env={name: "x"}), machine.requester)


@pytest.mark.parametrize("name", ["http_proxy", "COLUMNS", "MANAGED_BY", "TEXT", "REGION", "VERBOSE", "CORES", "R_VALUE"])
def test_05_other_variables_can_be_asked_for(machine: Emulated, name: str) -> None:
    """Whether they are given is the policy's affair."""
    machine.host.inspect(Task.run(["true"], env={name: "1"}), machine.requester).close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TZ", ":/etc/shadow"),
        ("TZ", "../../../etc/shadow"),
        ("TZ", "/etc/shadow"),
        ("LANG", "../x"),
        ("LC_ALL", "/tmp/locale"),
        ("LANGUAGE", "a/b"),
        ("TERM", "../x"),
        ("TERMINFO", "/tmp"),
        ("TZDIR", "/tmp"),
        ("ANY", "() { :; }; id"),
    ],
)
def test_06_time_zone_terminal_and_locale_have_a_form(machine: Emulated, name: str, value: str) -> None:
    """A value that is a path, or a function, is refused."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], env={name: value}), machine.requester)


@pytest.mark.parametrize("words", [["-rf", "/"], ["a\nb"], ["$(id)"], ["--", "-x"], ["'", '"', "`id`", ";id"]])
def test_17_arguments_stay_what_they_are(machine: Emulated, words: list[str]) -> None:
    """Nothing joins, splits or expands arguments."""
    done = machine.do(Task.run(["/usr/bin/env", "printf", "%s\\0", *words]))
    assert done.out.split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("process.run", {"argv": ["a\0b"], "cwd": "/"}),
        ("service.control", {"service": "-Spooler", "action": "start"}),
        ("service.control", {"service": "Spooler\n", "action": "start"}),
        ("service.control", {"service": "Spooler", "action": "start --force"}),
        ("service.control", {"service": "../HKLM", "action": "start"}),
        ("package.install", {"path": "a\0b", "cwd": "/"}),
        ("file.write", {"path": "a\0b", "cwd": "/"}),
    ],
)
def test_17_parameters_have_a_pattern(machine: Emulated, kind: str, params: dict[str, object]) -> None:
    """A leading dash, NUL, newline or a second word is no parameter."""
    with pytest.raises(TaskError):
        machine.host.inspect(Task.parse(kind, params), machine.requester)


@pytest.mark.parametrize("uid", [-1, 2**32 - 1, 2**32])
def test_17_uid_minus_one_is_nobody(machine: Emulated, uid: int) -> None:
    """The number that means "do not change" names no user."""
    with pytest.raises(HostError):
        machine.host.user_for(uid)


@pytest.mark.root
def test_29_descriptors_of_the_broker_do_not_leak(tmp_path: Path) -> None:
    """Even descriptors that are inheritable reach neither launcher nor task."""
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)  # noqa: FBT003 - positional only
    script = f"readlink /proc/self/fd/{secret} || true; ls -1 /proc/$$/fd"
    assert str(tmp_path) in naive.run(["/bin/sh", "-c", script], close_fds=False)
    with Launcher() as launcher, emulated(tmp_path / "machine", launcher) as machine:
        out = machine.sh(script).out
        zygote = [str(path.readlink()) for path in Path(f"/proc/{launcher._pid}/fd").iterdir()]
    os.close(secret)
    assert out.split() == ["0", "1", "2"]
    assert str(tmp_path) not in zygote


def test_29_a_script_has_one_more_and_only_to_read(machine: Emulated, tmp_path: Path) -> None:
    """The script itself is the only further descriptor, and it can't be written through."""
    path = naive.script(tmp_path / "s", "for n in /proc/$$/fd/*; do readlink $n; done; echo x >> /proc/$$/fd/3 || echo kept")
    lines = machine.do(Task.run([str(path)])).out.splitlines()
    assert lines[-1] == "kept"
    assert len([line for line in lines if "memfd:elevate-program" in line]) >= 1
    assert not [line for line in lines if str(tmp_path) in line]
