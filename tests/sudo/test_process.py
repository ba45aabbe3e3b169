"""What the process is: its user, descriptors, limits, mask, session."""

import os

import pytest

from tests.sudo.place import Way

pytestmark = pytest.mark.root


def test_user_is_root(way: Way) -> None:
    """Real, effective and saved."""
    assert way.out("sh", "-c", "grep ^Uid: /proc/self/status").split()[1:] == ["0"] * 4


def test_group_is_root(way: Way) -> None:
    """Real, effective and saved."""
    assert way.out("sh", "-c", "grep ^Gid: /proc/self/status").split()[1:] == ["0"] * 4


def test_groups_of_the_caller_are_gone(way: Way) -> None:
    """Only the target's."""
    assert way.out("id", "-Gn") == "root"


def test_capabilities_are_the_rules(elevate: Way, sudo: Way) -> None:
    """Bounded; with sudo root has all."""
    script = ("sh", "-c", "grep ^CapEff: /proc/self/status")
    assert elevate.out(*script) != sudo.out(*script)


def test_setuid_programs_give_nothing(elevate: Way, sudo: Way) -> None:
    """No new privileges in the whole tree."""
    script = ("sh", "-c", "grep ^NoNewPrivs: /proc/self/status")
    assert elevate.out(*script).split()[1] == "1"
    assert sudo.out(*script).split()[1] == "0"


def test_descriptors_of_the_caller_are_closed(way: Way) -> None:
    """Whatever it had open."""
    done = way.shell("exec 42<&0; $WAY sh -c 'ls /proc/$$/fd'")
    assert "42" not in done.out.split()


def test_mask_of_new_files(elevate: Way, sudo: Way) -> None:
    """022, whatever the caller's; sudo takes the stricter of both."""
    assert elevate.shell("umask 007; $WAY sh -c umask").out == "0022\n"
    assert sudo.shell("umask 007; $WAY sh -c umask").out == "0027\n"


def test_core_files_are_off(elevate: Way, sudo: Way) -> None:
    """A core of an admin task could hold secrets; sudo gives the caller's limit back."""
    assert elevate.out("sh", "-c", "ulimit -c") == "0"
    assert sudo.run("sh", "-c", "ulimit -c").status == 0


def test_limits_of_the_caller_do_not_count(elevate: Way, sudo: Way) -> None:
    """A caller can't starve an admin task, as of file sizes."""
    assert elevate.shell("ulimit -f 1; $WAY sh -c 'ulimit -f'").out == "unlimited\n"
    assert sudo.shell("ulimit -f 1; $WAY sh -c 'ulimit -f'").out in {"1\n", "unlimited\n"}


def test_session_is_its_own(elevate: Way, sudo: Way) -> None:
    """Always; with sudo only where it makes a terminal."""
    script = "own=$(ps -o sid= $$); $WAY sh -c 'ps -o sid= $$' | grep -qx \"$own\" && echo same || echo another"
    assert elevate.shell(script).out == "another\n"
    assert sudo.shell(script).out in {"same\n", "another\n"}


def test_processes_of_others_are_not_seen(elevate: Way, sudo: Way) -> None:
    """A task sees its own tree only."""
    script = ("sh", "-c", "ls -d /proc/[0-9]* | wc -l")
    assert int(elevate.out(*script)) < 8
    assert int(sudo.out(*script)) >= 8


def test_process_that_stays_behind_is_ended(elevate: Way, sudo: Way) -> None:
    """Nothing outlives the task."""
    script = "$WAY sh -c 'sleep 30 >/dev/null 2>&1 & echo $!'"
    for way in (elevate, sudo):
        assert way.shell(script).status == 0
    assert elevate.place.as_root("grep -lz ^ELEVATE_SESSION= /proc/[0-9]*/environ || true") == ""


def test_priority_of_the_caller_does_not_count(elevate: Way, sudo: Way) -> None:
    """The launcher's; with sudo it is inherited."""
    own = os.nice(0)
    assert elevate.shell("nice -n 5 $WAY nice").out == f"{own}\n"
    assert sudo.shell("nice -n 5 $WAY nice").out == f"{min(own + 5, 19)}\n"


def test_signals_that_the_caller_ignores(elevate: Way, sudo: Way) -> None:
    """The task starts with none ignored; sudo passes them on."""
    script = "trap '' USR1; $WAY sh -c 'kill -USR1 $$; echo alive'"
    assert "alive" not in elevate.shell(script).out
    assert "alive" in sudo.shell(script).out
