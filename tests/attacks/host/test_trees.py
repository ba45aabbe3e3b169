"""Attacks by what a task leaves running, and by floods: rows 31 and 36."""

import os
import resource
import signal
import subprocess

import pytest

from elevate.errors import CommandNotExecutableError, TaskInvalidError
from elevate.host.sealed import seal
from elevate.ports import Mandate
from elevate.tasks import MAX_PAYLOAD_BYTES, Task
from tests.unit.host.emulating import Emulated, readable_within
from tests.unit.host.run import alive

DAEMON = """
p=$(mktemp -u); export p; mkfifo "$p"
setsid sh -c 'setsid sh -c "echo \\$\\$ > \\"\\$p\\"; exec sleep 1000" & exit' &
read -r pid < "$p"; rm "$p"; echo "$pid" """
HOP = """
import os, sys
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    while True:
        if os.fork() == 0:
            os.setsid()
            continue
        os._exit(0)
"""


def test_31_grandchild_does_not_outlive_the_task(machine: Emulated) -> None:
    """A daemon in a session of its own ends with the task."""
    pid = int(machine.sh(DAEMON).out)
    assert not alive(pid)


def test_31_naive_broker_leaves_the_grandchild() -> None:
    """The same daemon survives a broker that waits for its child only."""
    child = subprocess.Popen(["/bin/sh", "-c", DAEMON], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    pid = int(child.stdout.readline())
    child.wait()
    child.stdout.close()
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_31_all_are_gone_when_the_end_is_told(machine: Emulated) -> None:
    """Fifty orphans that ignore every signal they can are counted out."""
    script = "trap '' TERM INT HUP; for i in $(seq 50); do (trap '' TERM; exec sleep 1000) & echo $!; done"
    done = machine.sh(script)
    assert (len(done.out.split()), done.ended.leftover) == (50, 0)
    assert not [pid for pid in map(int, done.out.split()) if alive(pid)]


def test_31_process_that_hops_away(machine: Emulated) -> None:
    """One that forks and leaves again and again, faster than anybody looks, is caught too, or it is told."""
    done = machine.do(Task.run(["/usr/bin/env", "python3", "-I", "-S", "-c", HOP]))
    assert done.ended.exit_status == 0
    assert done.ended.leftover == 0


def test_31_cancelled_tree_ends_whole(machine: Emulated) -> None:
    """Cancel ends the grandchildren as well."""
    inspection = machine.host.inspect(Task.run(["/bin/sh", "-c", f"{DAEMON}; sleep 1000"]), machine.requester)
    running = machine.host.start(
        inspection, Mandate(identity=machine.host.provision(machine.requester), session="session-tree", time_limit_seconds=60)
    )
    with os.fdopen(running.stdout, "rb") as stream:
        pid = int(stream.readline())
        running.cancel()
        assert running.wait().leftover == 0
    os.close(running.stderr)
    inspection.close()
    assert not alive(pid)


def test_36_output_flood_stops_at_the_pipe(machine: Emulated) -> None:
    """A task that nobody reads waits: neither broker nor disk takes its flood up."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inspection = machine.host.inspect(Task.run(["/bin/sh", "-c", "echo go >&2; yes"]), machine.requester)
    running = machine.host.start(
        inspection, Mandate(identity=machine.host.provision(machine.requester), session="session-flood", time_limit_seconds=60)
    )
    assert readable_within(running.stderr, 10)
    assert readable_within(running.stdout, 10)
    assert not readable_within(running.fileno(), 0.2)
    running.cancel(signal.SIGKILL)
    assert running.wait().leftover == 0
    with os.fdopen(running.stdout, "rb") as stream:
        assert len(stream.read()) <= 1 << 20
    os.close(running.stderr)
    inspection.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_36_large_output_arrives_whole(machine: Emulated) -> None:
    """Back-pressure loses nothing."""
    done = machine.sh("head -c 20000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2")
    assert (len(done.out), len(done.err), done.ended.exit_status) == (20_000_000, 3_000_000, 0)


def test_36_endless_input_is_refused(machine: Emulated) -> None:
    """Input is bounded, by bytes and by descriptor."""
    with pytest.raises(TaskInvalidError):
        Task.run(["cat"], stdin=b"x" * (MAX_PAYLOAD_BYTES + 1))
    fd = seal(b"x" * (MAX_PAYLOAD_BYTES + 1))
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["cat"]), machine.requester, fd)
    os.close(fd)


def test_36_program_that_never_ends_to_be_read(machine: Emulated) -> None:
    """A device or a pipe in place of a program is not read at all."""
    for path in ("/dev/zero", "/dev/stdin", "/proc/self/fd/0"):
        with pytest.raises((CommandNotExecutableError, TaskInvalidError)):
            machine.host.inspect(Task.run([path]), machine.requester)
