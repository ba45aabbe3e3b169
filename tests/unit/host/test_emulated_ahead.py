"""What the emulated machine makes ahead is for one start: before it nothing runs, and where none follows nothing is left."""

import os
import select
from pathlib import Path
from typing import Any

import pytest

from elevate.errors import CommandNotFoundError, HostError
from elevate.host.inspecting import EmulatedInspection
from elevate.ports import Mandate, Prepared
from elevate.tasks import Task
from tests.unit.host.emulating import Emulated

SOON = 0.3
SESSION, LIMIT = "session-ahead", 60


def looked_at(machine: Emulated, script: str) -> EmulatedInspection:
    return machine.host.inspect(Task.run(["/bin/sh", "-c", script]), machine.requester)


def ready(machine: Emulated, inspection: EmulatedInspection, **changed: Any) -> Prepared:  # noqa: ANN401 - as the host's own
    wanted: dict[str, Any] = {"session": SESSION, "time_limit_seconds": LIMIT} | changed
    return machine.host.prepare(inspection, Mandate(identity=machine.host.provision(machine.requester), **wanted))


def said(machine: Emulated, inspection: EmulatedInspection, ahead: Prepared) -> tuple[str, list[str]]:
    """Start the task with what was made ahead; give what it said, and what it wrote."""
    running = machine.host.start(
        inspection,
        Mandate(identity=machine.host.provision(machine.requester), session=SESSION, time_limit_seconds=LIMIT),
        ahead=ahead,
    )
    os.close(running.stderr)
    with os.fdopen(running.stdout) as file:
        text = file.read()
    ended = running.wait()
    assert (ended.exit_status, ended.leftover) == (0, 0)
    ahead.close()
    inspection.close()
    return text, [Path(one.path).name for one in ended.written]


def waiting(ahead: Any) -> int:  # noqa: ANN401 - looks behind the Protocol
    """Give a descriptor of our own of the output of what was made ahead."""
    return os.dup(ahead.tree._tree._ends[0])


def scratch(machine: Emulated) -> list[str]:
    return [path.name for path in Path(machine.host.machine.folder.path, "scratch").iterdir()]


def test_what_was_made_ahead_runs_at_the_start(machine: Emulated) -> None:
    """Nothing is said before; then what it wrote is known."""
    inspection = looked_at(machine, 'echo ran; echo new > "$ELEVATE_DRIVE_C/ProgramData/new"')
    ahead = ready(machine, inspection)
    kept = waiting(ahead)
    assert not select.select([kept], [], [], SOON)[0]
    os.close(kept)
    assert scratch(machine) == [SESSION]
    text, written = said(machine, inspection, ahead)
    assert (text, "new" in written, scratch(machine)) == ("ran\n", True, [])


def test_what_was_given_up_leaves_nothing(machine: Emulated) -> None:
    """No process, no folder, no descriptor; twice is the same as once."""
    held = []
    for _ in range(3):
        held.append(len(list(Path("/proc/self/fd").iterdir())))
        inspection = looked_at(machine, "echo ran; exec sleep 1000")
        ahead = ready(machine, inspection)
        kept = waiting(ahead)
        ahead.close()
        ahead.close()
        assert os.read(kept, 10) == b""  # at its end: nobody holds it any more
        os.close(kept)
        inspection.close()
        assert scratch(machine) == []
    assert held[2] <= held[1]


@pytest.mark.parametrize("changed", [{"session": "session-other"}, {"time_limit_seconds": 1}])
def test_what_was_made_for_another_start_is_not_used(machine: Emulated, changed: dict[str, Any]) -> None:
    """All is made anew."""
    inspection = looked_at(machine, "echo $ELEVATE_SESSION")
    ahead = ready(machine, inspection, **changed)
    kept = waiting(ahead)
    assert said(machine, inspection, ahead)[0] == f"{SESSION}\n"
    assert os.read(kept, 10) == b""
    os.close(kept)
    assert scratch(machine) == []


def test_what_was_made_for_another_task_is_not_used(machine: Emulated) -> None:
    """Not even for one with the same words."""
    first, second = looked_at(machine, "echo ran"), looked_at(machine, "echo ran")
    ahead = ready(machine, first)
    kept = waiting(ahead)
    assert said(machine, second, ahead)[0] == "ran\n"
    assert os.read(kept, 10) == b""
    os.close(kept)
    first.close()


def test_a_session_that_has_been_is_refused(machine: Emulated) -> None:
    """And its folder is not touched."""
    first, second = looked_at(machine, "echo ran"), looked_at(machine, "echo ran")
    ahead = ready(machine, first)
    with pytest.raises(HostError, match="folder can't be made"):
        ready(machine, second)
    assert said(machine, first, ahead)[0] == "ran\n"
    second.close()


def test_a_start_that_fails_leaves_nothing(machine: Emulated, tmp_path: Path) -> None:
    """The script's interpreter went meanwhile: that is told, and the folder is gone."""
    program, interpreter = tmp_path / "program", tmp_path / "sh"
    interpreter.symlink_to("/bin/sh")
    program.write_text(f"#!{interpreter}\n")
    program.chmod(0o755)
    inspection = machine.host.inspect(Task.run([str(program)]), machine.requester)
    ahead = ready(machine, inspection)
    interpreter.unlink()
    with pytest.raises(CommandNotFoundError):
        said(machine, inspection, ahead)
    inspection.close()
    assert scratch(machine) == []
