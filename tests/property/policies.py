"""Rules and questions from a small world, as data, and a plain evaluator of them that shares no code with the engine."""

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from elevate.policy import Policy, Question, Source, load, question
from elevate.policy.toml import rule_toml

Table = dict[str, Any]

PATHS = ("/a", "/a/b", "/a/b/c", "/a-x", "/d/e")
FOLDERS = ("/", "/a", "/a/b", "/d")
SHAS = ("1" * 64, "2" * 64)
SIGNERS = ("Contoso", "Fabrikam", "unsigned")
GROUPS = ("dev", "ops", "sales")
USERS = ("alice", "bob")
WORDS = ("x", "-y", "z/w")

RANKS = {"sha256": 7, "signer": 5, "package": 4, "path": 3, "directory": 2}
OUTCOMES = ("consent", "credential", "approval")
STRENGTHS = ("any", "pin", "biometric", "hardware")


def some(values: Iterable[str]) -> "st.SearchStrategy[list[str]]":
    return st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=2, unique=True)


WHO = st.fixed_dictionaries({}, optional={"user": some(USERS), "group": some(GROUPS), "remote": st.booleans()})
SELECTORS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"sha256": some(SHAS)}),
    st.fixed_dictionaries({"signer": some(SIGNERS)}),
    st.fixed_dictionaries({"package": some(("apt", "vim"))}),
    st.fixed_dictionaries({"path": some(PATHS)}),
    st.fixed_dictionaries({"directory": some(FOLDERS)}),
    st.fixed_dictionaries({"path": some(PATHS), "sha256": some(SHAS)}),
)
ARGUMENTS = st.fixed_dictionaries({}, optional={"arguments": st.lists(st.sampled_from(WORDS), max_size=2)})
DEMANDS = {
    "prompt": st.sampled_from(OUTCOMES),
    "token_seconds": st.integers(1, 120),
    "gesture": st.sampled_from(STRENGTHS),
    "reason": st.sampled_from(("optional", "required")),
    "network": st.booleans(),
}


@st.composite
def tasks(draw: st.DrawFn) -> Table:
    task: Table = {"kind": "process.run", **draw(SELECTORS), **draw(ARGUMENTS)}
    if draw(st.booleans()):
        task["installer"] = draw(st.booleans())
    return task


@st.composite
def rule_lists(draw: st.DrawFn, *, max_size: int = 14) -> list[Table]:
    rules = []
    for at in range(draw(st.integers(0, max_size))):
        effect = draw(st.sampled_from(("allow", "allow", "allow", "deny", "require")))
        rule: Table = {"id": f"r{at:02}", "effect": effect, "who": draw(WHO), "task": draw(tasks())}
        if effect != "deny":
            rule["then"] = draw(st.fixed_dictionaries({}, optional=DEMANDS))
        if effect == "require" and not rule["then"]:
            rule["then"] = {"reason": "required"}
        rules.append(rule)
    return rules


FACTS: dict[str, "st.SearchStrategy[Any]"] = {
    "sha256": st.sampled_from((*SHAS, "undetermined")),
    "signer": st.sampled_from((*SIGNERS, "undetermined")),
    "package": st.sampled_from(("apt", "vim")),
    "real_path": st.sampled_from(PATHS),
    "writable": st.sampled_from((True, False, False, "undetermined")),
    "installer": st.sampled_from((True, False, "undetermined")),
    "arguments": st.lists(st.sampled_from(WORDS), max_size=2),
}
TASKS = st.fixed_dictionaries({"kind": st.just("process.run"), "path": st.sampled_from(PATHS)}, optional=FACTS)
GIVEN = st.fixed_dictionaries(
    {"user": st.sampled_from((*USERS, "eve")), "task": TASKS},
    optional={"groups": st.lists(st.sampled_from(GROUPS), unique=True), "remote": st.booleans()},
)


def build(rules: Iterable[Table]) -> Policy:
    return load([Source(name="r.toml", data="\n".join(rule_toml(rule) for rule in rules).encode())])


def ask(given: Table) -> Question:
    return question(given)


def evaluate(rules: list[Table], given: Table) -> tuple[str, tuple[str, ...], Table]:
    """Give outcome, deciding rules and obligations, straight from the words of the design."""
    matching = [rule for rule in rules if _who(rule["who"], given) and _task(rule["task"], given["task"], rule["effect"])]
    denies = sorted(rule["id"] for rule in matching if rule["effect"] == "deny")
    if denies:
        return "denied", tuple(denies), {}
    allows = [rule for rule in matching if rule["effect"] == "allow"]
    if not allows:
        return "denied", (), {}
    best = max(_rank(rule) for rule in allows)
    winners = [rule for rule in allows if _rank(rule) == best]
    floors = [rule for rule in matching if rule["effect"] == "require"]
    given_then = [{"prompt": "credential", "token_seconds": 30, **rule.get("then", {})} for rule in winners]
    demands = given_then + [rule["then"] for rule in floors]
    outcome = max((one["prompt"] for one in demands if "prompt" in one), key=OUTCOMES.index)
    strength = max((one.get("gesture", "any") for one in demands), key=STRENGTHS.index)
    if "approval" in [one["prompt"] for one in given_then]:
        outcome = "approval"
    if strength != "any" and outcome == "consent":
        outcome = "credential"
    merged = {
        "token_seconds": min(one["token_seconds"] for one in demands if "token_seconds" in one),
        "gesture": strength,
        "reason": "required" if any(one.get("reason") == "required" for one in demands) else "optional",
        "network": all(one.get("network", True) for one in demands),
    }
    return outcome, tuple(sorted(rule["id"] for rule in winners + floors)), merged


def _rank(rule: Table) -> tuple[int, int]:
    selector = max((RANKS[name] for name in RANKS if name in rule["task"]), default=1)
    return selector, 2 if "user" in rule["who"] else 1 if "group" in rule["who"] else 0


def _who(who: Table, given: Table) -> bool:
    if "user" in who and given["user"] not in who["user"]:
        return False
    if "group" in who and not set(who["group"]) & set(given.get("groups", [])):
        return False
    return "remote" not in who or who["remote"] == given.get("remote", False)


def _task(wanted: Table, task: Table, effect: str) -> bool:
    answers = [_selector(name, wanted[name], task) for name in RANKS if name in wanted]
    if "arguments" in wanted:
        answers.append(wanted["arguments"] == task.get("arguments", []))
    if "installer" in wanted:
        answers.append(_flag(task.get("installer", False), wanted=wanted["installer"]))
    first = next((name for name in RANKS if name in wanted), "")
    if effect == "allow" and first in {"path", "directory", "package"}:
        answers.append(_flag(task.get("writable", False), wanted=False))
    return all(answer is True or (answer is None and effect != "allow") for answer in answers)


def _place(name: str, wanted: list[str], task: Table) -> bool | None:
    def there(path: str) -> bool:
        return path in wanted if name == "path" else any(path.startswith(one.rstrip("/") + "/") for one in wanted)

    return True if there(task["path"]) else None if there(task.get("real_path", "")) else False


def _flag(value: object, *, wanted: bool) -> bool | None:
    return None if value == "undetermined" else value is wanted


def _selector(name: str, wanted: list[str], task: Table) -> bool | None:
    if name in {"path", "directory"}:
        return _place(name, wanted, task)
    value = task.get(name, "unsigned" if name == "signer" else "")
    return None if value == "undetermined" else value in wanted
