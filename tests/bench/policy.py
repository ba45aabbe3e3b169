"""Decisions, loading, memory, lint and replay, with cedarpy and casbin on the same rules and questions in the same run.

Every answer of ours is compared with a plain scan over the rules (a sample of them where the scan is slow), and with the peers'
answers. The peer of a figure is the faster of the two; both stand in its name.
Loading, lint and replay are one thread's work that waits for nothing, so they are measured in processor time.
"""

import gc
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from elevate.canonical import Json
from elevate.model import Allow
from elevate.policy import Policy, Question, Source, decide_by_scan, load, question, record_of
from elevate.policy.lint import Context, lint
from elevate.policy.replay import outcome_of, recorded, replay
from tests.bench.figure import Figure, median

QUESTIONS = 10_000
LARGE = 100_000
Rule = dict[str, Any]


def rules(count: int) -> Iterator[Rule]:
    """Give rules of every selector for many groups and people; one in 97 denies."""
    chance = random.Random(1)  # noqa: S311 - the same rules every time
    for at in range(count):
        who = {"user": f"user{chance.randrange(max(10, count // 10))}"} if at % 10 == 1 else {"group": f"team-{at % 200}"}
        yield {"id": f"r-{at:06}", "effect": "allow" if at % 97 else "deny", "who": who, "task": _task(at)}


def _task(at: int) -> Rule:
    match at % 10:
        case 0 | 1 | 2 | 3 | 4:
            return {"kind": "process.run", "sha256": _sha(at)}
        case 5 | 6:
            return {"kind": "process.run", "path": f"/usr/lib/app{at}/bin/tool"}
        case 7:
            return {"kind": "process.run", "directory": f"/opt/vendor{at}"}
        case 8:
            return {"kind": "package.install", "package": f"pkg-{at}"}
        case _:
            return {"kind": "service.control", "service": f"svc-{at}.service"}


def _sha(at: int) -> str:
    return hashlib.sha256(str(at).encode()).hexdigest()


def questions(count: int, asked: int) -> list[Question]:
    """Ask for what the rules name; three in ten for somebody whom they do not mean."""
    chance = random.Random(2)  # noqa: S311 - the same questions every time
    known = list(rules(count))
    return [_ask(chance.choice(known), at, meant=chance.random() < 0.7) for at in range(asked)]


def _ask(rule: Rule, at: int, *, meant: bool) -> Question:
    task = dict(rule["task"])
    folder = task.pop("directory", "/usr/lib/other/bin")
    if task["kind"] == "process.run":
        task = {"path": f"{folder}/tool", "sha256": _sha(-at - 1), "arguments": ["--all", "x"], "package": "dpkg", **task}
    elif task["kind"] == "package.install":
        task["path"] = "/srv/packages/x.deb"
    else:
        task["action"] = "restart"
    groups = ["staff", "team-7", *([rule["who"]["group"]] if meant and "group" in rule["who"] else [])]
    return question({"user": rule["who"].get("user", "alice") if meant else "bob", "groups": groups, "task": task})


def lines(count: int) -> Source:
    """Give the rules as JSON lines."""
    data = b"".join(json.dumps(rule, separators=(",", ":")).encode() + b"\n" for rule in rules(count))
    return Source(name="bulk.jsonl", data=data)


@cache
def policy(count: int) -> Policy:
    return load([lines(count)])


def decide(count: int) -> Figure:
    """Median microseconds for one decision, ours and the peers'."""
    ours = policy(count)
    asked = questions(count, QUESTIONS)
    answers = [isinstance(ours.decide(one), Allow) for one in asked]
    for at in range(0, QUESTIONS, max(1, count // 100)):
        assert answers[at] == isinstance(decide_by_scan(ours.rules, asked[at]), Allow)
    took = _median_us(ours.decide, asked)
    peers = {"cedarpy": _cedar(count, asked, answers), "casbin": _casbin(count, asked, answers)}
    told = ", ".join(f"{name} {value:.0f} µs" for name, value in peers.items() if value)
    known = [value for value in peers.values() if value]
    return Figure(name=f"decide_{count}", value=took, unit="µs", peer=told, peer_value=min(known) if known else None)


def _median_us(ask: Callable[[Any], object], asked: list[Any]) -> float:
    took = []
    for one in asked:
        start = time.perf_counter_ns()
        ask(one)
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1000


def _sample(count: int) -> int:
    """How many of the questions a peer that looks at every rule is asked, so that the run ends."""
    return QUESTIONS if count <= 10 else 1000 if count <= 1000 else 40


def _cedar(count: int, asked: list[Question], answers: list[bool]) -> float | None:
    try:
        import cedarpy  # type: ignore[import-not-found,unused-ignore]  # of the extra bench
    except ImportError:
        return None
    from elevate.policy.cedar import export, request

    by_kind = {
        kind: cedarpy.PolicySet.from_str(export(rule for rule in policy(count).rules if kind in rule.kinds).text)
        for kind in ("process.run", "package.install", "service.control")
    }
    ready = []
    for each in asked[: _sample(count)]:
        wanted, entities = request(each)
        loaded = cedarpy.Entities.from_json_str(json.dumps(entities))
        ready.append((wanted, by_kind[each.task.task.kind], loaded))
    for one, answer in zip(ready, answers, strict=False):
        assert cedarpy.is_authorized(*one).allowed == answer
    return _median_us(lambda one: cedarpy.is_authorized(*one), ready)


_MODEL = """
[request_definition]
r = user, groups, kind, facts
[policy_definition]
p = who, kind, by, value, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.kind == p.kind && is_one(r.user, r.groups, p.who) && is_it(r.facts, p.by, p.value)
"""


def _casbin(count: int, asked: list[Question], answers: list[bool]) -> float | None:
    try:
        import casbin  # type: ignore[import-untyped,import-not-found,unused-ignore]  # of the extra bench
    except ImportError:
        return None
    model = casbin.Model()
    model.load_model_from_text(_MODEL)
    enforcer = casbin.Enforcer(model)
    enforcer.add_function("is_one", lambda user, groups, who: who == f"u:{user}" or who in groups)
    enforcer.add_function("is_it", _is_it)
    enforcer.add_policies([_casbin_rule(rule) for rule in rules(count)])
    ready = [
        (one.requester.user, {f"g:{group}" for group in one.requester.groups}, one.task.task.kind, dict(one.task.facts))
        for one in asked[: _sample(count) if count < LARGE else 5]
    ]
    for one, answer in zip(ready, answers, strict=False):
        assert enforcer.enforce(*one) == answer
    return _median_us(lambda one: enforcer.enforce(*one), ready)


def _is_it(facts: dict[str, Any], by: str, value: str) -> bool:
    return str(facts.get("path", "")).startswith(value + "/") if by == "directory" else facts.get(by) == value


def _casbin_rule(rule: Rule) -> list[str]:
    who = rule["who"]
    name, value = next((name, value) for name, value in rule["task"].items() if name != "kind")
    person = f"u:{who['user']}" if "user" in who else f"g:{who['group']}"
    return [person, rule["task"]["kind"], name, value, rule["effect"]]


def load_100000() -> Figure:
    """Seconds to load 100,000 rules from JSON lines."""
    source = lines(LARGE)

    def once() -> float:
        gc.collect()
        start = time.process_time()
        load([source])
        return time.process_time() - start

    return Figure(name="policy_load_100000", value=median(once, runs=3), unit="s", peer="goal", peer_value=2.5)


_MEMORY = """
import gc
from tests.bench.policy import LARGE, lines
from elevate.policy import load
source = [lines(LARGE)]
load([]); gc.collect()
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = resident()
policy = load(source)
gc.collect()
print(resident() - before)
"""


def memory_100000() -> Figure:
    """Megabytes that a process grows by when it loads 100,000 rules; its file was in memory before."""

    def once() -> float:
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY], cwd=root, capture_output=True, text=True, check=True, env={**os.environ}
        )
        return float(done.stdout)

    return Figure(name="policy_memory_100000", value=median(once, runs=3), unit="MB", peer="goal", peer_value=60.0)


def lint_100000() -> Figure:
    """Seconds to lint 100,000 rules."""
    ours = policy(LARGE)
    context = Context(now=0, uncovered=frozenset())

    def once() -> float:
        start = time.process_time()
        lint(ours, context)
        return time.process_time() - start

    return Figure(name="lint_100000", value=median(once, runs=3), unit="s", peer="goal", peer_value=5.0)


def replay_100000() -> Figure:
    """Seconds to read 10,000 recorded decisions and ask them again of 100,000 rules."""
    ours = policy(LARGE)
    bodies: list[dict[str, Json]] = []
    for one in questions(LARGE, QUESTIONS):
        decision = ours.decide(one)
        decided: dict[str, Json] = {"outcome": outcome_of(decision), "rules": [*decision.rules]}
        bodies.append({"decision": decided, **record_of(one)})

    def once() -> float:
        start = time.process_time()
        records = [one for at, body in enumerate(bodies) if (one := recorded(str(at), body)) is not None]
        changes = list(replay(ours, records))
        took = time.process_time() - start
        assert (len(records), changes) == (QUESTIONS, [])
        return took

    return Figure(name="replay_100000", value=median(once, runs=3), unit="s", peer="goal", peer_value=1.0)


FIGURES: dict[str, Callable[[], Figure]] = {
    **{f"decide_{count}": partial(decide, count) for count in (10, 1000, LARGE)},
    "policy_load_100000": load_100000,
    "policy_memory_100000": memory_100000,
    "lint_100000": lint_100000,
    "replay_100000": replay_100000,
}
