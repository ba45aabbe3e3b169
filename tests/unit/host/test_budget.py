"""The memory that sealed copies take up is bounded, for one user and for all."""

import contextlib
import ctypes
import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.errors import BusyError, TaskInvalidError
from elevate.host import limits
from elevate.host.budget import Budget
from elevate.host.inspection import HostInspection
from elevate.host.opening import MAX_COPY_BYTES
from elevate.host.sealed import SEALS, seal
from elevate.tasks import MAX_PAYLOAD_BYTES, Task
from tests.unit.host.acting import Linux

FALLOC_FL_KEEP_SIZE = 1


def test_one_user_does_not_take_what_is_everybodys() -> None:
    """A bound for each and one for all; what is given back, once, can be taken again."""
    budget = Budget(each=10, everybody=15)
    first = budget.take(1, 10)
    with pytest.raises(BusyError):
        budget.take(1, 1)
    budget.take(2, 5)
    with pytest.raises(BusyError):
        budget.take(3, 1)
    first()
    first()
    budget.take(1, 10)
    with pytest.raises(BusyError):
        budget.take(3, 1)


@pytest.mark.parametrize(("gigabytes", "each", "everybody"), [(64, 512, 2048), (2, 512, 1024), (1, 256, 512), (0, 256, 512)])
def test_a_small_machine_has_less_to_give(gigabytes: int, each: int, everybody: int) -> None:
    """Half of its memory for all; never less than two large copies need, nor more than a large machine gives."""
    budget = Budget.of(gigabytes * 2**30)
    budget.take(1, each * 2**20)()
    with pytest.raises(BusyError):
        budget.take(1, each * 2**20 + 1)
    for uid in range(everybody // 64):
        budget.take(uid, 64 * 2**20)
    with pytest.raises(BusyError):
        budget.take(1, 1)


def test_threads_take_no_more_than_there_is() -> None:
    """However many ask at once."""
    budget, taken = Budget(each=50, everybody=100), []

    def take() -> None:
        for _ in range(20):
            try:
                taken.append(budget.take(1, 1))
            except BusyError:
                return

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 50


@pytest.mark.root
def test_copies_count_until_their_task_is_over(linux: Linux) -> None:
    """A second one of the same user waits for the first to end; a program that needs no copy is not counted."""
    script = linux.place / "script"
    linux.as_attacker(["/bin/sh", "-c", f"printf '#!/bin/sh\\necho hi\\n' > {script}; chmod 755 {script}"])
    host, size = linux.host, script.stat().st_size
    eyes = host._eyes
    host._eyes = replace(eyes, budget=Budget(each=size))
    try:
        first = host.inspect(Task.run([str(script)]), linux.requester)
        with pytest.raises(BusyError):
            host.inspect(Task.run([str(script)]), linux.requester)
        assert linux.do(Task.run(["true"])).ended.exit_status == 0
        first.close()
        assert linux.do(Task.run([str(script)])).out == "hi\n"
        assert linux.do(Task.run([str(script)])).out == "hi\n"
    finally:
        host._eyes = eyes
        script.unlink()


@pytest.mark.root
def test_file_that_grows_while_it_is_copied_is_refused(linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is copied than was counted."""
    script = linux.place / "script"
    linux.as_attacker(["/bin/sh", "-c", f"printf '#!/bin/sh\\n' > {script}; chmod 755 {script}"])
    budget = Budget(each=1000)
    monkeypatch.setattr(linux.host, "_eyes", replace(linux.host._eyes, budget=budget))
    read = os.pread

    def grow(fd: int, size: int, offset: int) -> bytes:
        Path(script).write_bytes(b"#!/bin/sh\n" + b"#" * 5000)
        return read(fd, size, offset)

    # The race is won for the attacker: the file grows at the worst moment.
    monkeypatch.setattr("elevate.host.sealed.os.pread", grow)
    with pytest.raises(TaskInvalidError):
        linux.host.inspect(Task.run([str(script)]), linux.requester)
    budget.take(linux.uid, 1000)
    script.unlink()


@pytest.mark.root
@pytest.mark.parametrize("beside", [True, False])
def test_49_inputs_count_until_their_task_is_over(linux: Linux, monkeypatch: pytest.MonkeyPatch, *, beside: bool) -> None:
    """One that came by a descriptor as long as it is; one of several once more: whoever read it counts the bytes."""
    data = b"x" * 10_000
    monkeypatch.setattr(linux.host, "_eyes", replace(linux.host._eyes, budget=Budget(each=12_288)))
    sealed = seal(data)

    def look() -> HostInspection:
        if beside:
            return linux.host.inspect(Task.run(["cat"]), linux.requester, sealed)
        return linux.host.inspect(Task.run(["cat"], stdin=data), linux.requester)

    for _ in range(2):
        first = look()
        with pytest.raises(BusyError):
            look()
        first.close()
    os.close(sealed)


@pytest.mark.parametrize("megabytes", [0, 512, 1024, 1536, 4096, 65_536])
def test_49_the_largest_package_fits_on_any_machine_beside_another_user(megabytes: int) -> None:
    """With the program that reads it, whatever one user took before."""
    budget, readers = Budget.of(megabytes * 2**20), Budget.of_readers(megabytes * 2**20)
    for kind in (budget, readers):
        with contextlib.suppress(BusyError):
            for _ in range(4096):
                kind.take(1, 2**20)
    budget.take(2, MAX_COPY_BYTES)
    readers.take(2, limits.SMALL_BYTES)


@pytest.mark.parametrize(("gigabytes", "at_once"), [(64, 2), (4, 2), (2, 1), (1, 1)])
def test_readers_of_packages_are_bounded_apart(gigabytes: int, at_once: int) -> None:
    """One or two of a user's at a time."""
    readers = Budget.of_readers(gigabytes * 2**30)
    for _ in range(at_once):
        readers.take(1, limits.SMALL_BYTES)
    with pytest.raises(BusyError):
        readers.take(1, limits.SMALL_BYTES)


@pytest.mark.root
def test_36_an_input_that_holds_more_than_it_says_is_refused(linux: Linux) -> None:
    """Pages beyond the end of a memory file are the broker's to keep, too."""
    large = os.memfd_create("large", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(large, b"short")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(large, FALLOC_FL_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(MAX_PAYLOAD_BYTES + 4 * 2**20)) != 0:
        pytest.skip("this kernel gives a memory file no pages beyond its end")
    fcntl.fcntl(large, fcntl.F_ADD_SEALS, SEALS)
    with pytest.raises(TaskInvalidError, match="the input is over"):
        linux.host.inspect(Task.run(["cat"]), linux.requester, large)
    os.close(large)
