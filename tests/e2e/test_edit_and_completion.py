"""``elevate edit`` writes once and only what was edited; completion scripts are what their shells take."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.cli import edit as editing
from elevate.errors import TaskInvalidError
from tests.e2e.daemon import Daemon, command
from tests.transcripts.terminal import Terminal


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon")) as made:
        yield made


@pytest.fixture
def edit(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let ``edit`` find this daemon, and an editor that appends a line."""
    # The place is fixed; only a test may lead elsewhere.
    monkeypatch.setattr(editing, "connect", daemon.connect)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nshift\ntest -z "$LINE" || printf "%s\\n" "$LINE" >> "$1"\nexit "${STATUS:-0}"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.setenv("LINE", "added")
    return tmp_path


def test_new_file_is_written_by_the_task(edit: Path, daemon: Daemon) -> None:
    """On the emulated machine's own drive, as an editor makes a file."""
    assert edit.is_dir()
    editing.edit(Path(r"C:\ProgramData\settings"), reason="INC-1")
    assert (daemon.state / "machine/drive_c/ProgramData/settings").read_text() == "added\n"


def test_refused_write_changes_nothing(edit: Path) -> None:
    """What the broker does not write is as it was, and nothing is left beside it."""
    file = edit / "settings"
    file.write_text("one\n")
    with pytest.raises(TaskInvalidError, match="drive C: only"):
        editing.edit(file)
    assert file.read_text() == "one\n"
    assert sorted(path.name for path in edit.iterdir()) == ["editor", "settings"]


def test_unchanged_file_asks_nobody(edit: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """No task, no prompt."""
    monkeypatch.setenv("LINE", "")
    file = edit / "settings"
    file.write_text("one\n")
    with daemon.connect() as broker:
        before = broker.status()["log_size"]
        editing.edit(file)
        assert broker.status()["log_size"] == before


def test_link_is_refused(edit: Path) -> None:
    """Neither a link to a file nor a folder."""
    (edit / "target").write_text("precious\n")
    (edit / "link").symlink_to(edit / "target")
    for name in ("link", "."):
        with pytest.raises(TaskInvalidError, match="is not a plain file"):
            editing.edit(edit / name)
    assert (edit / "target").read_text() == "precious\n"


def test_editor_that_fails_writes_nothing(edit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status counts, and so does that it can be started."""
    file = edit / "settings"
    file.write_text("one\n")
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(TaskInvalidError, match="ended with status 3"):
        editing.edit(file)
    monkeypatch.setenv("EDITOR", "/nonexistent")
    with pytest.raises(TaskInvalidError, match="can't be started"):
        editing.edit(file)
    assert file.read_text() == "one\n"


def test_17_editor_takes_no_file_from_its_own_words(edit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2023-22809: a -- in EDITOR names no further file that a task would write."""
    victim, file = edit / "victim", edit / "settings"
    victim.write_text("precious\n")
    file.write_text("one\n")
    monkeypatch.setenv("EDITOR", f"{edit / 'editor'} -- {victim}")
    editing.edit(file)
    assert file.read_text() == "one\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_taken_by_its_shell(shell: str, tmp_path: Path) -> None:
    """Every command is in it, and the shell reads it without a word."""
    status, out, err = command(["completion", shell])
    assert (status, err) == (0, "")
    for name in ("run", "explain", "hello", "policy", "audit", "doctor"):
        assert name in out.split("'")[1] if shell == "fish" else name in out
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    script = tmp_path / "script"
    script.write_text(out)
    done = subprocess.run([program, "-n", str(script)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_bash_completes(tmp_path: Path) -> None:
    """Commands, their sub-commands, options of run, and then what the shell itself would complete."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not here")
    script = tmp_path / "script"
    script.write_text(command(["completion", "bash"])[1])
    ask = '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _elevate; printf "%s\\n" "${COMPREPLY[@]}"'
    for words, expected in [
        (("elevate", "ex"), "explain"),
        (("elevate", "policy", "rel"), "reload"),
        (("elevate", "run", "--non"), "--non-interactive"),
        (("elevate", "run", "-r", "why", "printen"), "printenv"),
        (("elevate", "run", "--gr"), "--group="),
        (("elevate", "run", "-u", "roo"), "root"),
        (("elevate", "run", "-u", "root", "-g", "roo"), "root"),
        (("elevate", "run", "-u", "root", "printen"), "printenv"),
        (("elevate", "run", "-nu", "roo"), "root"),
        (("elevate", "run", "--user", "=", "roo"), "root"),
        (("elevate", "run", "--user", "=", "root", "printen"), "printenv"),
        (("elevate", "run", "--preserve-env", "=", "HOM"), "HOME"),
        (("elevate", "run", "LANG", "=", "C", "printen"), "printenv"),
        (("elevate", "run", "LANG", "=", "C", "cat", str(script)), str(script)),
        (("elevate", "run", "cat", str(script)), str(script)),
        (("elevate", "explain", "--ki"), "--kind"),
        (("elevate", "explain", "printen"), "printenv"),
    ]:
        done = subprocess.run([bash, "-c", ask, str(script), *words], capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), words


_COMMANDS = [
    (f"{before} printen", "printenv")
    for before in ("run", "run --", "run -n", "run -u root", "run -r why", "run --user=root", "run LANG=C", "explain")
]


def test_zsh_completes(tmp_path: Path) -> None:
    """The same, typed at its own prompt."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not here")
    script = tmp_path / "script"
    script.write_text(command(["completion", "zsh"])[1])
    (tmp_path / ".zshrc").write_text(f"autoload -Uz compinit; compinit -u -d {tmp_path}/dump; source {script}; PS1='ready> '")
    with Terminal([zsh, "-d", "-i"], env={"PATH": "/usr/bin:/bin", "TERM": "dumb", "ZDOTDIR": str(tmp_path)}) as person:
        person.read_until("ready> ")
        for line, expected in [("pol", "policy"), ("run --pres", "--preserve-env="), ("run -nu roo", "root"), *_COMMANDS]:
            person.type(f"elevate {line}\t")
            person.read_until(f"{line[: line.rfind(' ') + 1]}{expected}")
            person.type("\x15")


def test_fish_completes(tmp_path: Path) -> None:
    """Options of run, users and groups; then what the shell itself would complete, whatever stands before."""
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not here")
    script = tmp_path / "script"
    script.write_text(command(["completion", "fish"])[1])
    for line, expected in [
        ("run --pres", "--preserve-env"),
        ("run -u roo", "root"),
        ("run -g roo", "root"),
        ("pol", "policy"),
        *_COMMANDS,
    ]:
        ask = f"source {script}; complete -C 'elevate {line}'"
        env = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run([fish, "--no-config", "-c", ask], env=env, capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), line


def test_unknown_shell_is_told() -> None:
    """One error, one hint."""
    status, out, err = command(["completion", "tcsh"])
    assert (status, out, err.splitlines()[0]) == (125, "", "elevate: error: there is no completion for tcsh")
