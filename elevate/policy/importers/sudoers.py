"""Rules from a sudoers file, given as the JSON that ``cvtsudoers -f json`` writes.

sudo takes the last match; here every ``!`` is a deny, and a deny wins: never wider. Tags like NOPASSWD give no prompt away.
sudo compares arguments as one text in which a wildcard also takes blanks and slashes; here it takes neither. A folder means
only what lies directly in it, which a rule can't say, so it grants nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from elevate import canonical
from elevate.canonical import Json
from elevate.policy.importers.common import MAX_BYTES, Fate, Imported, Table, refuse
from elevate.policy.importers.sudoers_commands import Command, denied_task, granted_task, options_of
from elevate.policy.importers.sudoers_targets import Signed, Targets, targets_of
from elevate.text import escape

Resolve = Callable[[str], str]
Members = list[dict[str, Json]]

MAX_NESTING = 16
MAX_MEMBERS = 200_000
"""Of all lists together, aliases put in place: those that name each other many times grow without end."""
_PEOPLE = frozenset({"username", "usergroup"})
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
class _Line:
    """Commands of one line, with what the line says of them all."""

    users: list[Signed]
    hosts: list[Signed]
    commands: Mapping[str, Json]
    targets: Targets

    def stranger(self) -> str:
        """Say why no rule can name those whom it is for; empty where one can."""
        strangers = [one for one in self.users if one.negated and one.kind not in _PEOPLE]
        if not strangers and any(not one.negated and one.kind in _PEOPLE for one in self.users):
            return ""
        return f"it is about a {(strangers or self.users)[0].kind}, which no rule can name"


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
            line = _Line(users, hosts, commands, self._targets(commands))
            for command in [self._command(member) for member in self._expand_commands(_list(commands, "Commands"))]:
                source = f"{whose} = {'!' if command.negated else ''}{command.text}"
                if command.negated:
                    self._deny(line, command, source)
                elif self._narrowing:
                    self.imported.note(Fate.LEFT_OUT, source, f"no rule has the default {', '.join(self._narrowing)}")
                else:
                    self._grant(line, command, source)

    def _expand(self, members: Members, table: str, key: str, *, flip: bool = False, depth: int = 0) -> Iterator[Signed]:
        """Put aliases' members in their place; a negated alias turns them round."""
        aliases = self._document.get(table)
        for member in members:
            self._count()
            negated = (member.get("negated") is True) is not flip
            kind = next((name for name in member if name != "negated"), "")
            value = str(member.get(kind, ""))
            inner = _list(aliases, value) if isinstance(aliases, dict) and kind == key else None
            if inner is None or depth > MAX_NESTING:
                yield Signed(kind, value, negated)
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

    def _targets(self, commands: Mapping[str, Json]) -> Targets:
        users, groups = (
            list(self._expand(_list(commands, name), "Runas_Aliases", "runasalias")) for name in ("runasusers", "runasgroups")
        )
        return targets_of(users, groups, default_is_root=self._default_is_root)

    def _deny(self, line: _Line, command: Command, source: str) -> None:
        plain = [one for one in line.users if not one.negated]
        known = all(one.kind in _PEOPLE for one in plain)
        names, groups = _names(plain, "username"), _names(plain, "usergroup")
        # A person may be meant by name or by group, so that each kind gets a rule of its own.
        people: list[Table] = [{}] if not known or "ALL" in names else _people(names, groups)
        tasks = [each for task in denied_task(command, self._resolve) for each in line.targets.denied(task)]
        for who in people:
            for task in tasks:
                self.imported.add("deny", who, task, f"sudoers: {source}")
        if tasks:
            self.imported.note(Fate.NARROWED, source, "it now denies in any order, on every machine")
        else:
            self.imported.note(Fate.TRANSLATED, source, "it is not about root")

    def _grant(self, line: _Line, command: Command, source: str) -> None:
        task, why = granted_task(command, self._resolve)
        parts, why_not = options_of(_list(line.commands, "Options"), raw=line.commands.get("Options"))
        machines, host_trouble = _machines(line.hosts)
        if task is None or parts is None or host_trouble:
            self.imported.note(Fate.LEFT_OUT, source, why if task is None else why_not if parts is None else host_trouble)
            return
        tasks = line.targets.granted(task)
        trouble = line.stranger() or ("" if tasks else "no rule can name as whom it runs")
        if trouble:
            self.imported.note(Fate.LEFT_OUT, source, trouble)
            return
        for one in tasks:
            self._add(line.users, machines, one, parts, source)
        unknown = sorted({one.kind for one in line.users if one.kind not in _PEOPLE})
        if machines and any(one.kind != "hostname" for one in line.hosts):
            unknown.append("machines by address or netgroup")
        reasons = [why, why_not, f"not for {', '.join(unknown)}" if unknown else "", line.targets.narrowed(tasks)]
        told = "; ".join(reason for reason in reasons if reason)
        self.imported.note(Fate.NARROWED if told else Fate.TRANSLATED, source, told)

    def _add(self, users: list[Signed], machines: Table, task: Table, parts: Table, source: str) -> None:
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


def _names(members: list[Signed], kind: str) -> list[str]:
    return sorted({one.value for one in members if one.kind == kind})


def _people(names: list[str], groups: list[str]) -> list[Table]:
    return [{key: values} for key, values in (("user", [name for name in names if name != "ALL"]), ("group", groups)) if values]


def _machines(hosts: list[Signed]) -> tuple[Table, str]:
    if any(one.negated for one in hosts):
        return {}, "it is for all but some machines, which no rule can say"
    if any((one.kind, one.value) == ("hostname", "ALL") for one in hosts):
        return {}, ""
    names = [one.value for one in hosts if one.kind == "hostname" and not set(one.value) & set("*?[]\\")]
    return ({"machine": names}, "") if names else ({}, "it is for machines by address, netgroup or pattern")


def _shown(members: list[Signed]) -> str:
    return ", ".join(
        f"{'!' if one.negated else ''}{'%' if one.kind == 'usergroup' else ''}{escape(one.value)}" for one in members
    )
