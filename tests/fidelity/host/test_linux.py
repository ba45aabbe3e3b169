"""The rows of Windows' behaviours that hold on host linux, for the account: real kernel facts, checked as root."""

import os
import pwd
from pathlib import Path

import pytest

from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root


def test_04_task_runs_as_the_hidden_account(linux: Linux) -> None:
    """`whoami` prints ADMIN_<user>; the uid is another than the caller's."""
    account = linux.host.provision(linux.requester)
    assert linux.do(Task.run(["whoami"])).out == f"ADMIN_{linux.requester.user}\n"
    assert linux.do(Task.run(["id", "-u"])).out == f"{account.uid}\n"
    assert account.uid not in {0, linux.uid}


def test_05_06_one_account_made_once(linux: Linux) -> None:
    """The pair is listed both ways; a second elevation finds the same account."""
    first = linux.host.provision(linux.requester)
    assert linux.host.provision(linux.requester) == first
    (pair,) = linux.host.accounts.pairs()
    assert (pair.user, pair.user_uid, pair.name, pair.uid) == (linux.requester.user, linux.uid, first.name, first.uid)


def test_07_no_login(linux: Linux) -> None:
    """The shell is nologin, and there is no password."""
    name = linux.host.provision(linux.requester).name
    assert pwd.getpwnam(name).pw_shell.endswith("nologin")
    assert "uid=" not in linux.as_attacker(["su", name, "-c", "id"])


def test_09_every_task_has_a_session_of_its_own(linux: Linux) -> None:
    """Session id, PID namespace and mounts are new each time."""
    seen = [linux.sh("echo $ELEVATE_SESSION; stat -c %i -L /proc/self/ns/mnt").out.split() for _ in range(2)]
    assert seen[0][0] != seen[1][0]
    assert all(inode != str(os.stat("/proc/self/ns/mnt").st_ino) for _, inode in seen)  # noqa: PTH116 - the link's target


def test_10_users_configuration_has_no_effect(linux: Linux) -> None:
    """Home is neither the user's nor one that the user can write."""
    script = 'echo "$HOME"; test -w "$HOME" && echo own; ls -A "$HOME"'
    home, own = linux.sh(script).out.split()
    assert (home, own) == (linux.host.provision(linux.requester).home, "own")
    assert "denied" in linux.as_attacker(["touch", f"{home}/.profile"]).lower()


def test_14_children_end_with_the_task(linux: Linux) -> None:
    """A child that was left is gone when the end is told, and had the identity."""
    done = linux.sh("sleep 1000 & stat -c %U /proc/$!")
    assert (done.out, done.ended.leftover) == (f"ADMIN_{linux.requester.user}\n", 0)


def test_24_no_agents_and_no_run_time_folder(linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's sockets are not there: /run/user is empty, and nothing points into it."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/user/1000/agent")
    there = Path("/run/user").is_dir()
    done = linux.sh("env | grep -c -E '^(SSH_|DBUS_|XDG_|KRB5)' ; ls -A /run/user")
    assert done.out == "0\n"
    assert there or "No such file" in done.err


def test_32_nothing_is_kept_for_the_next_task(linux: Linux) -> None:
    """A deviation that is meant: the profile does not persist here."""
    linux.sh("echo x > ~/kept")
    assert linux.sh("cat ~/kept").ended.exit_status == 1


def test_33_refused_write_is_an_error(linux: Linux) -> None:
    """Nothing stands in for a file that may not be written."""
    assert linux.sh("echo x > /etc/elevate-never || exit 13").ended.exit_status == 13
    assert not Path("/etc/elevate-never").exists()
