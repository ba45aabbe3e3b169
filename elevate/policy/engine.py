"""A policy that is loaded: it decides, and says why.

``deny`` wins anywhere. ``require`` never grants: it raises what is demanded. ``allow`` grants; of several the most specific
win, and equals merge to the strictest. No match is a deny. SECURITY: a fact that is undetermined never helps an allow and never
stops a deny or a require.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from elevate.kinds import KindSpec
from elevate.model import Allow, Decision, Deny, Obligations, Outcome
from elevate.policy import several
from elevate.policy.conditions import selector_of
from elevate.policy.explain import Explanation, explain
from elevate.policy.index import KindIndex, build
from elevate.policy.obligations import merge, obligations, strict_outcome
from elevate.policy.problems import error_of
from elevate.policy.rule import Effect, Facts, PolicyTest, Question, Rule, ServiceIdentity, Settings, Source
from elevate.policy.several import Explanations
from elevate.policy.sources import Parsed, parse_sources

Merged: TypeAlias = dict[tuple[int, ...], tuple[Outcome, Obligations]]
"""What tables of obligations, by their identity, merge to; rules share equal tables, so there are few."""

_KEPT = 4096
_NO_MATCH = Deny(rules=(), message="no rule allows this task")


def facts_of(question: Question) -> Facts:
    """Give the facts by name; the opened file's path and content where the host names them only there."""
    facts = dict(question.task.facts)
    file = question.task.file
    if file is not None:
        if "path" not in facts:
            facts["path"] = file.path
        if "sha256" not in facts and question.task.task.kind != "file.write":
            facts["sha256"] = file.sha256
    return facts


def holds(rule: Rule, facts: Facts, question: Question) -> bool:
    """Say whether a rule whose selector matches does so wholly."""
    if not rule.who.holds(question.requester):
        return False
    for condition in rule.conditions:
        answer = condition.holds(facts, question)
        if answer is not True and (answer is False or rule.effect is Effect.ALLOW):
            return False
    return True


class Policy:
    """The rules in force, indexed.

    Attributes:
        digest: SHA-256 over the files, by name, and the settings; hexadecimal.
        kinds: The machine's own kinds of task, by name.
    """

    def __init__(self, parsed: Parsed, digest: str) -> None:
        self.digest = digest
        self._rules = tuple(parsed.rules)
        self._services = tuple(parsed.services)
        self._tests = tuple(parsed.tests)
        self.kinds: Mapping[str, KindSpec] = MappingProxyType(dict(parsed.kinds))
        self._kinds: Mapping[str, KindIndex] = build(self._rules)
        self._merged: Merged = {}
        self._decided: dict[tuple[Rule, ...], Decision] = {}

    @property
    def rules(self) -> Sequence[Rule]:
        """All rules, in the order of the files."""
        return self._rules

    @property
    def services(self) -> Sequence[ServiceIdentity]:
        """The service identities that the policy folder lists."""
        return self._services

    @property
    def tests(self) -> Sequence[PolicyTest]:
        """The tests that stand in the files."""
        return self._tests

    def service_of(self, *, uid: int, executable: str, sha256: str = "") -> str:
        """Give the name of the service identity that a process has; empty where it has none.

        Args:
            uid: The process's uid, from the kernel.
            executable: Real path of its program, from the kernel.
            sha256: The program's content, where the caller knows it.
        """
        for service in self._services:
            if (service.uid, service.executable) == (uid, executable) and service.sha256 in {"", sha256}:
                return service.name
        return ""

    def decide(self, question: Question) -> Decision:
        """Decide; the answer names the rules that decided. Several steps qualify where each does."""
        if question.task.steps:
            return several.decide(self.decide, question)
        index = self._kinds.get(question.task.task.kind)
        if index is None:
            return _NO_MATCH
        facts = facts_of(question)
        matched = [rule for rule in index.candidates(facts, question) if holds(rule, facts, question)]
        if not matched:
            return _NO_MATCH
        key = tuple(matched)
        decision = self._decided.get(key)
        if decision is None:
            decision = decide_among(matched, self._merged)
            if len(self._decided) < _KEPT:
                self._decided[key] = decision
        return decision

    def explain(self, question: Question) -> Explanation:
        """Say what `decide` decides and why, without asking anyone; for a task that is one."""
        return explain(self._rules, question, facts_of(question), self.decide(question))

    def explain_steps(self, question: Question) -> Explanations:
        """Say the same of several steps."""
        steps = tuple(map(self.explain, several.questions_of(question)))
        return Explanations(question=question, decision=self.decide(question), steps=steps)


def decide_among(rules: Sequence[Rule], known: Merged) -> Decision:
    """Decide among the rules that match; their order never matters."""
    denies = [rule for rule in rules if rule.effect is Effect.DENY]
    if denies:
        messages = sorted({rule.message for rule in denies if rule.message})
        return Deny(rules=tuple(sorted(rule.id for rule in denies)), message="; ".join(messages) or "a rule denies this task")
    allows = [rule for rule in rules if rule.effect is Effect.ALLOW]
    if not allows:
        return _NO_MATCH
    best = max(rule.rank for rule in allows)
    winners = [rule for rule in allows if rule.rank == best]
    requires = [rule for rule in rules if rule.effect is Effect.REQUIRE]
    key = (len(winners), *[id(rule.then) for rule in winners], *[id(rule.then) for rule in requires])
    found = known.get(key)
    if found is None:
        merged = merge(winners, requires)
        found = strict_outcome(merged), obligations(merged)
        if len(known) >= _KEPT:
            known.clear()
        known[key] = found
    ids = tuple(sorted([rule.id for rule in winners + requires]))
    return Allow(outcome=found[0], rules=ids, obligations=found[1])


def decide_by_scan(rules: Iterable[Rule], question: Question) -> Decision:
    """Decide by asking every rule in turn: slow and plain, what `Policy.decide` must agree with."""
    if question.task.steps:
        return several.decide(partial(decide_by_scan, tuple(rules)), question)
    facts = facts_of(question)
    kind = question.task.task.kind
    return decide_among([rule for rule in rules if kind in rule.kinds and matches(rule, facts, question)], {})


def matches(rule: Rule, facts: Facts, question: Question) -> bool:
    """Say whether a rule of this kind matches, its selector included."""
    selector = selector_of(rule)
    answer = True if selector is None else selector.holds(facts, question)
    if answer is not True and (answer is False or rule.effect is Effect.ALLOW):
        return False
    return holds(rule, facts, question)


def load(sources: Iterable[Source], *, settings: Settings | None = None) -> Policy:
    """Read rule files into a policy.

    Args:
        sources: Files as `elevate.store.files.read_policy` gives them, in any order.
        settings: What the machine says and no rule can.

    Raises:
        PolicyError: Anything is wrong; the message lists everything that is, with file, line, column and a fix.
    """
    files = list(sources)
    chosen = settings or Settings()
    parsed = parse_sources(files, chosen)
    if parsed.problems:
        raise error_of(parsed.problems, parsed.report.left_out)
    return Policy(parsed, digest_of(files, chosen))


def digest_of(sources: Iterable[Source], settings: Settings) -> str:
    """Give the digest of files and settings; the order of the files does not matter."""
    parts = sorted((source.name.encode(), hashlib.sha256(source.data).digest()) for source in sources)
    whole = hashlib.sha256(b"elevate-policy-1\n")
    whole.update(f"{settings.ap_mode} {' '.join(sorted(settings.services))}\n".encode())
    for name, content in parts:
        whole.update(len(name).to_bytes(4, "big") + name + content)
    return whole.hexdigest()
