"""Several tasks as one: looked at one by one, before anybody is asked, and held open until each has run."""

from contextlib import ExitStack
from dataclasses import dataclass, replace

from elevate.errors import TaskInvalidError
from elevate.hello import check_steps
from elevate.model import InspectedTask, Requester
from elevate.ports import Host, Inspection
from elevate.tasks import Task

MAX_FILES_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralInspected:
    """A `elevate.ports.Inspection` of several steps; owns theirs."""

    task: InspectedTask
    steps: tuple[Inspection, ...]

    def check(self) -> None:
        """Make sure that what was opened for each step is still what was hashed."""
        for step in self.steps:
            step.check()

    def close(self) -> None:
        """Close all steps' descriptors; twice is the same as once."""
        with ExitStack() as stack:
            for step in self.steps:
                stack.callback(step.close)


def inspect(host: Host, task: Task, requester: Requester, payload: int | None = None) -> Inspection:
    """Look at a task, or at every step of one: each file is opened once, and what was opened is what runs.

    So a step finds the machine as it was before the first one ran; what another step only makes can't be run by a later one. A
    service is the exception: its name is all that a later step runs it by, and what brings it is agreed to with the rest.

    Raises:
        TaskError: It can't be run, or not be shown whole.
    """
    if not task.steps:
        return host.inspect(task, requester, payload)
    with ExitStack() as stack:
        found: list[Inspection] = []
        size = 0
        for step in task.steps:
            found.append(host.inspect(step, requester, before=[one.task for one in found]))
            stack.callback(found[-1].close)
            size += found[-1].task.file.size if found[-1].task.file else 0
            # What others could change is copied: one request takes no more memory than that of one large file, and a little.
            if size > MAX_FILES_BYTES:
                raise TaskInvalidError(f"the steps' files are over {MAX_FILES_BYTES} bytes", hint="ask for the large one alone")
        steps = tuple(one.task for one in found)
        bare = replace(task, steps=tuple(step.task for step in steps))
        whole = InspectedTask(task=bare, argv=(), cwd="/", steps=steps)
        check_steps(whole)
        stack.pop_all()
    return SeveralInspected(task=whole, steps=tuple(found))


def steps_of(inspection: Inspection) -> tuple[Inspection, ...]:
    """Give the steps of what was looked at; itself where it is one."""
    return inspection.steps if isinstance(inspection, SeveralInspected) else (inspection,)
