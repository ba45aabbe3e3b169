"""What both hosts know of a task that was looked at, and the checks that they share."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from elevate.errors import HostError, TaskInvalidError
from elevate.host.budget import give_back_nothing, unbounded
from elevate.host.folders import Folder
from elevate.host.opening import Opened
from elevate.host.sealed import check_sealed, digest_of, memory_of, seal
from elevate.model import MODE_BEFORE, Fact, FactValue, FileFact, InspectedTask, Obligations, Window
from elevate.params import MAX_MODE
from elevate.tasks import Task

MAX_WINDOW = 0xFFFF
MAX_TARGET_BYTES = 256 * 2**20
"""Of a file that is there already and will be replaced."""

Take = Callable[[int], Callable[[], None]]
"""Takes up so many bytes; gives what gives them back."""


@dataclass(slots=True, kw_only=True)
class HostInspection:
    """A task that was looked at; owns every descriptor in it, and is good for one start.

    Attributes:
        user: For whom it was made.
        program: What will be executed, or the package.
        target: The folder of the file that will be written.
        give_back: Gives back the memory of the input.
    """

    task: InspectedTask
    user: str
    cwd: int
    program: Opened | None = None
    target: Folder | None = None
    payload: int | None = None
    additions: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    give_back: Callable[[], None] = give_back_nothing
    started: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self) -> None:
        """Mark it as started.

        Raises:
            HostError: It was started before, or closed: an inspection is good for one start.
        """
        if self.closed or not self.started.acquire(blocking=False):
            raise HostError("the task was started before, or given up")

    def check(self) -> None:
        """Make sure that the program or package is still what was hashed.

        Raises:
            HostError: Its bytes were changed where they lie; a file that others than root could change was copied before.
        """
        program = self.program
        if program is not None and not program.copied and digest_of(program.fd)[0] != program.fact.sha256:
            raise HostError("the file was changed after it was agreed to", hint="ask again")

    def close(self) -> None:
        """Close the descriptors; twice is the same as once."""
        if self.closed:
            return
        self.closed = True
        os.close(self.cwd)
        if self.payload is not None:
            os.close(self.payload)
        for part in (self.program, self.target):
            if part is not None:
                part.close()
        self.give_back()


def take_payload(found: HostInspection, task: Task, payload: int | None, take: Take = unbounded) -> None:
    """Keep the declared input, sealed, with its digest; ``take`` counts the memory that it takes up.

    Raises:
        BusyError: It is too much.
        TaskInvalidError: Twice, for a kind that takes none, or it could still change.
    """
    if payload is not None and (task.payload is not None or task.kind not in {"process.run", "file.write"}):
        raise TaskInvalidError("this task takes no input beside it")
    if payload is None and task.payload is None:
        return
    given = task.payload or b""
    # What came as bytes is held twice: whoever read them counts these (`elevate.ports.Host.hold`).
    found.give_back = take(memory_of(payload) if payload is not None else len(given))
    found.payload = os.dup(payload) if payload is not None else seal(given)
    found.task = replace(found.task, payload=check_sealed(found.payload))


def additions_of(task: Task) -> list[tuple[str, str]]:
    """Give the environment additions of a `process.run`; no other kind has any."""
    pairs = dict(task.params).get("env", ())
    return [(pair[0], pair[1]) for pair in pairs] if isinstance(pairs, tuple) else []


def check_scope(task: Task) -> None:
    """Refuse an installation for the user alone.

    Raises:
        TaskInvalidError: Nothing of it needs an elevation.
    """
    if "scope" in dict(task.params):
        hint = 'call elevate.install(path, scope="user") without elevation'
        raise TaskInvalidError("an installation for this user alone is never elevated", hint=hint)


def check_own(task: Task, program: Opened) -> None:
    """Check the program that a kind of the machine's own runs.

    SECURITY: its description says by its path which it is, and nobody but root may say what lies there (attacks.md row 9).

    Raises:
        TaskInvalidError: The requester could have written it.
    """
    if task.own and program.writable:
        raise TaskInvalidError("the program of this kind can be changed by others", hint="tell whoever looks after the machine")


def target_fact(folder: Folder, name: str, path: str) -> tuple[FileFact, dict[str, FactValue]]:
    """Say what is at the place of a file that will be written, and its permission bits; no hash and none where nothing is.

    Raises:
        OSError: A link, a folder, a device, a file with a second name, or one over `MAX_TARGET_BYTES`.
    """
    if not folder.exists(name):
        return FileFact(path=path, sha256="", size=0), {}
    fd = folder.open_file(name)
    try:
        sha256, size = digest_of(fd, max_bytes=MAX_TARGET_BYTES)
        mode = os.fstat(fd).st_mode & MAX_MODE
    finally:
        os.close(fd)
    return FileFact(path=path, sha256=sha256, size=size), {MODE_BEFORE: mode}


def file_facts(file: Opened) -> dict[str, FactValue]:
    """Give what rules may ask of any file."""
    facts: dict[str, FactValue] = {"path": file.fact.path, "sha256": file.fact.sha256, "signer": Fact.ABSENT}
    if file.name != file.fact.path:
        facts["real_path"] = file.fact.path
    return {**facts, "writable": file.writable}


def in_order(facts: Mapping[str, FactValue]) -> tuple[tuple[str, FactValue], ...]:
    """Give facts as pairs in name order."""
    return tuple(sorted(facts.items()))


def check_window(inspection: HostInspection, obligations: Obligations, window: Window | None) -> None:
    """Check that a task may have a terminal.

    Raises:
        HostError: No rule says interactive, or the task's input was declared and is to be the terminal, or the size is none.
    """
    if window is None:
        return
    program = inspection.task.task.kind == "process.run" and (inspection.payload is None or 0 not in window.streams)
    # SECURITY: standard input is empty unless the rule says interactive (attacks.md rows 26 and 27).
    if dict(obligations.extra).get("interactive") is not True or not program:
        raise HostError("the task may not use a terminal", hint="a rule must say: interactive = true")
    if not all(0 <= size <= MAX_WINDOW for size in (window.rows, window.columns)):
        raise HostError("the terminal's size is none")
    if not window.streams or not set(window.streams) <= {0, 1, 2}:
        raise HostError("a terminal is at least one of standard input, output and error")
