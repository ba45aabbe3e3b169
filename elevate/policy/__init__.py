"""Which tasks qualify: typed rules in files, an indexed decision, and its reasons. Pure.

`load` reads files into a `Policy`; `Policy.decide` answers a `Question` and `Policy.explain` says why. `run_tests` asks the
tests that stand beside the rules. The files come from `elevate.store.files.read_policy`, which checks who can write them.
"""

from elevate.policy.cases import given, question
from elevate.policy.engine import Policy, decide_by_scan, load
from elevate.policy.explain import Explanation, NearMiss, obligations_json, purpose
from elevate.policy.obligations import missing_tickets, unkept
from elevate.policy.problems import Problem
from elevate.policy.replay import record_of
from elevate.policy.rule import (
    By,
    Effect,
    PolicyTest,
    Question,
    Rule,
    ServiceIdentity,
    Settings,
    Source,
    Who,
)
from elevate.policy.several import Explanations, questions_of
from elevate.policy.sources import Parsed, parse_sources
from elevate.policy.suggest import narrowest
from elevate.policy.testing import Result, TestRun, run_tests

__all__ = [
    "By",
    "Effect",
    "Explanation",
    "Explanations",
    "NearMiss",
    "Parsed",
    "Policy",
    "PolicyTest",
    "Problem",
    "Question",
    "Result",
    "Rule",
    "ServiceIdentity",
    "Settings",
    "Source",
    "TestRun",
    "Who",
    "decide_by_scan",
    "given",
    "load",
    "missing_tickets",
    "narrowest",
    "obligations_json",
    "parse_sources",
    "purpose",
    "question",
    "questions_of",
    "record_of",
    "run_tests",
    "unkept",
]
