"""What is unwise in a policy that loads: rules that give more than they seem to, and rules that do nothing.

Every finding has a severity, an id that stays, the place, the reason, and where there is one a narrower rule to use instead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from elevate.canonical import Json
from elevate.policy import lint_kinds
from elevate.policy.conditions import ArgumentsAre, Below, EnvWithin, IsFlag, OneOf
from elevate.policy.covers import below, covers, overlap
from elevate.policy.dangerous import CODE, ENVIRONMENT, INSIDE, Danger, danger_of
from elevate.policy.engine import Policy
from elevate.policy.obligations import undone
from elevate.policy.rule import By, Effect, Rule
from elevate.policy.times import Between
from elevate.policy.toml import rule_toml
from elevate.policy.write import table_of

RUN = "process.run"
_WRITABLE = ("/dev/shm", "/home", "/mnt", "/media", "/run/user", "/tmp", "/var/crash", "/var/lock", "/var/tmp")  # noqa: S108 - named, not used
_PROGRAM_FOLDERS = frozenset({"/", "/bin", "/sbin", "/usr", "/usr/bin", "/usr/local", "/usr/local/bin", "/usr/sbin"})


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is unwise.

    Attributes:
        id: Stays the same over versions, as ``any-program``.
        narrower: A rule in TOML to use instead; empty where there is none.
    """

    severity: Severity
    id: str
    rule: str
    file: str
    line: int
    message: str
    narrower: str = ""

    def render(self) -> str:
        """Give it as lines for a person."""
        head = f"{self.file}:{self.line}: {self.severity}: {self.id}: {self.rule}: {self.message}"
        return "\n".join([head, *(f"    {line}" for line in self.narrower.splitlines())])

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        where: dict[str, Json] = {"severity": self.severity.value, "id": self.id, "rule": self.rule}
        return where | {"file": self.file, "line": self.line, "message": self.message, "narrower": self.narrower}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What lint needs beside the policy.

    Attributes:
        now: Unix seconds, for windows that are over.
        more: Dangerous programs from elsewhere.
        writable: Says of a folder of this machine whether others can write it; None asks only the list of known ones.
        uncovered: Ids of rules that no test covers; None leaves that check out.
    """

    now: int
    more: Mapping[str, Danger] = field(default_factory=dict)
    writable: Callable[[str], bool] | None = None
    uncovered: frozenset[str] | None = None


def lint(policy: Policy, context: Context) -> list[Finding]:
    """Look at every rule alone, then at the rules beside each other; errors first, then in the order of the files."""
    found = [finding for rule in policy.rules for finding in _alone(rule, context)]
    found += _kinds(policy, context)
    found += _together(policy.rules)
    order = tuple(Severity)
    return sorted(found, key=lambda one: (order.index(one.severity), one.file, one.line, one.id))


def _finding(severity: Severity, name: str, rule: Rule, message: str, narrower: str = "") -> Finding:
    return Finding(severity=severity, id=name, rule=rule.id, file=rule.file, line=rule.line, message=message, narrower=narrower)


def _alone(rule: Rule, context: Context) -> Iterator[Finding]:
    if rule.effect is Effect.ALLOW:
        yield from _broad(rule)
        yield from _confined(rule)
        if rule.by in {By.PATH, By.DIRECTORY}:
            yield from _places(rule, context)
        if RUN in rule.kinds:
            yield from _programs(rule, context)
    if rule.conditions:
        yield from _windows(rule, context.now)
    if context.uncovered is not None and rule.id in context.uncovered:
        yield _finding(Severity.NOTE, "untested", rule, "no test shows what it does; add a [[test]]")


def _kinds(policy: Policy, context: Context) -> Iterator[Finding]:
    """Look at the machine's own kinds; each is told where it is first allowed."""
    for name, spec in policy.kinds.items():
        rule = next((rule for rule in policy.rules if rule.effect is Effect.ALLOW and name in rule.kinds), None)
        if rule is None:
            continue
        for problem, bad, why in lint_kinds.problems(spec, context.more):
            yield _finding(Severity.ERROR if bad else Severity.WARNING, problem, rule, f"{name}: {why}")
        if _is_writable(folder := spec.argv[0].rpartition("/")[0], context):
            message = f"{name}: people can write in {folder}, so the task is refused; install its program elsewhere"
            yield _finding(Severity.ERROR, "writable-folder", rule, message)


def _is_writable(folder: str, context: Context) -> bool:
    known = any(folder == one or folder.startswith(one + "/") for one in _WRITABLE)
    return known or (context.writable is not None and context.writable(folder))


def _confined(rule: Rule) -> Iterator[Finding]:
    for found in undone(dict(rule.then)):
        message = f"no machine keeps {found}, so the task is refused; take one out"
        yield _finding(Severity.ERROR, "undone-list", rule, message)


def _broad(rule: Rule) -> Iterator[Finding]:
    who = rule.who
    if not (who.user or who.group or who.sid or who.service):
        narrower = _changed(rule, who={"group": "GROUP"})
        yield _finding(Severity.WARNING, "anyone", rule, "it is for everyone who can reach the broker", narrower)
    if rule.by is By.ANY and RUN in rule.kinds:
        narrower = _changed(rule, task={"kind": RUN, "path": "/usr/bin/PROGRAM", "arguments": ["ARGUMENT"]})
        yield _finding(Severity.ERROR, "any-program", rule, "it lets any program run as admin", narrower)


def _places(rule: Rule, context: Context) -> Iterator[Finding]:
    for value in rule.values:
        folder = value if rule.by is By.DIRECTORY else value.rsplit("/", 1)[0]
        if _is_writable(folder, context):
            narrower = _changed(rule, task={"kind": rule.kinds[0], "sha256": "SHA-256 OF THE FILE"})
            message = f"people can write in {folder}, so the path says nothing of the file; name its content"
            yield _finding(Severity.ERROR, "writable-folder", rule, message, narrower)
        elif rule.by is By.DIRECTORY and value in _PROGRAM_FOLDERS and RUN in rule.kinds:
            narrower = _changed(rule, task={"kind": RUN, "path": f"{value.rstrip('/')}/PROGRAM", "arguments": ["ARGUMENT"]})
            message = f"{value} holds shells, editors and interpreters, each of which is admin for anything"
            yield _finding(Severity.WARNING, "folder-of-programs", rule, message, narrower)


def _programs(rule: Rule, context: Context) -> Iterator[Finding]:
    wanted = next((one for one in rule.conditions if isinstance(one, ArgumentsAre)), None)
    paths = list(rule.values) if rule.by in {By.PATH, By.PACKAGE} else []
    paths += [
        value for one in rule.conditions if isinstance(one, OneOf) and one.name in {"path", "package"} for value in one.values
    ]
    for path in paths:
        danger = danger_of(path, context.more)
        if danger is not None and (why := _way_out(danger, wanted)):
            yield _finding(Severity.ERROR, "dangerous-program", rule, f"{path} {why}: {danger.gives}", _exact(rule, danger))
    if wanted is None and rule.by is By.PATH and not any(danger_of(path, context.more) for path in paths):
        message = "it takes any arguments; say which"
        yield _finding(Severity.NOTE, "any-argument", rule, message, _changed_task(rule, arguments=["ARGUMENT"]))
    loose = next((one.names & ENVIRONMENT for one in rule.conditions if isinstance(one, EnvWithin)), frozenset())
    if loose:
        message = f"{', '.join(sorted(loose))} in the environment decides which code runs"
        yield _finding(Severity.ERROR, "dangerous-environment", rule, message)


def _way_out(danger: Danger, wanted: ArgumentsAre | None) -> str:
    """Say how the program is left, or nothing where the arguments leave no way."""
    exact = wanted.wanted.exact if wanted else None
    if danger.how == INSIDE:
        return "can be left from inside, whatever its arguments are"
    if danger.how == CODE:
        return "" if exact else "runs what its arguments or its input say"
    return "" if exact is not None else "does what one of its options names, and the arguments are free"


def _exact(rule: Rule, danger: Danger) -> str:
    if danger.how == INSIDE:  # no arguments make it safe; writing the file is what was meant
        return _changed(rule, task={"kind": "file.write", "path": "/etc/THE-FILE"})
    return _changed_task(rule, arguments=["ARGUMENT"])


def _changed(rule: Rule, **parts: object) -> str:
    return rule_toml({**table_of(rule), **parts})


def _changed_task(rule: Rule, **parts: object) -> str:
    task = table_of(rule)["task"]
    return _changed(rule, task={**(task if isinstance(task, dict) else {}), **parts})


def _windows(rule: Rule, now: int) -> Iterator[Finding]:
    for condition in rule.conditions:
        if isinstance(condition, Between) and condition.end is not None and condition.end <= now:
            yield _finding(Severity.WARNING, "expired", rule, f"it is over: {condition.wants()}; remove it")
    if rule.effect is Effect.ALLOW and _never(rule):
        yield _finding(Severity.WARNING, "dead", rule, "its own conditions never hold together")


def _never(rule: Rule) -> bool:
    """Say whether the conditions contradict each other."""
    by_place = rule.by in {By.PATH, By.DIRECTORY, By.PACKAGE}
    if by_place and any(isinstance(one, IsFlag) and one.name == "writable" and one.value for one in rule.conditions):
        return True
    folders = [one for one in rule.conditions if isinstance(one, Below)] if rule.by is By.PATH else []
    return any(not any(below(path, value) for path in rule.values for value in folder.values) for folder in folders)


def _together(rules: Iterable[Rule]) -> Iterator[Finding]:
    """Look for rules that others make useless; one look-up for each, whatever the number of rules."""
    all_rules = list(rules)
    denies = _Shelf(rule for rule in all_rules if rule.effect is Effect.DENY)
    allows = _Shelf(rule for rule in all_rules if rule.effect is Effect.ALLOW)
    seen: dict[object, Rule] = {}
    for rule in all_rules:
        first = seen.setdefault((rule.effect, rule.kinds, rule.by, rule.values, rule.who, rule.conditions), rule)
        if first is not rule:
            yield _finding(Severity.WARNING, "duplicate", rule, f"it matches what {first.id} matches; keep one of the two")
        elif rule.effect is not Effect.REQUIRE:
            yield from _covered(rule, denies)
        elif not any(overlap(rule, allow) for allow in allows.reaching(rule)):
            yield _finding(Severity.WARNING, "unreachable-require", rule, "no allow is for any of its tasks, unless by a link")


def _covered(rule: Rule, denies: "_Shelf") -> Iterator[Finding]:
    cover = next((deny for deny in denies.near(rule) if deny is not rule and covers(deny, rule)), None)
    if cover is None:
        return
    if rule.effect is Effect.ALLOW:
        yield _finding(Severity.WARNING, "shadowed", rule, f"it never allows: {cover.id} denies all of it")
    elif not covers(rule, cover):
        yield _finding(Severity.WARNING, "dead", rule, f"it adds nothing: {cover.id} denies all of it")


class _Shelf:
    """Rules by selector, so that only those that can have to do with another are looked at."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by: dict[tuple[str, str], list[Rule]] = {}
        self._all: dict[By, list[Rule]] = {}
        for rule in rules:
            self._all.setdefault(rule.by, []).append(rule)
            for value in rule.values:
                self._by.setdefault((rule.by.value, value), []).append(rule)

    def near(self, rule: Rule) -> Iterator[Rule]:
        """Give the rules that may cover ``rule``: with no selector, with one of its own, or for a folder above."""
        yield from self._all.get(By.ANY, ())
        yield from self._same(rule.by.value, rule.values)
        for condition in rule.conditions:
            if isinstance(condition, OneOf):
                yield from self._same(condition.name, condition.values)

    def _same(self, name: str, values: tuple[str, ...]) -> Iterator[Rule]:
        for value in values:
            yield from self._by.get((name, value), ())
            if name in {"path", "directory"}:
                for folder in _above(value):
                    yield from self._by.get(("directory", folder), ())

    def reaching(self, rule: Rule) -> Iterator[Rule]:
        """Give the rules that may overlap with ``rule``."""
        yield from self.near(rule)
        for by, members in self._all.items():
            if by is not rule.by or by is By.DIRECTORY:
                yield from members


def _above(path: str) -> Iterator[str]:
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        yield path
    yield "/"
