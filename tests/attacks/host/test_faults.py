"""Rows 12, 36 and 41 on the host: what a crash, a full disk or an odd file leaves is no outage."""

import contextlib
import os
import select
import signal
from pathlib import Path

import pytest

from elevate.errors import CommandNotExecutableError, HostError, StartUnknownError, TaskInvalidError
from elevate.host import launched
from elevate.host import machine as machines
from elevate.host.emulated import EmulatedHost
from elevate.host.launcher import Launcher, Order
from elevate.host.registry import Registry
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.unit.host.acting import Linux
from tests.unit.host.emulating import Emulated

FULL = OSError(28, "No space left on device")


def _fail_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let one kind of writing fail; the kernel's answer can't be had for a single call."""

    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(Registry, name, full)


@pytest.mark.parametrize("step", ["create", "write"])
def test_41_an_account_that_a_full_disk_broke_off_is_made_later(
    machine: Emulated, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Neither that user nor any other is locked out for good."""
    _fail_at(monkeypatch, step)
    with pytest.raises(HostError):
        machine.host.provision(machine.requester)
    with pytest.raises(HostError):
        machine.host.user_for(65_534)
    monkeypatch.undo()
    sids = {machine.host.provision(machine.requester).sid, machine.host.user_for(65_534)[1], machine.requester.sid}
    assert len(sids) == 3


@pytest.mark.parametrize("place", ["_make_hives", "_save"])
def test_41_a_machine_that_a_full_disk_broke_off_is_made_later(
    tmp_path: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """What is half made never stands in the machine's place."""

    def full(*_: object) -> None:
        raise FULL

    def make() -> EmulatedHost:
        return EmulatedHost.create(tmp_path / "machine", launcher=launcher, clock=ManualClock(), entropy=SeededEntropy())

    monkeypatch.setattr(machines, place, full)  # as above
    with pytest.raises(HostError):
        make()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    make().close()


def test_12_a_profile_made_in_advance_is_never_taken_up(machine: Emulated) -> None:
    """Not at the second try either."""
    (machine.drive / "Users" / f"ADMIN_{machine.requester.user}").mkdir()
    for _ in range(2):
        with pytest.raises(HostError):
            machine.host.provision(machine.requester)


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/kmsg", "/proc/self/pagemap", "/proc/self/mem"])
@pytest.mark.parametrize("kind", ["process.run", "package.install"])
@pytest.mark.timeout(20)
def test_36_a_file_of_the_kernels_is_not_read(machine: Emulated, path: str, kind: str) -> None:
    """Some never end, and some wait: root's broker would read them for whoever asks."""
    if not Path(path).exists():
        pytest.skip("the kernel has no such file here")
    task = Task.run([path]) if kind == "process.run" else Task.install(path)
    with pytest.raises(CommandNotExecutableError):
        machine.host.inspect(task, machine.requester)


@pytest.mark.root
def test_18_folders_that_the_user_can_not_enter_are_not_told(linux: Linux, tmp_path: Path) -> None:
    """A working directory that is there and one that is not get the same answer."""
    hidden = tmp_path / "hidden"
    (hidden / "inner").mkdir(parents=True)
    hidden.chmod(0o700)
    told = set()
    for name in ("inner", "nothing"):
        with pytest.raises(TaskInvalidError) as caught:
            linux.host.inspect(Task.run(["true"], cwd=str(hidden / name)), linux.requester)
        told.add((caught.value.message, caught.value.hint))
    assert len(told) == 1


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(30)
def test_36_a_start_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program or a folder on a file system that hangs: whoever waits for the start is told, and the others go on."""
    monkeypatch.setattr(launched, "START_SECONDS", 0.3)
    monkeypatch.setattr(launched, "GONE_SECONDS", 0.3)
    marker = tmp_path / "marker"
    with Launcher() as launcher:
        order = Order(argv=("/bin/sh", "-c", f": > {marker}"), env={})
        launcher.launch(order).wait()
        marker.unlink()
        # The program first: it may be about to fork another.
        os.kill(launcher._pid, signal.SIGSTOP)
        waiting = [os.pidfd_open(pid) for pid in (launcher._pid, *_children(launcher._pid))]
        for one in waiting:
            signal.pidfd_send_signal(one, signal.SIGSTOP)
        try:
            with pytest.raises(StartUnknownError, match="in time"):
                launcher.launch(order)
        finally:
            for one in waiting:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(one, signal.SIGCONT)
    for one in waiting:
        assert select.select([one], [], [], 10)[0]
        os.close(one)
    assert not marker.exists()
