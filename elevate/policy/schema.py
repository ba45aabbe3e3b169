"""Every key that a rule file may hold: its type, where it applies, and what it means.

The reader, the JSON Schema for editors and the reference in ``docs/policy.md`` all come from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from elevate.canonical import Json
from elevate.kinds import KINDS
from elevate.kinds import NAME as KIND_NAME
from elevate.params import MAX_TIME_LIMIT_SECONDS
from elevate.policy.fields import (
    ArgumentsField,
    Choice,
    Field,
    Flag,
    KindName,
    Many,
    Name,
    PathText,
    Text,
    VersionRange,
    Whole,
    Words,
)
from elevate.policy.obligations import CHILDREN, IDENTITIES, OUTCOMES, STRENGTHS
from elevate.policy.rule import Effect
from elevate.policy.times import DAYS

ALL_KINDS = tuple(KINDS)
RUN = ("process.run",)
_FILES = ("process.run", "package.install", "file.write")
_SOFTWARE = ("process.run", "package.install")
_SERVICE = ("service.control",)

MAX_TOKEN_SECONDS = 120
FORMAT = 1

_EVERY = frozenset(Effect)
_ALLOW = frozenset({Effect.ALLOW})
_DENY = frozenset({Effect.DENY})
_FLOOR = frozenset({Effect.ALLOW, Effect.REQUIRE})


@dataclass(frozen=True, slots=True)
class Key:
    """One key: type, meaning, the task kinds that have it, and the effects that may use it."""

    type: Field[object]
    doc: str
    kinds: tuple[str, ...] = ALL_KINDS
    effects: frozenset[Effect] = _EVERY


def _table(**keys: Key) -> Mapping[str, Key]:
    return MappingProxyType(keys)


_SHA = Text("a SHA-256", "[0-9a-f]{64}", "64 lower-case hexadecimal characters")
_DATE = Text("a moment", r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?", "2026-12-31T18:00:00Z")
_TIME = Text("a time of day", r"([01]\d|2[0-3]):[0-5]\d", "08:30")
_TICKET = Text("a ticket pattern", r"(?=.{1,60}$)[A-Za-z0-9_#.-]*(?:\*[A-Za-z0-9_#.-]*){0,2}", "INC-####")

WHO = _table(
    user=Key(Many(Name("a user")), "The asking person's name."),
    group=Key(Many(Name("a group")), "A group that the person is in."),
    sid=Key(Many(Text("a SID", r"S-1-[0-9-]{1,180}", "S-1-5-21-1-2-3-1001")), "The person's security identifier."),
    machine=Key(Many(Name("a machine")), "The machine on which the task would run."),
    remote=Key(Flag(), "Whether the session came over a network."),
    service=Key(Many(Name("a service identity")), "A program that asks with no person there; see `[[service]]`."),
)

TASK = _table(
    kind=Key(KindName(ALL_KINDS), "The kind of task. Left out, the rule is for every kind that has the other keys."),
    sha256=Key(Many(_SHA), "SHA-256 of the program or package.", _SOFTWARE),
    signer=Key(Many(Name("a signer")), "Who signed the program or package; `unsigned` for none.", _SOFTWARE),
    product=Key(Many(Name("a product")), "The product's name in the signed file; needs `signer`.", _SOFTWARE),
    version=Key(VersionRange(), "A range of versions, as `>=1.2, <2`; needs `signer` or `package`.", _SOFTWARE),
    package=Key(
        Many(Name("a package")),
        "The package that is installed or removed, or that the program came in.",
        (*_SOFTWARE, "package.remove"),
    ),
    path=Key(Many(PathText()), "The real path of the program, package or target.", _FILES),
    directory=Key(Many(PathText()), "A folder that the file is somewhere below.", _FILES),
    arguments=Key(
        ArgumentsField(),
        "The program's arguments: a list is exact; or a table with `exact`, `prefix`, `patterns` (one for each position), "
        "`rest` (every further one) and `contains` (any one).",
        RUN,
    ),
    input=Key(Flag(), "Whether the caller sends standard input.", RUN),
    installer=Key(Flag(), "Whether the program is an installer.", RUN),
    manifest=Key(
        Many(Choice(("asInvoker", "highestAvailable", "requireAdministrator"))), "What the program's manifest asks for.", RUN
    ),
    ui_access=Key(Flag(), "Whether the program's manifest asks to reach other programs' windows.", RUN),
    run_as=Key(
        Many(Name("a user")),
        "As whom the caller asks to have it run (`-u`); `root` is the admin account. Left out, an allow is for that only.",
        RUN,
    ),
    run_as_group=Key(
        Many(Name("a group")),
        "The group that the caller asks for (`-g`). Left out, an allow is for none; without `run_as`, it runs as the caller.",
        RUN,
    ),
    writable=Key(
        Flag(),
        "Whether the requester can write the file or a folder above it. An allow by path or folder needs it false.",
        _FILES,
    ),
    setting=Key(
        Many(Text("a setting", r"HKLM\\[ -@\[-~]{1,511}", r"HKLM\software\contoso\notes\version")),
        "The setting: its key below HKLM and its name, in lower case.",
        ("setting.change",),
    ),
    service=Key(
        Many(Name("a service")),
        "The service. A deny or a require is for its name with and without `.service`, "
        "and for the socket, timer and path of that name; what other units and targets start is not followed, "
        "so allow those by name.",
        _SERVICE,
    ),
    brought=Key(
        Flag(),
        "True: also a service that an earlier step of the same row brings. Left out, one that the machine has.",
        _SERVICE,
        _ALLOW,
    ),
    action=Key(Many(Choice(("start", "stop", "restart", "reload", "enable", "disable"))), "What is done to it.", _SERVICE),
)

WHEN = _table(
    days=Key(Many(Choice(DAYS)), "Days of the week."),
    start=Key(_TIME, "Time of day from which the rule holds."),
    end=Key(_TIME, "Time of day before which it holds; earlier than `start` goes over midnight."),
    zone=Key(
        Text("a time zone", r"[A-Za-z0-9_+/-]{1,64}", "Europe/Berlin"),
        "Time zone of `start`, `end` and `days`; UTC if not given.",
    ),
    not_before=Key(_DATE, "Moment from which the rule holds."),
    not_after=Key(_DATE, "Moment before which it holds."),
)

THEN = _table(
    prompt=Key(
        Choice(OUTCOMES),
        "What the person does: `consent` (agree), `credential` (PIN or another gesture; the default), `approval` (a second "
        "person agrees), `service` (nothing; for service identities only).",
        effects=_FLOOR,
    ),
    approvals=Key(Whole(1, 16), "How many approvers must agree.", effects=_FLOOR),
    approver_groups=Key(Many(Name("a group")), "Groups whose members may approve.", effects=_FLOOR),
    approver_users=Key(Many(Name("a user")), "People who may approve.", effects=_FLOOR),
    reason=Key(Choice(("optional", "required")), "Whether a reason must be given.", effects=_FLOOR),
    ticket=Key(
        Many(_TICKET), "A ticket that the reason must name: `#` is a digit, `*` any letters and digits.", effects=_FLOOR
    ),
    gesture=Key(Choice(STRENGTHS), "The weakest gesture that will do.", effects=_FLOOR),
    gesture_age_seconds=Key(Whole(1, 3600), "How old the gesture may be when the token is used.", effects=_FLOOR),
    token_seconds=Key(Whole(1, MAX_TOKEN_SECONDS), "Life of the token; 30 if not given.", effects=_FLOOR),
    time_limit_seconds=Key(Whole(1, MAX_TIME_LIMIT_SECONDS), "The task is ended after this.", effects=_FLOOR),
    env=Key(
        Many(Text("a name", "[A-Za-z_][A-Za-z0-9_]{0,127}", "LANG")), "Environment names that the caller may add.", RUN, _ALLOW
    ),
    identity=Key(
        Choice(IDENTITIES), "`account`: the hidden admin account; `root`: uid 0 where the task needs it.", effects=_FLOOR
    ),
    capabilities=Key(
        Many(Text("a capability", "CAP_[A-Z_]{2,40}", "CAP_NET_ADMIN")), "Capabilities that the task gets.", effects=_ALLOW
    ),
    read_only=Key(Many(PathText()), "Folders that the task can't write.", effects=_FLOOR),
    writable=Key(
        Many(PathText()), "The only folders and files that the task can write, beside its scratch folders.", effects=_FLOOR
    ),
    network=Key(Flag(), "False: the task has no network.", effects=_FLOOR),
    interactive=Key(Flag(), "True: the task may use the terminal.", RUN, _FLOOR),
    children=Key(Choice(CHILDREN), "What programs the task starts: `allow`, `require-rule` or `deny`.", effects=_FLOOR),
    record=Key(Flag(), "True: the session is recorded.", effects=_FLOOR),
    helper=Key(
        Text("a helper", r"[a-z0-9][a-z0-9.-]{0,62}", "contoso-updater"),
        "The helper that carries the task out: the token is handed to it, and the host runs nothing. The settings pin it.",
        effects=_FLOOR,
    ),
    alone=Key(Flag(), "True: the task must be asked for alone, never as one of several steps.", effects=_FLOOR),
)

RULE = _table(
    id=Key(Text("an id", r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", "developers-install"), "Name of the rule; no two are the same."),
    effect=Key(Choice(tuple(Effect)), "`allow` grants, `deny` wins over every allow, `require` raises what is demanded."),
    why=Key(Text("a sentence"), "Why the rule is there; shown by explain."),
    message=Key(Text("a sentence"), "What a denied person is told.", effects=_DENY),
)

SERVICE = _table(
    name=Key(Name("a service identity"), "Its name, as rules use it."),
    uid=Key(Whole(0, 2**32 - 2), "The uid that it runs as."),
    executable=Key(PathText(), "The real path of the asking program."),
    sha256=Key(_SHA, "SHA-256 of that program, to pin its content too."),
)

KIND = _table(
    name=Key(Text("a kind's name", KIND_NAME, "acme.flush-cache"), "Its name, as rules and programs use it."),
    display_name=Key(Text("a display name", r"[^\x00-\x1f\x7f]{1,80}"), "What the prompt calls it; without one it is refused."),
    argv=Key(
        Words(),
        "What it runs: the program's whole path, and words in which `{name}` stands for a parameter, at most one in each. "
        "There is no shell.",
    ),
    time_limit_seconds=Key(Whole(1, MAX_TIME_LIMIT_SECONDS), "The task is ended after this, unless less is asked for; 3600."),
)

PARAM = _table(
    type=Key(Choice(("text", "choice", "number")), "What it is."),
    pattern=Key(
        Text("a pattern", r"[ -~]{1,256}", "[a-z]{1,16}"),
        "Of a text: what it must match as a whole. Characters, `[…]`, `?`, `{n}` and at most two `{m,n}`; nothing unbounded.",
    ),
    values=Key(Many(Text("a value", r"[^\x00-\x1f\x7f-][^\x00-\x1f\x7f]{0,127}")), "Of a choice: the values that it can have."),
    least=Key(Whole(0, 2**31 - 1), "Of a number: the least."),
    most=Key(Whole(0, 2**31 - 1), "Of a number: the most."),
    doc=Key(Text("a sentence"), "What it is for."),
)

TABLES: Mapping[str, Mapping[str, Key]] = MappingProxyType({"who": WHO, "task": TASK, "when": WHEN, "then": THEN})


def json_schema() -> dict[str, Json]:
    """Give the JSON Schema of a rule file in TOML, for editors."""
    rule: dict[str, Json] = {name: _described(key) for name, key in RULE.items()}
    rule |= {name: _part(table) for name, table in TABLES.items()}
    service: dict[str, Json] = {name: _described(key) for name, key in SERVICE.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "elevate policy",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"const": FORMAT},
            "rule": _array(rule, ["id", "effect", "task"]),
            "service": _array(service, ["name", "uid", "executable"]),
            "kind": _kind(),
            "test": {"type": "array", "items": _test()},
        },
    }


def _described(key: Key) -> Json:
    return {**key.type.schema(), "description": key.doc}


def _part(table: Mapping[str, Key]) -> dict[str, Json]:
    members: dict[str, Json] = {name: _described(key) for name, key in table.items()}
    return {"type": "object", "additionalProperties": False, "properties": members}


def _array(members: dict[str, Json], required: list[str]) -> Json:
    needed: list[Json] = list(required)
    items: dict[str, Json] = {"type": "object", "additionalProperties": False, "required": needed, "properties": members}
    return {"type": "array", "items": items}


def _kind() -> Json:
    param: Json = {**_part(PARAM), "required": ["type"]}
    params: Json = {"type": "object", "additionalProperties": param}
    members = {name: _described(key) for name, key in KIND.items()}
    return _array(members | {"params": params}, ["name", "display_name", "argv"])


def _test() -> Json:
    outcomes: list[Json] = [*OUTCOMES, "denied"]
    expect: dict[str, Json] = {
        "outcome": {"type": "string", "enum": outcomes},
        "rules": {"type": "array", "items": {"type": "string"}},
        "obligations": {"type": "object"},
    }
    members: dict[str, Json] = {
        "name": {"type": "string"},
        "given": {"type": "object"},
        "expect": {"type": "object", "additionalProperties": False, "required": ["outcome"], "properties": expect},
    }
    return {"type": "object", "additionalProperties": False, "required": ["given", "expect"], "properties": members}
