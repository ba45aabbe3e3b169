"""Rows 10, 47 and 48 on host linux: what was made ahead is for one start, with the descriptors that were hashed."""

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elevate.host import kernel
from elevate.host.looking import LinuxInspection
from elevate.model import Obligations
from elevate.ports import Mandate, Prepared
from elevate.tasks import Task
from tests.tools import wait_for
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root
SOON = 0.3
SESSION, LIMIT = "session-ahead", 60
MNT_DETACH = 2


def looked_at(linux: Linux, script: str) -> LinuxInspection:
    return linux.host.inspect(Task.run(["/bin/sh", "-c", script]), linux.requester)


def ready(linux: Linux, inspection: LinuxInspection, **changed: Any) -> Prepared:  # noqa: ANN401 - as the host's own
    wanted: dict[str, Any] = {
        "session": SESSION,
        "time_limit_seconds": LIMIT,
        "obligations": linux.obligations or Obligations(),
    } | changed
    return linux.host.prepare(inspection, Mandate(identity=linux.host.provision(linux.requester), **wanted))


def said(linux: Linux, inspection: LinuxInspection, ahead: Prepared) -> tuple[str, int]:
    """Start the task with what was made ahead; give what it said, and its number."""
    running = linux.host.start(
        inspection,
        Mandate(
            identity=linux.host.provision(linux.requester),
            session=SESSION,
            time_limit_seconds=LIMIT,
            obligations=linux.obligations or Obligations(),
        ),
        ahead=ahead,
    )
    os.close(running.stderr)
    with os.fdopen(running.stdout) as file:
        text = file.read()
    assert running.wait().exit_status == 0
    ahead.close()
    inspection.close()
    return text, running.pid


def waiting(ahead: Any) -> int:  # noqa: ANN401 - looks behind the Protocol
    """Give the read end of the output of what was made ahead."""
    return int(ahead.tree._ends[0])


def test_47_what_was_made_ahead_runs_at_the_start(linux: Linux) -> None:
    """Nothing is said before; then it is this very process."""
    inspection = looked_at(linux, "echo ran")
    ahead = ready(linux, inspection)
    assert not select.select([waiting(ahead)], [], [], SOON)[0]
    assert said(linux, inspection, ahead)[0] == "ran\n"


def test_47_what_was_made_ahead_and_given_up_leaves_nothing(linux: Linux) -> None:
    """No process, no cgroup, no descriptor."""
    held = []
    for _ in range(3):
        held.append(len(list(Path("/proc/self/fd").iterdir())))
        inspection = looked_at(linux, "echo ran; exec sleep 1000")
        ahead = ready(linux, inspection)
        kept = os.dup(waiting(ahead))
        cgroup = Path(ahead.tree._prepared._waiting.cgroup)  # type: ignore[attr-defined]
        assert wait_for(cgroup.is_dir)
        ahead.close()
        assert os.read(kept, 10) == b""  # at its end: nobody holds it any more
        os.close(kept)
        inspection.close()
        assert wait_for(lambda gone=cgroup: not gone.exists())  # type: ignore[misc]  # bound now
    assert held[2] <= held[1]


@pytest.mark.parametrize(
    "changed",
    [{"session": "session-other"}, {"time_limit_seconds": 1}, {"obligations": Obligations(extra=(("network", False),))}],
)
def test_48_what_was_made_for_another_start_is_not_used(linux: Linux, changed: dict[str, Any]) -> None:
    """Other obligations, another time limit, another session: all is made anew."""
    inspection = looked_at(linux, "echo $ELEVATE_SESSION")
    ahead = ready(linux, inspection, **changed)
    kept = os.dup(waiting(ahead))
    assert said(linux, inspection, ahead)[0] == f"{SESSION}\n"
    assert os.read(kept, 10) == b""
    os.close(kept)


def test_48_what_was_made_for_another_task_is_not_used(linux: Linux) -> None:
    """Not even for one with the same words: its descriptors are its own."""
    first, second = looked_at(linux, "echo ran"), looked_at(linux, "echo ran")
    ahead = ready(linux, first)
    kept = os.dup(waiting(ahead))
    assert said(linux, second, ahead)[0] == "ran\n"
    assert os.read(kept, 10) == b""
    os.close(kept)
    first.close()


def test_48_mounts_that_changed_meanwhile_are_the_tasks(linux: Linux, tmp_path: Path) -> None:
    """What was made ahead need not have them, so it is made anew."""
    place = linux.place / "mounted"
    place.mkdir()
    inspection = looked_at(linux, f"ls {place}")
    ahead = ready(linux, inspection)
    (tmp_path / "there").touch()
    tmp_path.chmod(0o755)
    kernel.mount(str(tmp_path), str(place), "", kernel.MS_BIND)
    try:
        assert said(linux, inspection, ahead)[0] == "there\n"
    finally:
        kernel._checked(kernel._libc.umount2(os.fsencode(place), MNT_DETACH))


def _renamed(program: Path, other: Path) -> None:
    other.rename(program)


def _unlinked(program: Path, _other: Path) -> None:
    program.unlink()


@pytest.mark.parametrize("change", [_renamed, _unlinked])
def test_10_a_program_that_is_swapped_meanwhile_is_not_run(linux: Linux, change: Callable[[Path, Path], None]) -> None:
    """What was hashed is what is executed."""
    program, other = linux.place / "program", linux.place / "other"
    for path, word in ((program, "first"), (other, "second")):
        path.write_text(f"#!/bin/sh\necho {word}\n")
        path.chmod(0o755)
    inspection = linux.host.inspect(Task.run([str(program)]), linux.requester)
    ahead = ready(linux, inspection)
    assert not select.select([waiting(ahead)], [], [], SOON)[0]
    change(program, other)
    assert said(linux, inspection, ahead)[0] == "first\n"
