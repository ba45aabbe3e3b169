"""Where a question finds its rules: by kind, selector and value, then by person; one look-up each, however many rules.

A bucket with few rules is a tuple; one with many is split by principal, so that a rule for somebody else costs nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from elevate.model import Fact, Requester
from elevate.policy.conditions import UNSIGNED, fact, real_path, selector_of
from elevate.policy.rule import ANYONE, By, Effect, Facts, Question, Rule

SPLIT_FROM = 9

Split: TypeAlias = dict[tuple[str, str], tuple[Rule, ...]]
Bucket: TypeAlias = Rule | tuple[Rule, ...] | Split

_BY_FACT = (By.SHA256, By.SIGNER, By.PACKAGE, By.SERVICE, By.SETTING, By.PATH)


class KindIndex:
    """The rules of one task kind."""

    __slots__ = ("_anything", "_careful", "_directories", "_facts")

    def __init__(self, rules: Iterable[Rule]) -> None:
        found: dict[By, dict[str, Bucket]] = {}
        loose: dict[By, dict[str, list[Rule]]] = {}
        careful: list[Rule] = []
        for rule in rules:
            if rule.effect is not Effect.ALLOW and rule.by is not By.ANY:
                careful.append(rule)
            for value in rule.values or ("",):
                _put(found.setdefault(rule.by, {}), loose, rule, value)
        for by, lists in loose.items():
            for value, members in lists.items():
                found[by][value] = _bucket(members)
        self._facts = tuple((by.value, found[by]) for by in _BY_FACT if by in found)
        self._directories: dict[str, Bucket] = found.get(By.DIRECTORY, {})
        self._anything = found.get(By.ANY, {}).get("", ())
        self._careful = tuple(careful)

    def candidates(self, facts: Facts, question: Question) -> list[Rule]:
        """Give every rule whose selector matches; each once, some perhaps for other people."""
        found: list[Rule] = []
        requester = question.requester
        doubt = False
        for name, buckets in self._facts:
            value = facts.get(name)
            if value.__class__ is not str:
                doubt = doubt or fact(facts, name) is Fact.UNDETERMINED
                value = UNSIGNED if value is Fact.ABSENT and name == "signer" else None
            elif value == UNSIGNED and name == "signer":
                continue
            bucket = buckets.get(value)  # type: ignore[arg-type]  # a value of another type is in no bucket
            if bucket is not None:
                _take(bucket, requester, found)
        if self._directories:
            path = fact(facts, "path")
            doubt = doubt or path is Fact.UNDETERMINED
            self._below(path, requester, found)
        if self._anything != ():
            _take(self._anything, requester, found)
        if self._careful:
            found += self._in_doubt(facts, question) if doubt else self._by_real_path(facts, question)
        return found

    def _by_real_path(self, facts: Facts, question: Question) -> list[Rule]:
        """Give the denies and requires for the file behind the link by which a program was called."""
        real = real_path(facts)
        if not real:
            return []
        found: list[Rule] = []
        bucket = dict(self._facts).get("path", {}).get(real)
        if bucket is not None:
            _take(bucket, question.requester, found)
        self._below(real, question.requester, found)
        careful = [(rule, selector_of(rule)) for rule in found if rule.effect is not Effect.ALLOW]
        return [rule for rule, selector in careful if selector is not None and selector.holds(facts, question) is None]

    def _in_doubt(self, facts: Facts, question: Question) -> list[Rule]:
        """Give the denies and requires whose selector can't be told; what is not known never helps."""
        selectors = ((rule, selector_of(rule)) for rule in self._careful)
        return [rule for rule, selector in selectors if selector is not None and selector.holds(facts, question) is None]

    def _below(self, path: object, requester: Requester, found: list[Rule]) -> None:
        if not isinstance(path, str) or path.__class__ is Fact:
            return
        directories = self._directories
        seen = len(found)
        end = path.rfind("/")
        while end > 0:
            path = path[:end]
            bucket = directories.get(path)
            if bucket is not None:
                _take(bucket, requester, found)
            end = path.rfind("/")
        bucket = directories.get("/")
        if bucket is not None:
            _take(bucket, requester, found)
        if len(found) - seen > 1:  # a rule may name a folder and one below it
            found[seen:] = dict.fromkeys(found[seen:])


def _put(buckets: dict[str, Bucket], loose: dict[By, dict[str, list[Rule]]], rule: Rule, value: str) -> None:
    first = buckets.setdefault(value, rule)
    if first is rule:
        return
    lists = loose.setdefault(rule.by, {})
    if value in lists:
        lists[value].append(rule)
    elif isinstance(first, Rule):
        lists[value] = [first, rule]


def _bucket(rules: list[Rule]) -> Bucket:
    if len(rules) < SPLIT_FROM:
        return tuple(rules)
    lists: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        for principal in rule.who.principals():
            lists.setdefault(principal, []).append(rule)
    return {principal: tuple(members) for principal, members in lists.items()}


def _take(bucket: Bucket, requester: Requester, found: list[Rule]) -> None:
    if bucket.__class__ is Rule:
        found.append(bucket)
    elif bucket.__class__ is tuple:
        found += bucket
    else:
        found += _split(bucket, requester)  # type: ignore[arg-type]  # as above


def _split(bucket: Split, requester: Requester) -> Iterable[Rule]:
    found = list(bucket.get(ANYONE, ()))
    for principal in _principals(requester):
        members = bucket.get(principal)
        if members is not None:
            found += members
    return dict.fromkeys(found)


def _principals(requester: Requester) -> Iterator[tuple[str, str]]:
    yield "user", requester.user
    yield "sid", requester.sid
    if requester.service:
        yield "service", requester.service
    for group in requester.groups:
        yield "group", group


def build(rules: Iterable[Rule]) -> Mapping[str, KindIndex]:
    """Index rules by kind."""
    kinds: dict[str, list[Rule]] = {}
    for rule in rules:
        for kind in rule.kinds:
            kinds.setdefault(kind, []).append(rule)
    return {kind: KindIndex(members) for kind, members in kinds.items()}
