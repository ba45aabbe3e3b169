"""Runs the tests that stand beside the rules, and tells which rules no test covers."""

from dataclasses import dataclass

from elevate.canonical import Json
from elevate.model import Allow
from elevate.policy.cases import DENIED
from elevate.policy.engine import Policy
from elevate.policy.explain import obligations_json
from elevate.policy.rule import PolicyTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One test and what came of it; ``failures`` is empty where it passed."""

    test: PolicyTest
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """All tests of a policy.

    Attributes:
        uncovered: Ids of the rules that decided no test, sorted.
    """

    __test__ = False

    results: tuple[Result, ...]
    uncovered: tuple[str, ...]

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(1 for result in self.results if not result.failures)

    @property
    def failed(self) -> int:
        """How many did not."""
        return len(self.results) - self.passed

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        tests: list[Json] = [
            {
                "name": result.test.name,
                "file": result.test.file,
                "line": result.test.line,
                "failures": list(result.failures),
            }
            for result in self.results
        ]
        return {"passed": self.passed, "failed": self.failed, "tests": tests, "uncovered": list(self.uncovered)}


def run_tests(policy: Policy) -> TestRun:
    """Ask every test's question."""
    covered: set[str] = set()
    results = [_run(policy, test, covered) for test in policy.tests]
    uncovered = sorted(rule.id for rule in policy.rules if rule.id not in covered)
    return TestRun(results=tuple(results), uncovered=tuple(uncovered))


def _run(policy: Policy, test: PolicyTest, covered: set[str]) -> Result:
    decision = policy.decide(test.given)
    covered.update(decision.rules)
    outcome = decision.outcome.value if isinstance(decision, Allow) else DENIED
    failures = []
    if outcome != test.outcome:
        failures.append(f"expected {test.outcome}, decided {outcome} by {', '.join(decision.rules) or 'no rule'}")
    if test.rules is not None and decision.rules != test.rules:
        failures.append(
            f"expected the rules {', '.join(test.rules) or 'none'}, decided by {', '.join(decision.rules) or 'none'}"
        )
    given = obligations_json(decision) if isinstance(decision, Allow) else {}
    failures += [
        f"expected {name} {wanted}, it is {given.get(name, 'not demanded')}"
        for name, wanted in test.obligations
        if given.get(name) != wanted
    ]
    return Result(test=test, failures=tuple(failures))
