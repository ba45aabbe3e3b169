"""From the tables of a rule file to typed rules; every key that is wrong is told, not the first only.

Equal ``who``, ``then`` and condition tables become one value that the rules share, so that a list of 100,000 rules stays small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from elevate.kinds import KindSpec, is_own
from elevate.policy.as_whom import as_whom, misplaced
from elevate.policy.brought import take_brought
from elevate.policy.conditions import ArgumentsAre, NotWritable
from elevate.policy.parts import SELECTORS, condition_of, has_selector, names_in, plain_value, spelled, unknown_fix
from elevate.policy.problems import Path, RefusedValue, similar
from elevate.policy.rule import By, Condition, Effect, Rule, ServiceIdentity, Settings, Value, Who
from elevate.policy.schema import ALL_KINDS, RULE, SERVICE, TABLES, TASK, THEN, Key
from elevate.policy.shared import Shared
from elevate.policy.windows import read_when

Say: TypeAlias = Callable[[Path, str, str], None]

_RANKS = {By.SHA256: 7, By.SIGNER: 5, By.PACKAGE: 4, By.SERVICE: 4, By.SETTING: 4, By.PATH: 3, By.DIRECTORY: 2, By.ANY: 1}
_RELEASE_RANK = 6
_NOTHING: dict[str, object] = {}
_QUIET = ("prompt", "service")
_NOT_WRITABLE: tuple[Condition, ...] = (NotWritable(),)
_BY_PLACE = frozenset({By.PACKAGE, By.PATH, By.DIRECTORY})


@dataclass(frozen=True, slots=True)
class _Task:
    """What a ``task`` table comes to; ``rank`` is the selector's."""

    kinds: tuple[str, ...]
    by: By
    values: tuple[str, ...]
    conditions: tuple[Condition, ...]
    rank: int


@dataclass(slots=True)
class Reader:
    """Reads the rules of one policy; keeps what they share.

    Attributes:
        say: Takes the path of what is wrong, the message and the fix.
        kinds: The machine's own; all of them, before the first rule is read.
    """

    say: Say
    settings: Settings
    kinds: Mapping[str, KindSpec] = field(default_factory=dict)
    _shared: Shared = field(default_factory=Shared)
    _wrong: int = 0

    def rule(self, table: object, path: Path, file: str, line: int) -> Rule | None:
        """Read one rule; None where anything is wrong with it."""
        if not isinstance(table, dict):
            self._bad(path, "a rule is a table", "begin it with [[rule]]")
            return None
        before = self._wrong
        head = self._head(table, path)
        effect = Effect(str(head["effect"])) if "effect" in head else None
        parts = {name: self._part(name, table.get(name, _NOTHING), effect, (*path, name)) for name in TABLES}
        if self._wrong > before or effect is None:
            return None
        rule = self._build(head, effect, parts, (file, line))
        self._check_service(rule, path)
        for name in misplaced(rule):
            fix = "leave it out, or write a second rule for the admin account"
            self._bad((*path, "then", name), f"{name} is the admin account's, and this rule runs as another user", fix)
        return rule if self._wrong == before else None

    def service(self, table: object, path: Path, file: str, line: int) -> ServiceIdentity | None:
        """Read one service identity."""
        if not isinstance(table, dict):
            self._bad(path, "a service identity is a table", "begin it with [[service]]")
            return None
        before = self._wrong
        values = self._keys(table, SERVICE, path)
        for name in ("name", "uid", "executable"):
            if name not in table:
                self._bad(path, f"the key {name} is missing", "a service identity has name, uid and executable")
        if self._wrong > before:
            return None
        return ServiceIdentity(
            name=str(values["name"]),
            uid=int(str(values["uid"])),
            executable=str(values["executable"]),
            sha256=str(values.get("sha256", "")),
            file=file,
            line=line,
        )

    def _bad(self, path: Path, message: str, fix: str = "") -> None:
        self._wrong += 1
        self.say(path, message, fix)

    def _head(self, table: Mapping[str, object], path: Path) -> dict[str, object]:
        known = {*RULE, *TABLES}
        for name in table:
            if name not in known:
                self._bad((*path, name), f"unknown key {name!r} in a rule", unknown_fix(name, known))
        head = {name: value for name, value in table.items() if name in RULE}
        for name, example in (("id", '"my-rule"'), ("effect", '"allow"'), ("task", "{ kind = … }; {} is every task")):
            if name not in table:
                self._bad(path, f"the rule has no {name}", f"add {name} = {example}")
        values = self._keys(head, RULE, path)
        if "effect" in values:
            self._check_effect(values, RULE, Effect(str(values["effect"])), path)
        return values

    def _keys(self, table: Mapping[str, object], keys: Mapping[str, Key], path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, value in table.items():
            key = keys.get(name)
            if key is None:
                self._bad((*path, name), f"unknown key {name!r}", unknown_fix(name, keys))
                continue
            try:
                values[name] = key.type.read(value)
            except RefusedValue as exc:
                self._bad((*path, name, *exc.path), f"{name}: {exc.message}", exc.fix)
        return values

    def _part(self, name: str, table: object, effect: Effect | None, path: Path) -> object:
        """Read one of the four tables, or give the equal one that was read before."""
        if not isinstance(table, dict):
            self._bad(path, f"{name} is a table", f"write {name} = {{ … }}")
            return None
        if name == "task" and has_selector(table):  # no two of these are the same
            return self._fresh(name, table, effect, path)
        known = f"{name}{effect}{table!r}"
        found = self._shared.kept.get(known)
        if found is not None:
            return found
        before = self._wrong
        value = self._fresh(name, table, effect, path)
        if self._wrong == before:
            self._shared.kept[known] = value
        return value

    def _fresh(self, name: str, table: Mapping[str, object], effect: Effect | None, path: Path) -> object:
        values = self._keys(table, TABLES[name], path)
        if effect is not None:
            self._check_effect(values, TABLES[name], effect, path)
        match name:
            case "who":
                return self._who(values)
            case "task":
                return self._task(values, effect, path)
            case "then":
                return self._then(values, effect, path)
            case _:
                return self._when(values, path)

    def _check_effect(self, values: Mapping[str, object], keys: Mapping[str, Key], effect: Effect, path: Path) -> None:
        for name in values:
            if effect not in keys[name].effects:
                allowed = " or ".join(sorted(keys[name].effects))
                self._bad((*path, name), f"{name} does not go with effect {effect}", f"it goes with {allowed}; remove it here")

    def _who(self, values: Mapping[str, object]) -> Who:
        return Who(
            user=names_in(values.get("user")),
            group=names_in(values.get("group")),
            sid=names_in(values.get("sid")),
            service=names_in(values.get("service")),
            machine=names_in(values.get("machine")),
            remote=values.get("remote") is True if "remote" in values else None,
        )

    def _when(self, values: Mapping[str, object], path: Path) -> tuple[Condition, ...]:
        try:
            return read_when(values)
        except RefusedValue as exc:
            self._bad((*path, *exc.path), exc.message, exc.fix)
            return ()

    def _task(self, values: dict[str, object], effect: Effect | None, path: Path) -> _Task | None:
        kinds = self._kinds(values, path)
        if not kinds:
            return None
        for name, needs in (("product", ("signer",)), ("version", ("signer", "package"))):
            if name in values and not any(need in values for need in needs):
                self._bad((*path, name), f"{name} alone says nothing", f"add {' or '.join(needs)}")
        there = take_brought(values) if effect is Effect.ALLOW and "service.control" in kinds else ()
        by_name, by = next((one for one in SELECTORS if one[0] in values), ("", By.ANY))
        rank = _RELEASE_RANK if by is By.SIGNER and {"product", "version"} <= values.keys() else _RANKS[by]
        selected = names_in(values.pop(by_name, None))
        if by is By.SERVICE and effect is not Effect.ALLOW:
            selected = spelled(selected)
        conditions = self._conditions(values)
        if effect is Effect.ALLOW and by in _BY_PLACE:
            conditions = self._shared.joined(conditions, _NOT_WRITABLE)
        if effect is Effect.ALLOW and "process.run" in kinds:
            conditions = self._shared.joined(conditions, as_whom(values))
        if there:
            conditions = self._shared.joined(conditions, there)
        return _Task(kinds, by, selected, conditions, rank)

    def _kinds(self, values: Mapping[str, object], path: Path) -> tuple[str, ...]:
        """Give the kinds that have all of the keys; none is an error."""
        kind = values.get("kind")
        known = f"kinds of {kind} {list(values)}"
        found = self._shared.kept.get(known)
        if isinstance(found, tuple):
            return found
        kinds = (str(kind),) if kind is not None else (*ALL_KINDS, *sorted(self.kinds))
        if kind is not None and kind not in ALL_KINDS and kind not in self.kinds:
            self._bad((*path, "kind"), f"kind: {kind!r} is not known here", similar(str(kind), (*ALL_KINDS, *self.kinds)))
            return ()
        first = "kind"
        for name in values:
            # One of the machine's own runs a program, and has all that is known of one.
            left = tuple(one for one in kinds if ("process.run" if one in self.kinds else one) in TASK[name].kinds)
            if not left:
                what = f"{kind} has no {name}" if kind is not None else f"no kind of task has both {first} and {name}"
                self._bad((*path, name), what, f"{name} goes with {', '.join(TASK[name].kinds)}")
                return ()
            first = name if len(left) < len(kinds) else first
            kinds = left
        self._shared.kept[known] = kinds = self._shared.one(f"kinds{kinds}", kinds)
        return kinds

    def _conditions(self, values: Mapping[str, object]) -> tuple[Condition, ...]:
        if len(values) == ("kind" in values):
            return ()
        found = tuple(condition_of(name, value) for name, value in sorted(values.items()) if name != "kind")
        return self._shared.one(f"conditions{found!r}", found)

    def _then(self, values: dict[str, object], effect: Effect | None, path: Path) -> tuple[tuple[str, Value], ...]:
        if effect is Effect.REQUIRE and values.get("prompt") == "service":
            self._bad((*path, "prompt"), "a require can't ask for less than a person", "name consent, credential or approval")
        if effect is Effect.REQUIRE and not values:
            self._bad(path, "a require that demands nothing", 'add what it demands, as then = { reason = "required" }')
        if values.get("prompt") == "approval" and effect is Effect.ALLOW and "approvals" not in values:
            values["approvals"] = 1
        return tuple((name, plain_value(name, values[name])) for name in THEN if name in values)

    def _build(self, head: Mapping[str, object], effect: Effect, parts: Mapping[str, object], place: tuple[str, int]) -> Rule:
        who, task, then = parts["who"], parts["task"], parts["then"]
        when = parts["when"]
        if (
            not isinstance(who, Who)
            or not isinstance(task, _Task)
            or not isinstance(then, tuple)
            or not isinstance(when, tuple)
        ):
            raise TypeError("a part that was not read")  # pragma: no cover - what was refused does not come here
        more = self._shared.env_of(then) if effect is Effect.ALLOW and "process.run" in task.kinds else ()
        return Rule(
            id=str(head["id"]),
            effect=effect,
            who=who,
            kinds=task.kinds,
            by=task.by,
            values=task.values,
            conditions=self._shared.joined(task.conditions, when, more),
            then=then,
            rank=task.rank * 4 + who.rank,
            why=str(head.get("why", "")),
            message=str(head.get("message", "")),
            file=place[0],
            line=place[1],
        )

    def _check_service(self, rule: Rule, path: Path) -> None:
        """Refuse a rule that elevates with no person, but for a pinned service identity and a pinned task."""
        if _QUIET not in rule.then:
            return
        if not rule.who.service:
            fix = "add who = { service = … } and a [[service]] that pins it, or choose another prompt"
            self._bad((*path, "then", "prompt"), "no task is done without a person", fix)
        if rule.who.user or rule.who.group or rule.who.sid:
            self._bad((*path, "who"), "a service identity is no person", "keep who = { service = … } alone")
        exact = any(isinstance(one, ArgumentsAre) and one.wanted.exact is not None for one in rule.conditions)
        runs = "process.run" in rule.kinds or any(map(is_own, rule.kinds))
        pinned = rule.by is By.SHA256 or (rule.by is By.PATH and (exact or not runs))
        if not pinned and not (rule.by is By.SERVICE and rule.kinds == ("service.control",)):
            fix = "name the program's sha256, or its path with the exact arguments"
            self._bad((*path, "task"), "what a service identity may do must be pinned", fix)
