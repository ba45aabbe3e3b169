"""When one rule covers another: whatever the second matches, the first matches too. A doubt is a no."""

from elevate.policy.conditions import Below, OneOf, selector_of
from elevate.policy.rule import By, Condition, Rule, Who


def covers(wide: Rule, narrow: Rule) -> bool:
    """Say whether ``wide`` matches whatever ``narrow`` matches."""
    if not set(narrow.kinds) <= set(wide.kinds) or not who_covers(wide.who, narrow.who):
        return False
    held = _conditions(narrow)
    return all(any(_implied(wanted, one) for one in held) for wanted in _conditions(wide))


def who_covers(wide: Who, narrow: Who) -> bool:
    """Say whether everyone whom ``narrow`` means is meant by ``wide``."""
    for name in ("user", "group", "sid", "service", "machine"):
        wanted: tuple[str, ...] = getattr(wide, name)
        given: tuple[str, ...] = getattr(narrow, name)
        if wanted and not (given and set(given) <= set(wanted)):
            return False
    return wide.remote is None or wide.remote is narrow.remote


def who_overlap(one: Who, other: Who) -> bool:
    """Say whether somebody may be meant by both; a person may be in any groups."""
    for name in ("user", "sid", "service", "machine"):
        mine: tuple[str, ...] = getattr(one, name)
        theirs: tuple[str, ...] = getattr(other, name)
        if mine and theirs and not set(mine) & set(theirs):
            return False
    return one.remote is None or other.remote is None or one.remote is other.remote


def overlap(one: Rule, other: Rule) -> bool:
    """Say whether some task may match both, links aside: a program that is called by a link has two names.

    Selectors of different types always may.
    """
    if not set(one.kinds) & set(other.kinds) or not who_overlap(one.who, other.who):
        return False
    if one.by is other.by and one.by not in {By.ANY, By.DIRECTORY}:
        return bool(set(one.values) & set(other.values))
    if {one.by, other.by} <= {By.PATH, By.DIRECTORY}:
        return any(_nested(mine, theirs) for mine in one.values for theirs in other.values)
    return True


def _nested(one: str, other: str) -> bool:
    return one == other or other.startswith(one.rstrip("/") + "/") or one.startswith(other.rstrip("/") + "/")


def _conditions(rule: Rule) -> list[Condition]:
    selector = selector_of(rule)
    return [*([selector] if selector is not None else []), *rule.conditions]


def _implied(wanted: Condition, held: Condition) -> bool:
    """Say whether ``wanted`` follows from ``held``."""
    if wanted == held:
        return True
    match wanted, held:
        case OneOf(name=mine, values=wide), OneOf(name=theirs, values=narrow):
            return mine == theirs and set(narrow) <= set(wide)
        case Below(values=wide), Below(values=narrow):
            return all(any(below(one, folder) or one == folder for folder in wide) for one in narrow)
        case Below(values=wide), OneOf(name="path", values=narrow):
            return all(any(below(one, folder) for folder in wide) for one in narrow)
        case _:
            return False


def below(path: str, folder: str) -> bool:
    """Say whether a path is somewhere below a folder."""
    return path.startswith(folder if folder == "/" else folder + "/")
