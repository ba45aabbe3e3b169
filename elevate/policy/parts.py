"""Small parts of reading a rule: from typed values to conditions, and fixes for keys that are not known."""

from collections.abc import Mapping

from elevate.policy.arguments import Arguments
from elevate.policy.conditions import ArgumentsAre, Below, IsFlag, OneOf, VersionIn
from elevate.policy.problems import similar
from elevate.policy.rule import By, Condition, Value
from elevate.policy.versions import Range

SELECTORS = tuple((by.value, by) for by in (By.SHA256, By.SIGNER, By.PACKAGE, By.SERVICE, By.SETTING, By.PATH, By.DIRECTORY))
"""Selectors by name, the most specific first."""
_ENDING = ".service"
_TRIGGERS = (".socket", ".timer", ".path")
"""Endings of systemd's units that start the service of their name."""
_NAMES = frozenset(name for name, _ in SELECTORS)


def has_selector(table: Mapping[str, object]) -> bool:
    """Say whether a table names what it is for; such tables are all different."""
    return not _NAMES.isdisjoint(table)


def unknown_fix(name: str, known: Mapping[str, object] | set[str]) -> str:
    """Give a fix for a key that is not known."""
    if name.lower() in {"not", "except", "unless", "exclude"}:
        return 'there is no negation: write a further rule with effect = "deny"'
    if name == "include":
        return "there are no includes: every file in the policy folder is read"
    return similar(name, known)


def spelled(services: tuple[str, ...]) -> tuple[str, ...]:
    """Give names of services with and without systemd's ending, which are one service, and the units that start it.

    SECURITY: for what takes or raises; whoever asks chooses how the name is written, and by which unit it starts.
    """
    return tuple(dict.fromkeys(name for service in services for name in _names_of(service)))


def _names_of(service: str) -> tuple[str, ...]:
    if service.endswith(_TRIGGERS):
        return (service,)
    stem = service.removesuffix(_ENDING)
    return (service, stem if stem != service else stem + _ENDING, *(stem + ending for ending in _TRIGGERS))


def names_in(value: object) -> tuple[str, ...]:
    """Give a list of names; empty where it is none."""
    return value if isinstance(value, tuple) else ()


def plain_value(name: str, value: object) -> Value:
    """Give an obligation as rules keep it."""
    if name == "reason":
        return value == "required"
    if isinstance(value, str | bool | int | tuple):
        return value
    raise TypeError(name)  # pragma: no cover - the tables have no other type


def condition_of(name: str, value: object) -> Condition:
    """Make the condition that a key of ``task`` comes to."""
    match value:
        case Range():
            return VersionIn(value)
        case Arguments():
            return ArgumentsAre(value)
        case bool():
            return IsFlag(name, value)
        case tuple() if name == "directory":
            return Below(value)
        case tuple():
            return OneOf(name, value)
        case _:
            raise TypeError(name)  # pragma: no cover - the tables have no other type
