"""What a decision demands besides the gesture, and how several rules' demands become the strictest.

Every obligation has an order from lax to strict. Among allows of equal rank one that is not written stands for its default; of
requires only what is written counts. INVARIANT: merging is commutative and associative, so the order of rules never matters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from elevate.model import Obligations, Outcome
from elevate.policy.rule import Rule, Value

OUTCOMES = tuple(outcome.value for outcome in (Outcome.SERVICE, Outcome.CONSENT, Outcome.CREDENTIAL, Outcome.APPROVAL))
STRENGTHS = ("any", "pin", "biometric", "hardware")
CHILDREN = ("allow", "require-rule", "deny")
IDENTITIES = ("root", "account")

DEFAULT_TOKEN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Demand:
    """One obligation: its default, and the stricter of two values."""

    default: Value
    stricter: Callable[[Value, Value], Value]


def _least(one: Value, other: Value) -> Value:
    return min(int(one), int(other)) if isinstance(one, int) and isinstance(other, int) else one


def _least_set(one: Value, other: Value) -> Value:
    """Give the smaller of two numbers where 0 means none is set."""
    return _least(one, other) if one and other else one or other


def _most(one: Value, other: Value) -> Value:
    return max(int(one), int(other)) if isinstance(one, int) and isinstance(other, int) else one


def _either(one: Value, other: Value) -> Value:
    return one is True or other is True


def _both(one: Value, other: Value) -> Value:
    return one is True and other is True


def _union(one: Value, other: Value) -> Value:
    return tuple(sorted({*_names(one), *_names(other)}))


def _common(one: Value, other: Value) -> Value:
    return tuple(sorted(set(_names(one)) & set(_names(other))))


def _common_set(one: Value, other: Value) -> Value:
    """Give what both name, where an empty one names everybody; ``-`` alone is nobody."""
    return (_common(one, other) or ("-",)) if one and other else one or other


def _common_places(one: Value, other: Value) -> Value:
    """Give the places that lie in both lists, where an empty one is everywhere; ``-`` alone is nowhere."""
    if not one or not other:
        return _outermost(_names(one or other))
    pairs = [(mine, its) for mine in _names(one) for its in _names(other)]
    inner = [mine for mine, its in pairs if _inside(mine, its)] + [its for mine, its in pairs if _inside(its, mine)]
    return _outermost(tuple(inner)) or ("-",)


def _outermost(places: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(one for one in set(places) if not any(_inside(one, other) for other in places if other != one)))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _same(one: Value, other: Value) -> Value:
    """Give what both name; ``-``, which is nobody, where they differ."""
    return one if one == other else "-"


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _later(order: tuple[str, ...]) -> Callable[[Value, Value], Value]:
    def stricter(one: Value, other: Value) -> Value:
        return max(one, other, key=lambda value: order.index(str(value)))

    return stricter


DEMANDS: Mapping[str, Demand] = MappingProxyType(
    {
        "prompt": Demand("credential", _later(OUTCOMES)),
        "approvals": Demand(0, _most),
        "approver_groups": Demand((), _common_set),
        "approver_users": Demand((), _common_set),
        "reason": Demand(default=False, stricter=_either),
        "ticket": Demand((), _union),
        "gesture": Demand("any", _later(STRENGTHS)),
        "gesture_age_seconds": Demand(0, _least_set),
        "token_seconds": Demand(DEFAULT_TOKEN_SECONDS, _least),
        "time_limit_seconds": Demand(0, _least_set),
        "env": Demand((), _common),
        "identity": Demand("account", _later(IDENTITIES)),
        "capabilities": Demand((), _common),
        "read_only": Demand((), _union),
        "writable": Demand((), _common_places),
        "network": Demand(default=True, stricter=_both),
        "interactive": Demand(default=False, stricter=_both),
        "children": Demand("allow", _later(CHILDREN)),
        "record": Demand(default=False, stricter=_either),
        "helper": Demand("", _same),
        "alone": Demand(default=False, stricter=_either),
    }
)

MAX_REASON_CHARS = 4096
MAX_TICKET_CHARS = 64

UNDOING = frozenset(
    f"CAP_{name}"
    for name in (
        *("SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "SYS_BOOT", "MKNOD", "DAC_READ_SEARCH", "BPF"),
        *("PERFMON", "MAC_ADMIN", "MAC_OVERRIDE", "CHECKPOINT_RESTORE"),
    )
)
"""With one of these a task writes past every list of what it may write. Files by handle are one way: DAC_READ_SEARCH."""

_RESTRICTIONS = frozenset({"children", "network", "read_only", "record", "writable"})
_OWN_FIELD = frozenset({"prompt", "reason", "gesture", "token_seconds", "time_limit_seconds", "env"})


def merge(allows: Sequence[Rule], requires: Iterable[Rule]) -> dict[str, tuple[Value, tuple[str, ...]]]:
    """Give every obligation's value and the ids of the rules that it comes from."""
    demanding = tuple(requires)
    return {name: _merge_one(name, demand, allows, demanding) for name, demand in DEMANDS.items()}


def _merge_one(name: str, demand: Demand, allows: Sequence[Rule], requires: Sequence[Rule]) -> tuple[Value, tuple[str, ...]]:
    said = [(rule.id, _said(rule, name, demand.default)) for rule in allows]
    said += [(rule.id, dict(rule.then)[name]) for rule in requires if name in dict(rule.then)]
    value = said[0][1]
    for _, other in said[1:]:
        value = demand.stricter(value, other)
    if value == demand.default and name != "prompt":
        return value, ()
    return value, tuple(sorted(rule_id for rule_id, mine in said if demand.stricter(mine, value) == mine))


def _said(rule: Rule, name: str, default: Value) -> Value:
    return dict(rule.then).get(name, default)


def strict_outcome(merged: Mapping[str, tuple[Value, tuple[str, ...]]]) -> Outcome:
    """Give the outcome. SECURITY: a demand for a gesture or an approval turns ``service`` into what asks a person."""
    prompt = Outcome(str(merged["prompt"][0]))
    if merged["approvals"][0]:
        return Outcome.APPROVAL
    if merged["gesture"][0] != "any" and prompt in {Outcome.SERVICE, Outcome.CONSENT}:
        return Outcome.CREDENTIAL
    return prompt


def obligations(merged: Mapping[str, tuple[Value, tuple[str, ...]]]) -> Obligations:
    """Give the value that the broker acts on; what has no field of its own stands in ``extra`` where it is not the default."""
    values = {name: value for name, (value, _) in merged.items()}
    extra = tuple(
        (name, values[name]) for name in sorted(DEMANDS) if name not in _OWN_FIELD and values[name] != DEMANDS[name].default
    )
    return Obligations(
        reason_required=bool(values["reason"]) or bool(values["ticket"]),
        token_seconds=int(str(_least_set(values["token_seconds"], values["gesture_age_seconds"]))),
        time_limit_seconds=int(str(values["time_limit_seconds"])),
        min_strength=str(values["gesture"]),
        env=_names(values["env"]),
        extra=extra,
    )


def missing_tickets(wanted: Obligations, reason: str) -> tuple[str, ...]:
    """Give the ticket patterns that no word of the reason is like; ``#`` is a digit, ``*`` one or more letters and digits."""
    patterns = dict(wanted.extra).get("ticket", ())
    words = [word.strip(".,;:()[]") for word in reason[:MAX_REASON_CHARS].split()]
    return tuple(
        one for one in (patterns if isinstance(patterns, tuple) else ()) if not any(_is_ticket(one, word) for word in words)
    )


def _is_ticket(pattern: str, word: str) -> bool:
    if len(word) > MAX_TICKET_CHARS:
        return False
    parts = ("[0-9]" if char == "#" else "[A-Za-z0-9]+" if char == "*" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), word) is not None


def unkept(wanted: Obligations, kept: frozenset[str]) -> tuple[str, ...]:
    """Give the demands that only a machine can keep, while the task runs, and that this one does not; then it is refused."""
    missing = tuple(name for name, _ in wanted.extra if name in _RESTRICTIONS and name not in kept)
    return missing + undone(dict(wanted.extra))


def undone(demands: Mapping[str, Value]) -> tuple[str, ...]:
    """Give what no machine can keep: a list of what may be written, beside a capability that writes everywhere."""
    lists = [name for name in ("read_only", "writable") if demands.get(name)]
    return tuple(
        f"{name} with {capability}"
        for name in lists
        for capability in _names(demands.get("capabilities", ()))
        if capability in UNDOING
    )


def sources(merged: Mapping[str, tuple[Value, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Give, for each obligation that is not the default, the rules that it comes from."""
    return {name: ids for name, (_, ids) in merged.items() if ids}
