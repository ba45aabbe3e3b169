"""What would take a task back, for its receipt: newest first, and only what is known. Nothing here does any of it.

Each member says what to do (``remove`` a file, ``restore`` one as it was, ``install`` a package again, or a ``task`` to ask
for), and of which step it is. Where elevate has a task for it, that stands there whole, to be handed to `elevate.Task.parse`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from elevate.canonical import Json
from elevate.errors import TaskError
from elevate.model import Agreement, Ended, Fact, InspectedTask, Written, mode_before
from elevate.tasks import Task
from elevate.text import escape

_OPPOSITE: Mapping[str, str] = MappingProxyType({"start": "stop", "stop": "start", "enable": "disable", "disable": "enable"})
_MACHINES = frozenset({"package.install", "package.remove", "service.control", "setting.change"})
"""Kinds of which the machine itself knows the way back; of all others the files that were written are known."""


def undo_of(agreement: Agreement, ended: Ended) -> Iterator[dict[str, Json]]:
    """Give what would take back what was done; nothing where the agreed steps that undo have done so."""
    ends = {one.step: one for one in ended.steps} or {1: ended}
    forward = len(agreement.steps) - agreement.task.task.undo
    undone = [one.succeeded for step, one in ends.items() if step > forward]
    if undone and all(undone):
        return
    for number in range(min(forward, len(ends)), 0, -1):
        task, _ = agreement.steps[number - 1]
        for one in _of_step(task, ends[number]):
            yield {"step": number, **one}


def _of_step(task: InspectedTask, ended: Ended) -> Iterator[dict[str, Json]]:
    if task.task.kind in _MACHINES:
        if ended.succeeded:
            yield from _of_machine(task)
        return
    for written in reversed(ended.written):
        yield _of_file(task, written)


def _of_file(task: InspectedTask, written: Written) -> dict[str, Json]:
    known = task.task.kind == "file.write" and task.file is not None and task.file.path == written.path
    before = task.file.sha256 if known and task.file else ""
    do = "remove" if written.change == "created" else "restore"
    mode: dict[str, Json] = {"mode": mode_before(task)} if known and do == "restore" else {}
    return {"do": do, "path": written.path, "sha256": before, **mode}


def _of_machine(task: InspectedTask) -> Iterator[dict[str, Json]]:
    facts, asked = dict(task.facts), dict(task.task.params)
    match task.task.kind:
        case "package.install":
            yield from _task("package.remove", {"package": str(facts.get("package", ""))})
        case "package.remove":
            yield {"do": "install", "package": f"{facts.get('package', '')} {facts.get('version', '')}"}
        case "service.control" if asked["action"] in _OPPOSITE:
            yield from _task("service.control", {"service": asked["service"], "action": _OPPOSITE[str(asked["action"])]})
        case "setting.change":
            yield from _setting(asked, facts.get("previous", Fact.UNDETERMINED))
        case _:
            return


def _setting(asked: Mapping[str, object], before: object) -> Iterator[dict[str, Json]]:
    if isinstance(before, Fact):
        do = "remove" if before is Fact.ABSENT else "restore"
        yield {"do": do, "setting": escape(f"{asked['key']}\\{asked['name']}")}
        return
    kind = "number" if isinstance(before, int) else "text"
    yield from _task("setting.change", {"key": asked["key"], "name": asked["name"], "value": str(before), "type": kind})


def _task(kind: str, params: Mapping[str, object]) -> Iterator[dict[str, Json]]:
    try:
        task = Task.parse(kind, params)
    except TaskError:  # a name that a host takes and no task can say
        return
    yield {"do": "task", "task": task.to_json(), "display": task.display()}
