"""From the bytes of rule files to rules: TOML for people, JSON lines for long lists. Nothing here ends in a traceback.

Everything is bounded before it is parsed, and every mistake is told with file, line, column and a fix.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from elevate.kinds import KindSpec
from elevate.policy.cases import read_test
from elevate.policy.kinds import MAX_KINDS, has_kinds, read_kind
from elevate.policy.places import Places, parse
from elevate.policy.problems import Path, Problem, RefusedValue, Report, similar
from elevate.policy.reader import Reader
from elevate.policy.rule import PolicyTest, Rule, ServiceIdentity, Settings, Source
from elevate.policy.schema import FORMAT

MAX_TOML_BYTES = 4 * 2**20
MAX_JSONL_BYTES = 256 * 2**20
MAX_LINE_BYTES = 65_536
MAX_RULES = 1_000_000

_TOP = ("format", "rule", "service", "kind", "test")


@dataclass(slots=True)
class Parsed:
    """What rule files come to, and what is wrong with them."""

    rules: list[Rule] = field(default_factory=list)
    services: list[ServiceIdentity] = field(default_factory=list)
    tests: list[PolicyTest] = field(default_factory=list)
    kinds: dict[str, KindSpec] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of the files."""
        return tuple(sorted(self.report.problems))


def parse_sources(sources: Iterable[Source], settings: Settings) -> Parsed:
    """Read rule files in name order, which never changes a decision."""
    reading = _Reading(settings)
    files = sorted(sources, key=lambda source: source.name)
    for source in files:
        reading.kinds(source)
    for source in files:
        reading.source(source)
    reading.finish()
    return reading.parsed


class _Reading:
    def __init__(self, settings: Settings) -> None:
        self.parsed = Parsed()
        self._settings = settings
        self._places = Places("", "")
        self._reader = Reader(say=self._say, settings=settings, kinds=self.parsed.kinds)
        self._ids: dict[str, Rule] = {}
        self._full = False
        self._has_kinds = False
        self._services: set[str] = set()
        self._unpinned: list[tuple[Rule, Problem]] = []

    def kinds(self, source: Source) -> None:
        """Read the kinds that a file describes: all of them come before the first rule."""
        if not has_kinds(source.data) or not source.name.endswith(".toml") or len(source.data) > MAX_TOML_BYTES:
            return
        document, self._places = parse(source.name, source.data.decode("utf-8", "replace").replace("\r\n", "\n"), Report())
        for path, table in _items(document, "kind"):
            spec = read_kind(table, path, self._say)
            if spec is not None and (spec.name in self.parsed.kinds or len(self.parsed.kinds) >= MAX_KINDS):
                self._say(
                    (*path, "name"), f"a second kind {spec.name!r}, or over {MAX_KINDS} kinds", "give this one another name"
                )
            elif spec is not None:
                self.parsed.kinds[spec.name] = spec

    def source(self, source: Source) -> None:
        if source.name.endswith(".jsonl"):
            self._jsonl(source)
        elif source.name.endswith(".toml"):
            self._toml(source)
        else:
            self._plain(source.name, 1, "not a rule file", "its name ends in .toml or .jsonl")

    def finish(self) -> None:
        """Check what needs all files: in AP mode only listed service identities act with no person."""
        listed = {service.name for service in self.parsed.services} | self._settings.services
        for rule, problem in self._unpinned:
            if not listed.issuperset(rule.who.service):
                self.parsed.report.add(problem)
        self._ids.clear()

    def _say(self, path: Path, message: str, fix: str) -> None:
        self.parsed.report.add(self._places.problem(path, message, fix))

    def _plain(self, file: str, line: int, message: str, fix: str) -> None:
        self.parsed.report.add(Problem(file=file, line=line, column=1, message=message, fix=fix))

    def _toml(self, source: Source) -> None:
        if len(source.data) > MAX_TOML_BYTES:
            fix = "put long lists into a .jsonl file, one rule on each line"
            self._plain(source.name, 1, f"over {MAX_TOML_BYTES // 2**20} MB", fix)
            return
        text = self._text(source)
        if text is None:
            return
        document, self._places = parse(source.name, text, self.parsed.report)
        self._has_kinds = has_kinds(source.data)
        self._check_top(document)
        for path, table in _items(document, "rule"):
            self._add(self._reader.rule(table, path, source.name, self._places.position(path)[0]), path)
        for path, table in _items(document, "service"):
            identity = self._reader.service(table, path, source.name, self._places.position(path)[0])
            if identity is not None:
                self._add_service(identity, path)
        for path, table in _items(document, "test"):
            self._test(table, path)

    def _text(self, source: Source) -> str | None:
        try:
            text = source.data.decode("utf-8")
        except UnicodeDecodeError as exc:
            before = source.data[: exc.start]
            column = exc.start - (before.rfind(b"\n") + 1) + 1
            fix = "save the file as UTF-8"
            problem = Problem(file=source.name, line=before.count(b"\n") + 1, column=column, message="not UTF-8", fix=fix)
            self.parsed.report.add(problem)
            return None
        if text.startswith("\ufeff"):
            self._plain(source.name, 1, "begins with a byte order mark", "save the file as UTF-8 without it")
            return None
        return text.replace("\r\n", "\n")

    def _check_top(self, document: dict[str, object]) -> None:
        for name, value in document.items():
            if name not in _TOP:
                self._say((name,), f"unknown key {name!r}", _top_fix(name))
            elif name == "format" and value != FORMAT:
                self._say(
                    (name,), f"format {str(value)[:20]} is not known to this version", f"this version reads format {FORMAT}"
                )
            elif name == "kind" and not self._has_kinds:
                self._say((name,), "kinds are written as [[kind]]", "begin each with [[kind]]")
            elif name != "format" and not isinstance(value, list):
                self._say((name,), f"{name} is a list of tables", f"begin each with [[{name}]]")

    def _add(self, rule: Rule | None, path: Path) -> None:
        if rule is None:
            return
        first = self._ids.setdefault(rule.id, rule)
        if first is not rule:
            fix = f"the first is in {first.file}:{first.line}; give this one another"
            self._say((*path, "id"), f"duplicate id {rule.id!r}", fix)
            return
        if len(self.parsed.rules) < MAX_RULES:
            self.parsed.rules.append(rule)
        elif not self._full:
            self._full = True
            self._say(path, f"more than {MAX_RULES} rules", "use broader selectors, as signer or package")
        if self._settings.ap_mode and ("prompt", "service") in rule.then:
            message = f"no root-listed service identity {', '.join(rule.who.service)}: nothing elevates without a person"
            fix = "add a [[service]] with name, uid and executable, or choose another prompt"
            self._unpinned.append((rule, self._places.problem((*path, "then", "prompt"), message, fix)))

    def _add_service(self, identity: ServiceIdentity, path: Path) -> None:
        if identity.name in self._services:
            self._say((*path, "name"), f"duplicate service identity {identity.name!r}", "give this one another name")
            return
        self._services.add(identity.name)
        self.parsed.services.append(identity)

    def _test(self, table: object, path: Path) -> None:
        place = (self._places.file, self._places.position(path)[0])
        try:
            self.parsed.tests.append(read_test(table, place))
        except RefusedValue as exc:
            self._say((*path, *exc.path), exc.message, exc.fix)

    def _jsonl(self, source: Source) -> None:
        if len(source.data) > MAX_JSONL_BYTES:
            self._plain(source.name, 1, f"over {MAX_JSONL_BYTES // 2**20} MB", "split the file")
            return
        places = self._places = _Line(source.name)
        for number, line in enumerate(_lines(source.data), start=1):
            if not line or line.isspace():
                continue
            places.number, places.data = number, line
            if self.parsed.report.left_out:
                return
            table = self._line(line)
            if table is not None:
                self._add(self._reader.rule(table, (), source.name, number), ())

    def _line(self, line: bytes) -> object:
        if len(line) > MAX_LINE_BYTES:
            self._say((), f"a line of over {MAX_LINE_BYTES} bytes", "one rule stands on one line")
            return None
        try:
            value: object = orjson.loads(line)
            if orjson.dumps(value) != line:
                value = json.loads(line, object_pairs_hook=_unique)
        except orjson.JSONDecodeError as exc:
            self.parsed.report.add(
                self._places.problem_at(1, exc.pos + 1, f"not JSON: {exc.msg}", "one rule is one JSON object")
            )
            return None
        except (ValueError, RecursionError) as exc:
            self._say((), f"not JSON: {str(exc)[:80]}", "keep one of the two")
            return None
        return value


def _lines(data: bytes) -> Iterator[bytes]:
    """Give the lines one by one, so that a long file is not held twice."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:]


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands here twice")
    return members


def _items(document: dict[str, object], name: str) -> Iterator[tuple[Path, object]]:
    tables = document.get(name, [])
    if isinstance(tables, list):
        for at, table in enumerate(tables):
            yield (name, at), table


def _top_fix(name: str) -> str:
    if name == "include":
        return "there are no includes: every file in the policy folder is read"
    if name in {"id", "effect", "who", "task", "when", "then", "why"}:
        return "begin the rule with a line [[rule]]"
    return similar(name, _TOP)


class _Line(Places):
    """One line of JSON; looks for keys only when something is wrong with them."""

    def __init__(self, file: str) -> None:
        super().__init__(file, "")
        self.number = 1
        self.data = b""

    def position(self, path: Path) -> tuple[int, int]:
        at = 0
        text = self.data.decode(errors="replace")
        for name in path:
            found = text.find(json.dumps(name), at)
            at = found if found >= 0 else at
        return self.number, at + 1

    def problem(self, path: Path, message: str, fix: str = "") -> Problem:
        return self.problem_at(*self.position(path), message, fix)

    def problem_at(self, line: int, column: int, message: str, fix: str = "") -> Problem:
        del line
        text = self.data[:4096].decode(errors="replace")
        return Problem(file=self.file, line=self.number, column=column, message=message, fix=fix, text=text)
