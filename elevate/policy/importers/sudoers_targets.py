"""As whom a line of a sudoers file lets commands run, as far as a rule can say it: root, users and groups by their names.

sudo takes the last member of a list that fits. A user who is named by number or by a group is not told by name: such a member
grants nothing, and one that takes such users away takes away all that was named before it.

Source: sudoers(5), Runas_Spec.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elevate.policy.importers.common import Table
from elevate.policy.importers.sudoers_commands import RUN

_ROOT = frozenset({("username", "ALL"), ("username", "root"), ("userid", "0")})
_MANY = frozenset({"", "ALL"})


@dataclass(frozen=True, slots=True)
class Signed:
    """A member of a list after aliases: its type, its value, and whether it is negated."""

    kind: str
    value: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """As whom commands run.

    Attributes:
        root: Whether as root; None where it can't be told.
        users: Other users, by name; beside root.
        groups: Groups that may be asked for with one of these users, or, where ``alone``, for the asking user.
        alone: The line names no user.
        more: It means others, too, who can't be named.
        mentioned: All users and all groups that the line names, whether it takes them back or not.
    """

    root: bool | None
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    alone: bool = False
    more: bool = False
    mentioned: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def granted(self, task: Table) -> list[Table]:
        """Give an allow's task for each combination of user and group; narrower, never wider."""
        named: list[Table] = [{"run_as": list(self.users)}] if self.users else []
        if self.groups and (self.users or self.alone):
            named.append({**(named[0] if named else {}), "run_as_group": list(self.groups)})
        return [{**task, **one} for one in self._among(task, named, root=self.root is True)]

    def denied(self, task: Table) -> list[Table]:
        """Give tasks of a deny, so that it holds for all of them and perhaps for more."""
        keys = zip(("run_as", "run_as_group"), self.mentioned, strict=True)
        named: list[Table] = [{key: list(values)} for key, values in keys if values]
        everybody = self.root is not False or self.more
        return [{**task, **one} for one in self._among(task, [] if everybody else named, root=everybody)]

    def _among(self, task: Table, named: list[Table], *, root: bool) -> list[Table]:
        return [*([{}] if root else []), *(named if task["kind"] == RUN else [])]

    def narrowed(self, granted: list[Table]) -> str:
        """Say what these tasks lack; empty where they lack nothing."""
        lost = self.more or (self.groups and not (self.users or self.alone)) or (self.users and len(granted) == 1 and self.root)
        names = (("root",) if self.root is True else ()) + self.users
        return f"as {', '.join(names) or 'the asking user'} only" if lost else ""


def targets_of(users: Sequence[Signed], groups: Sequence[Signed], *, default_is_root: bool) -> Targets:
    """Read both lists of a line, with aliases put in place."""
    named_groups, more_groups = _named(groups, "usergroup")
    mentioned = (_mentioned(users, "username"), _mentioned(groups, "usergroup"))
    if not users:
        root = default_is_root and not groups
        return Targets(root, groups=named_groups, alone=bool(groups), more=more_groups, mentioned=mentioned)
    named, more = _named(users, "username")
    others = tuple(name for name in named if name != "root")
    return Targets(_root(users), others, named_groups, more=more or more_groups, mentioned=mentioned)


def _root(users: Sequence[Signed]) -> bool | None:
    answer: bool | None = False
    for one in users:
        if (one.kind, one.value) in _ROOT:
            answer = not one.negated
        elif one.kind not in {"username", "userid"}:
            answer = None
    return answer


def _mentioned(members: Sequence[Signed], kind: str) -> tuple[str, ...]:
    return tuple(sorted({one.value for one in members if one.kind == kind and not one.negated}))


def _named(members: Sequence[Signed], kind: str) -> tuple[tuple[str, ...], bool]:
    """Give the names that a list comes to, and whether it means others, too."""
    names: set[str] = set()
    more = False
    for one in members:
        if one.kind == kind and one.value not in _MANY:
            (names.discard if one.negated else names.add)(one.value)
        elif one.negated:
            names.clear()
        else:
            more = True
    return tuple(sorted(names)), more
