"""Questions as they stand in files and records: the ``given`` table of a ``[[test]]``, and of a recorded decision.

One form serves both, so that a decision from the log can be asked again and can become a test.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from elevate.canonical import Json
from elevate.errors import TaskError
from elevate.kinds import KindSpec, is_own
from elevate.model import BROUGHT, Blob, Fact, FactValue, FileFact, InspectedTask, Outcome, ProcessIdentity, Requester
from elevate.policy.fields import kind_of
from elevate.policy.problems import Path, RefusedValue, similar
from elevate.policy.rule import PolicyTest, Question
from elevate.ports import Instant
from elevate.tasks import KINDS, STEPS, Task

DENIED = "denied"
OUTCOMES = (*(outcome.value for outcome in Outcome), DENIED)
MIDDAY = 1_767_614_400
"""Monday 5 January 2026, 12:00 UTC: the time of a test that gives none."""

_UNDETERMINED = "undetermined"
_NO_SHA = "0" * 64
_HEX_SHA = re.compile(r"[0-9a-f]{64}")
_TEXT_FACTS = (
    *("path", "real_path", "sha256", "signer", "product", "version", "package", "manifest"),
    *("service", "action", BROUGHT, "setting", "run_as", "run_as_group"),
)
_FLAG_FACTS = ("installer", "ui_access", "writable")
_TASK_KEYS = frozenset({"kind", "arguments", "env", "input", "cwd", *_TEXT_FACTS, *_FLAG_FACTS})
_PEOPLE = ("user", "sid", "machine", "service", "executable", "reason")
_GIVEN_KEYS = frozenset({"groups", "remote", "task", "at", *_PEOPLE})
_PLAIN: Mapping[str, FactValue] = MappingProxyType(
    {"signer": Fact.ABSENT, "sha256": Fact.ABSENT, "installer": False, "writable": False}
)
"""What a test means where it says nothing of a fact that hosts always give."""


def question(given: object) -> Question:
    """Read a question.

    Raises:
        RefusedValue: A key or a type is not known; the path says which.
    """
    table = _table(given, (), _GIVEN_KEYS)
    people = {name: _text(table, name, (name,)) for name in _PEOPLE}
    groups = table.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(name, str) for name in groups):
        raise RefusedValue("groups are a list of texts", 'write groups = ["developers"]', path=("groups",))
    requester = Requester(
        user=people["user"],
        sid=people["sid"],
        groups=tuple(sorted(groups)),
        machine=people["machine"],
        process=ProcessIdentity(uid=0, pid=0, start_time=0, boot_id=""),
        executable=people["executable"],
        remote=_flag(table, "remote", ("remote",)) or False,
        service=people["service"],
    )
    now = _moment(table.get("at"))
    return Question(requester=requester, task=_task(table.get("task")), now=now, reason=people["reason"])


def _table(value: object, path: Path, known: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise RefusedValue("a table is needed here", "write { … }", path=path)
    for name in value:
        if name not in known:
            raise RefusedValue(f"unknown key {name!r}", similar(str(name), known), path=(*path, str(name)))
    return value


def _text(table: Mapping[str, object], name: str, path: Path) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise RefusedValue(f"{name} is text, not {kind_of(value)}", "write it in double quotes", path=path)
    return value


def _flag(table: Mapping[str, object], name: str, path: Path) -> bool | None:
    value = table.get(name)
    if value is not None and not isinstance(value, bool):
        raise RefusedValue(f"{name} is true or false", "without quotes", path=path)
    return value


def _moment(value: object) -> Instant:
    if value is None:
        return Instant(unix_us=MIDDAY * 1_000_000, mono_ns=0)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as exc:
        raise RefusedValue("at is a moment", 'like "2026-01-05T12:00:00Z"', path=("at",)) from exc
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Instant(unix_us=int(moment.timestamp()) * 1_000_000, mono_ns=0)


def _task(value: object) -> InspectedTask:
    if isinstance(value, dict) and "steps" in value:
        return _several(value)
    table = _table(value, ("task",), _TASK_KEYS)
    facts = _facts(table)
    kind = _text(table, "kind", ("task", "kind"))
    path = _text(table, "path", ("task", "path"))
    sha256 = _text(table, "sha256", ("task", "sha256"))
    words = _arguments(table)
    argv = (path, *words) if kind == "process.run" or is_own(kind) else ()
    has_input = _flag(table, "input", ("task", "input"))
    return InspectedTask(
        task=_asked(kind, path, argv, table),
        argv=argv,
        cwd=_text(table, "cwd", ("task", "cwd")) or "/",
        file=FileFact(path=path, sha256=sha256 if _HEX_SHA.fullmatch(sha256) else _NO_SHA, size=0) if path else None,
        payload=Blob(sha256=_NO_SHA, size=0) if has_input else None,
        facts=tuple(sorted(facts.items())),
    )


def _several(value: dict[str, object]) -> InspectedTask:
    table = _table(value, ("task",), frozenset({"kind", "steps", "undo"}))
    steps, undo = table["steps"], table.get("undo", 0)
    if table.get("kind", STEPS) != STEPS or not isinstance(steps, list) or type(undo) is not int:
        raise RefusedValue("steps are a list of tasks", 'write steps = [{ kind = "…" }, …]', path=("task", "steps"))
    found = tuple(_task(step) for step in steps)
    try:
        task = Task(kind=STEPS, params=(), steps=tuple(step.task for step in found), undo=undo)
    except TaskError as exc:
        raise RefusedValue(exc.message, path=("task", "steps")) from exc
    return InspectedTask(task=task, argv=(), cwd="/", steps=found)


def _facts(table: Mapping[str, object]) -> dict[str, FactValue]:
    facts: dict[str, FactValue] = {}
    for name in _TEXT_FACTS:
        if name in table:
            facts[name] = _fact_value(_text(table, name, ("task", name)))
    for name in _FLAG_FACTS:
        if table.get(name) == _UNDETERMINED:
            facts[name] = Fact.UNDETERMINED
        elif (flag := _flag(table, name, ("task", name))) is not None:
            facts[name] = flag
    return {**_PLAIN, **facts}


def _fact_value(text: str) -> FactValue:
    return Fact.UNDETERMINED if text == _UNDETERMINED else Fact.ABSENT if text == "unsigned" else text


def _arguments(table: Mapping[str, object]) -> tuple[str, ...]:
    words = table.get("arguments", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RefusedValue("arguments are a list of texts", 'write ["restart", "nginx"]', path=("task", "arguments"))
    return tuple(words)


def _asked(kind: str, path: str, argv: tuple[str, ...], table: Mapping[str, object]) -> Task:
    cwd = _text(table, "cwd", ("task", "cwd")) or "/"
    env = table.get("env", {})
    try:
        match kind:
            case "process.run":
                return Task.parse(kind, {"argv": argv, "cwd": cwd, "env": env})
            case "package.install" | "file.write":
                return Task.parse(kind, {"path": path, "cwd": cwd})
            case "setting.change":
                key, _, name = _text(table, "setting", ("task", "setting")).rpartition("\\")
                return Task.parse(kind, {"key": key, "name": name, "value": ""})
            case _ if is_own(kind):
                # What the machine's description of it says does not matter here: this is what came of it.
                spec = KindSpec(name=kind, display_name=kind, params={}, argv=(path or "/",))
                return Task.parse(kind, {}, kinds={kind: spec})
            case _:
                names = [name for name in ("service", "action", "package") if name in table and name in _params(kind)]
                return Task.parse(kind, {name: table[name] for name in names})
    except TaskError as exc:
        path_of = ("task", "kind") if kind not in KINDS else ("task",)
        raise RefusedValue(exc.message, exc.hint if kind not in KINDS else "", path=path_of) from exc


def _params(kind: str) -> frozenset[str]:
    return frozenset(KINDS[kind].params) if kind in KINDS else frozenset()


def given(asked: Question) -> dict[str, Json]:
    """Give the record of a question, which `question` reads again to the same decision."""
    requester = asked.requester
    people: dict[str, Json] = {name: value for name in _PEOPLE[:-1] if (value := getattr(requester, name))}
    moment = datetime.fromtimestamp(asked.now.unix, UTC).replace(tzinfo=None).isoformat() + "Z"
    record: dict[str, Json] = {**people, "groups": list(requester.groups), "task": given_task(asked.task), "at": moment}
    if requester.remote:
        record["remote"] = True
    if asked.reason:
        record["reason"] = asked.reason
    return record


def given_task(task: InspectedTask) -> dict[str, Json]:
    """Give the record of a task."""
    if task.steps:
        several: dict[str, Json] = {"kind": STEPS, "steps": [given_task(step) for step in task.steps]}
        return several | ({"undo": task.task.undo} if task.task.undo else {})
    said: dict[str, Json] = {name: _plain_fact(value) for name, value in task.facts if name in _TASK_KEYS}
    said["kind"] = task.task.kind
    if task.argv:
        said["arguments"] = list(task.argv[1:])
        said.setdefault("path", task.argv[0])
    if task.file is not None:
        said.setdefault("path", task.file.path)
    if task.payload is not None and task.task.kind == "process.run":
        said["input"] = True
    env = dict(task.task.params).get("env", ())
    if isinstance(env, tuple) and env:
        said["env"] = {pair[0]: pair[1] for pair in env if isinstance(pair, tuple)}
    return said


def _plain_fact(value: FactValue) -> Json:
    if isinstance(value, Fact):
        return "unsigned" if value is Fact.ABSENT else _UNDETERMINED
    return value


def read_test(table: object, place: tuple[str, int]) -> PolicyTest:
    """Read a ``[[test]]``.

    Raises:
        RefusedValue: A key or a type is not known.
    """
    test = _table(table, (), frozenset({"name", "given", "expect"}))
    for name in ("given", "expect"):
        if name not in test:
            raise RefusedValue(f"the test has no {name}", "a test has given and expect")
    expect = _table(test["expect"], ("expect",), frozenset({"outcome", "rules", "obligations"}))
    outcome = _text(expect, "outcome", ("expect", "outcome"))
    if outcome not in OUTCOMES:
        raise RefusedValue(f"{outcome!r} is no outcome", similar(outcome, OUTCOMES), path=("expect", "outcome"))
    rules = expect.get("rules")
    if rules is not None and not (isinstance(rules, list) and all(isinstance(rule, str) for rule in rules)):
        raise RefusedValue("rules are a list of ids", 'write rules = ["developers-install"]', path=("expect", "rules"))
    try:
        asked = question(test["given"])
    except RefusedValue as exc:
        exc.path = ("given", *exc.path)
        raise
    obligations = _table_of_json(expect.get("obligations", {}))
    name = _text(test, "name", ("name",)) or asked.task.task.display()
    wanted = tuple(sorted(rules)) if rules is not None else None
    return PolicyTest(
        name=name, given=asked, outcome=outcome, rules=wanted, obligations=obligations, file=place[0], line=place[1]
    )


def _table_of_json(value: object) -> tuple[tuple[str, Json], ...]:
    from elevate.policy.obligations import DEMANDS

    table = _table(value, ("expect", "obligations"), frozenset(DEMANDS))
    return tuple(sorted(table.items()))  # type: ignore[arg-type]  # what TOML gives is JSON but for dates, which equal nothing
