"""Rules from a sudoers file, given as the JSON that ``cvtsudoers -f json`` writes.

sudo takes the last match; here every ``!`` is a deny, and a deny wins: never wider. Only what runs as root is taken; tags like
NOPASSWD give no prompt away. sudo compares arguments as one text in which a wildcard also takes blanks and slashes; here it
takes neither. A folder means only what lies directly in it, which a rule can't say, so it grants nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from elevate import canonical
from elevate.canonical import Json
from elevate.policy.importers.common import MAX_BYTES, Fate, Imported, Table, refuse
from elevate.policy.importers.sudoers_commands import Command, denied_task, granted_task, options_of
from elevate.text import escape

Resolve = Callable[[str], str]
Members = list[dict[str, Json]]

MAX_NESTING = 16
MAX_MEMBERS = 200_000
"""Of all lists together, aliases put in place: those that name each other many times grow without end."""
_NARROWING = frozenset(
    {
        "apparmor_profile",
        "command_timeout",
        "intercept",
        "limitprivs",
        "noexec",
        "privs",
        "role",
        "rootpw",
        "runaspw",
        "runchroot",
    }
    | {"targetpw", "type"}
)
"""Defaults under which sudo allows less, or asks for another's password, than a rule made from its lines would."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A member of a list after aliases: its type, its value, and whether it is negated."""

    kind: str
    value: str
    negated: bool


def import_sudoers(data: bytes, *, resolve: Resolve = lambda path: path) -> Imported:
    """Translate.

    Args:
        data: JSON from ``cvtsudoers -f json``.
        resolve: Gives the real path of a path on the machine that the file is for.

    Raises:
        PolicyError: Not that JSON.
    """
    try:
        document = canonical.decode(data, max_bytes=MAX_BYTES)
    except ValueError as exc:
        raise refuse(f"not JSON: {exc}", "make it with: cvtsudoers -f json FILE") from exc
    if not isinstance(document, dict) or not isinstance(document.get("User_Specs", []), list):
        raise refuse("not what cvtsudoers writes", "make it with: cvtsudoers -f json FILE")
    importing = _Importing(document, resolve)
    for spec in _list(document, "User_Specs"):
        importing.spec(spec)
    return importing.imported


def _list(table: Mapping[str, Json], name: str) -> Members:
    value = table.get(name)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


class _Importing:
    def __init__(self, document: dict[str, Json], resolve: Resolve) -> None:
        self.imported = Imported(prefix="sudoers")
        self._document = document
        self._resolve = resolve
        options = [option for entry in _list(document, "Defaults") for option in _list(entry, "Options")]
        self._default_is_root = not any("runas_default" in option for option in options)
        self._narrowing = sorted(
            {name for option in options for name, value in option.items() if value is not False} & _NARROWING
        )
        self._left = MAX_MEMBERS

    def spec(self, spec: Mapping[str, Json]) -> None:
        """Translate one line of the file."""
        users = list(self._expand(_list(spec, "User_List"), "User_Aliases", "useralias"))
        hosts = list(self._expand(_list(spec, "Host_List"), "Host_Aliases", "hostalias"))
        whose = f"{_shown(users)} {_shown(hosts)}"
        for commands in _list(spec, "Cmnd_Specs"):
            runs_as_root = self._root(commands)
            members = [self._command(member) for member in self._expand_commands(_list(commands, "Commands"))]
            for command in members:
                source = f"{whose} = {'!' if command.negated else ''}{command.text}"
                if self._narrowing and not command.negated:
                    self.imported.note(Fate.LEFT_OUT, source, f"no rule has the default {', '.join(self._narrowing)}")
                elif command.negated:
                    self._deny(users, command, source, certain=runs_as_root is not False)
                elif runs_as_root is not True:
                    self.imported.note(Fate.LEFT_OUT, source, "it does not run as root, or not surely")
                else:
                    self._grant(users, hosts, command, commands, source)

    def _expand(self, members: Members, table: str, key: str, *, flip: bool = False, depth: int = 0) -> Iterator[_Signed]:
        """Put aliases' members in their place; a negated alias turns them round."""
        aliases = self._document.get(table)
        for member in members:
            self._count()
            negated = (member.get("negated") is True) is not flip
            kind = next((name for name in member if name != "negated"), "")
            value = str(member.get(kind, ""))
            inner = _list(aliases, value) if isinstance(aliases, dict) and kind == key else None
            if inner is None or depth > MAX_NESTING:
                yield _Signed(kind, value, negated)
            else:
                yield from self._expand(inner, table, key, flip=negated, depth=depth + 1)

    def _expand_commands(self, members: Members, *, flip: bool = False, depth: int = 0) -> Iterator[dict[str, Json]]:
        aliases = self._document.get("Command_Aliases")
        for member in members:
            self._count()
            negated = (member.get("negated") is True) is not flip
            name = member.get("cmndalias")
            if isinstance(name, str) and isinstance(aliases, dict) and depth <= MAX_NESTING:
                yield from self._expand_commands(_list(aliases, name), flip=negated, depth=depth + 1)
            else:
                yield {**member, "negated": negated}

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise refuse(f"over {MAX_MEMBERS} members in its lists, aliases put in place", "import it in parts")

    def _command(self, member: Mapping[str, Json]) -> Command:
        digests = {name: str(value) for name, value in member.items() if name not in {"command", "negated"}}
        return Command(text=str(member.get("command", "")), negated=member.get("negated") is True, digests=digests)

    def _root(self, commands: Mapping[str, Json]) -> bool | None:
        """Say whether these run as root; None where it can't be told."""
        members = _list(commands, "runasusers")
        if not members:
            return self._default_is_root and not _list(commands, "runasgroups")
        answer: bool | None = False
        for one in self._expand(members, "Runas_Aliases", "runasalias"):
            if (one.kind, one.value) in {("username", "ALL"), ("username", "root"), ("userid", "0")}:
                answer = not one.negated
            elif one.kind not in {"username", "userid"}:
                answer = None
        return answer

    def _deny(self, users: list[_Signed], command: Command, source: str, *, certain: bool) -> None:
        if not certain:
            self.imported.note(Fate.TRANSLATED, source, "it is not about root")
            return
        plain = [one for one in users if not one.negated]
        known = all(one.kind in {"username", "usergroup"} for one in plain)
        names, groups = _names(plain, "username"), _names(plain, "usergroup")
        # A person may be meant by name or by group, so that each kind gets a rule of its own.
        people: list[Table] = [{}] if not known or "ALL" in names else _people(names, groups)
        for who in people:
            for task in denied_task(command, self._resolve):
                self.imported.add("deny", who, task, f"sudoers: {source}")
        self.imported.note(Fate.NARROWED, source, "it now denies in any order, on every machine")

    def _grant(
        self, users: list[_Signed], hosts: list[_Signed], command: Command, commands: Mapping[str, Json], source: str
    ) -> None:
        task, why = granted_task(command, self._resolve)
        parts, why_not = options_of(_list(commands, "Options"), raw=commands.get("Options"))
        machines, host_trouble = _machines(hosts)
        if task is None or parts is None or host_trouble:
            self.imported.note(Fate.LEFT_OUT, source, why if task is None else why_not if parts is None else host_trouble)
            return
        strangers = [one for one in users if one.negated and one.kind not in {"username", "usergroup"}]
        known = [one for one in users if not one.negated and one.kind in {"username", "usergroup"}]
        if strangers or not known:
            kind = (strangers or users)[0].kind
            self.imported.note(Fate.LEFT_OUT, source, f"it is about a {kind}, which no rule can name")
            return
        self._add(users, machines, task, parts, source)
        unknown = sorted({one.kind for one in users if one.kind not in {"username", "usergroup"}})
        if machines and any(one.kind != "hostname" for one in hosts):
            unknown.append("machines by address or netgroup")
        reasons = [reason for reason in (why, why_not, f"not for {', '.join(unknown)}" if unknown else "") if reason]
        self.imported.note(Fate.NARROWED if reasons else Fate.TRANSLATED, source, "; ".join(reasons))

    def _add(self, users: list[_Signed], machines: Table, task: Table, parts: Table, source: str) -> None:
        plain = [one for one in users if not one.negated]
        names, groups = _names(plain, "username"), _names(plain, "usergroup")
        people: list[Table] = [{}] if "ALL" in names else _people(names, groups)
        for who in people:
            self.imported.add("allow", {**who, **machines}, task, f"sudoers: {source}", **parts)
        negated = [one for one in users if one.negated]
        if "ALL" in _names(negated, "username"):
            self.imported.add("deny", {}, task, f"sudoers: {source}")
        for who in _people(_names(negated, "username"), _names(negated, "usergroup")):
            self.imported.add("deny", who, task, f"sudoers: {source}")


def _names(members: list[_Signed], kind: str) -> list[str]:
    return sorted({one.value for one in members if one.kind == kind})


def _people(names: list[str], groups: list[str]) -> list[Table]:
    return [{key: values} for key, values in (("user", [name for name in names if name != "ALL"]), ("group", groups)) if values]


def _machines(hosts: list[_Signed]) -> tuple[Table, str]:
    if any(one.negated for one in hosts):
        return {}, "it is for all but some machines, which no rule can say"
    if any((one.kind, one.value) == ("hostname", "ALL") for one in hosts):
        return {}, ""
    names = [one.value for one in hosts if one.kind == "hostname" and not set(one.value) & set("*?[]\\")]
    return ({"machine": names}, "") if names else ({}, "it is for machines by address, netgroup or pattern")


def _shown(members: list[_Signed]) -> str:
    return ", ".join(
        f"{'!' if one.negated else ''}{'%' if one.kind == 'usergroup' else ''}{escape(one.value)}" for one in members
    )
