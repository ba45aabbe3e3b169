"""Importers: what each line comes to, never wider, and every line told."""

import json
from typing import Any

import pytest

from elevate.errors import PolicyError
from elevate.model import Allow
from elevate.policy import Policy, Source, load
from elevate.policy.importers import Fate, Imported, import_appcontrol, import_applocker, import_sudoers
from tests.unit.policy.build import ask

Members = list[dict[str, Any]]


def loaded(imported: Imported) -> Policy:
    return load([Source(name="i.toml", data=imported.toml().encode())])


def fates(imported: Imported) -> list[Fate]:
    return [note.fate for note in imported.notes]


def run(imported: Imported, path: str, *arguments: str, **given: object) -> bool:
    facts = given.pop("task", {})
    task = {"kind": "process.run", "path": path, "arguments": list(arguments), **(facts if isinstance(facts, dict) else {})}
    return isinstance(loaded(imported).decide(ask(task, **given)), Allow)


def spec(commands: Members, users: Members | None = None, hosts: Members | None = None, **more: object) -> dict[str, Any]:
    return {
        "User_List": users or [{"username": "alice"}],
        "Host_List": hosts or [{"hostname": "ALL"}],
        "Cmnd_Specs": [{"Commands": commands, **more}],
    }


def sudoers(*specs: dict[str, Any], **more: object) -> Imported:
    return import_sudoers(json.dumps({"User_Specs": list(specs), **more}).encode())


@pytest.mark.parametrize(
    ("command", "arguments", "allowed"),
    [
        ("/opt/x", ["any", "thing"], True),
        ('/opt/x ""', [], True),
        ('/opt/x ""', ["a"], False),
        ("/opt/x a b", ["a", "b"], True),
        ("/opt/x a b", ["a b"], False),
        ("/opt/x a *", ["a", "c"], True),
        ("/opt/x a *", ["a", "c", "d"], False),
        ("/opt/x a *", ["a", "-o"], False),
        ("/opt/x a *", ["a", "c/d"], False),
        ("ALL", ["x"], True),
    ],
)
def test_sudoers_arguments(command: str, arguments: list[str], *, allowed: bool) -> None:
    """Exact where exact; a wildcard is one plain argument."""
    assert run(sudoers(spec([{"command": command}])), "/opt/x", *arguments) is allowed


@pytest.mark.parametrize(
    "command",
    [
        "/opt/",
        "/opt/*",
        "/opt/x [a-z]",
        "/opt/x ^a$",
        "^/opt/.*$",
        "list",
        "/opt/../opt/x",
        "/opt/x a\\,b",
        "sudoedit /opt/*",
        "x",
    ],
)
def test_sudoers_that_no_rule_can_say_is_left_out(command: str) -> None:
    """And told, with the reason."""
    imported = sudoers(spec([{"command": command}]))

    assert imported.rules == []
    assert [(note.fate, bool(note.why)) for note in imported.notes] == [(Fate.LEFT_OUT, True)]


@pytest.mark.parametrize(
    "more",
    [
        {"runasusers": [{"username": ""}]},
        {"runasusers": [{"userid": 5}]},
        {"runasusers": [{"username": "games"}, {"usergroup": "players", "negated": True}]},
        {"runasusers": [{"username": "games"}, {"username": "ALL", "negated": True}]},
        {"runasusers": [{"username": "ALL"}, {"username": "root", "negated": True}]},
        {"runasusers": [{"usergroup": "admins"}]},
        {"runasgroups": [{"usergroup": "ALL"}]},
        {"Options": [{"runchroot": "/x"}]},
        {"Options": ["odd"]},
        {"Options": [{"notafter": "soon"}]},
    ],
)
def test_sudoers_that_names_nobody_as_whom_it_runs_is_left_out(more: dict[str, Any]) -> None:
    """Targets by number or group, chroots and options that are not known."""
    assert sudoers(spec([{"command": "/opt/x"}], **more)).rules == []


GAMES: Members = [{"username": "games"}]


@pytest.mark.parametrize(
    ("more", "asked", "allowed"),
    [
        ({"runasusers": GAMES}, {"run_as": "games"}, True),
        ({"runasusers": GAMES}, {"run_as": "nobody"}, False),
        ({"runasusers": GAMES}, {}, False),
        ({"runasusers": GAMES}, {"run_as": "games", "run_as_group": "tty"}, False),
        ({"runasusers": [{"username": "root"}, *GAMES]}, {}, True),
        ({"runasusers": [{"username": "root"}, *GAMES]}, {"run_as": "games"}, True),
        ({"runasusers": [{"username": "ALL"}]}, {"run_as": "games"}, False),
        ({"runasusers": [{"username": "games", "negated": True}, *GAMES]}, {"run_as": "games"}, True),
        ({"runasusers": GAMES, "runasgroups": [{"usergroup": "tty"}]}, {"run_as": "games", "run_as_group": "tty"}, True),
        ({"runasusers": GAMES, "runasgroups": [{"usergroup": "tty"}]}, {"run_as": "games", "run_as_group": "adm"}, False),
        ({"runasusers": GAMES, "runasgroups": [{"usergroup": "tty"}]}, {"run_as": "alice", "run_as_group": "tty"}, False),
        ({"runasgroups": [{"usergroup": "tty"}]}, {"run_as": "alice", "run_as_group": "tty"}, True),
        ({"runasgroups": [{"usergroup": "tty"}]}, {"run_as": "games", "run_as_group": "tty"}, False),
        ({"runasgroups": [{"usergroup": "tty"}]}, {}, False),
    ],
)
def test_sudoers_other_users_and_groups(more: dict[str, Any], asked: dict[str, str], *, allowed: bool) -> None:
    """As whom the line says, by name, and as nobody else."""
    assert run(sudoers(spec([{"command": "/opt/x"}], **more)), "/opt/x", task=asked) is allowed


@pytest.mark.parametrize(
    ("users", "reason"),
    [
        ([{"username": "ALL"}], "as root only"),
        ([*GAMES, {"usergroup": "players"}], "as games only"),
        ([{"username": "root"}, {"userid": 7}, *GAMES], "as root, games only"),
    ],
)
def test_sudoers_targets_that_are_lost_are_told(users: Members, reason: str) -> None:
    """The rule is narrower, and the report says as whom it still is."""
    assert [note.why for note in sudoers(spec([{"command": "/opt/x"}], runasusers=users)).notes] == [reason]


def test_sudoedit_as_another_user_is_left_out() -> None:
    """A file is written by the admin account only."""
    assert sudoers(spec([{"command": "sudoedit /etc/hosts"}], runasusers=GAMES)).rules == []
    both = sudoers(spec([{"command": "sudoedit /etc/hosts"}], runasusers=[{"username": "root"}, *GAMES]))
    assert [rule["task"] for rule in both.rules] == [{"kind": "file.write", "path": "/etc/hosts"}]
    assert [note.why for note in both.notes] == ["as root, games only"]


@pytest.mark.parametrize(
    "users",
    [
        GAMES,
        [*GAMES, {"usergroup": "players", "negated": True}],
        [{"userid": 5}],
        [{"usergroup": "players"}],
        [{"username": "ALL"}, {"username": "root", "negated": True}],
    ],
)
def test_sudoers_negation_for_another_user_denies_for_that_user(users: Members) -> None:
    """Also where only sudo can tell who is meant, and where it may be taken back."""
    granted = spec([{"command": "/opt/x"}], runasusers=GAMES)
    imported = sudoers(granted, spec([{"command": "/opt/x", "negated": True}], runasusers=users))

    assert not run(imported, "/opt/x", task={"run_as": "games"})


def test_sudoers_default_target_other_than_root_grants_nothing() -> None:
    """``runas_default`` changes what an entry without a target means."""
    defaults = [{"Options": [{"runas_default": "operator"}]}]

    assert sudoers(spec([{"command": "/opt/x"}]), Defaults=defaults).rules == []


def test_sudoers_negation_denies_in_any_order() -> None:
    """Sudo takes the last match; here the deny wins, for every name of the file."""
    imported = sudoers(spec([{"command": "/bin/su", "negated": True}, {"command": "ALL"}]))

    assert not run(imported, "/bin/su")
    assert not run(imported, "/usr/bin/su", "-")
    assert run(imported, "/usr/bin/id")


def test_sudoers_negated_wildcard_denies_the_whole_folder() -> None:
    """What can't be said exactly is denied more widely."""
    imported = sudoers(spec([{"command": "ALL"}, {"command": "/opt/s*", "negated": True}]))

    assert not run(imported, "/opt/other")


def test_sudoers_people() -> None:
    """Names and groups alone; who is taken out is denied; an id or a netgroup is left out."""
    users: Members = [{"username": "ALL"}, {"username": "alice", "negated": True}]
    imported = sudoers(spec([{"command": "/opt/x"}], users))

    assert run(imported, "/opt/x", user="bob")
    assert not run(imported, "/opt/x", user="alice")
    assert fates(sudoers(spec([{"command": "/opt/x"}], [{"userid": 7}]))) == [Fate.LEFT_OUT]
    assert fates(sudoers(spec([{"command": "/opt/x"}], [{"username": "ALL"}, {"netgroup": "n", "negated": True}]))) == [
        Fate.LEFT_OUT
    ]


def test_sudoers_aliases_are_put_in_place_and_turned_round() -> None:
    """A negated alias negates its members, and those that were negated are no longer."""
    aliases = {"Command_Aliases": {"C": [{"command": "/opt/x"}, {"command": "/opt/y", "negated": True}]}}
    plain = sudoers(spec([{"cmndalias": "C"}]), **aliases)
    turned = sudoers(spec([{"cmndalias": "C", "negated": True}]), **aliases)

    assert run(plain, "/opt/x")
    assert not run(plain, "/opt/y")
    assert not run(turned, "/opt/x")
    assert run(turned, "/opt/y")


def test_sudoers_alias_in_a_circle_ends() -> None:
    """What refers to itself grants nothing."""
    aliases = {"User_Aliases": {"A": [{"useralias": "A"}]}}

    assert sudoers(spec([{"command": "/opt/x"}], [{"useralias": "A"}]), **aliases).rules == []


def test_sudoers_machines() -> None:
    """Names alone; all but some is left out; addresses are narrowed away."""
    imported = sudoers(spec([{"command": "/opt/x"}], hosts=[{"hostname": "web"}, {"networkaddr": "10.0.0.0/8"}]))

    assert run(imported, "/opt/x", machine="web")
    assert not run(imported, "/opt/x", machine="db")
    assert fates(imported) == [Fate.NARROWED]
    assert sudoers(spec([{"command": "/opt/x"}], hosts=[{"hostname": "web", "negated": True}])).rules == []


def test_sudoers_options_become_windows_and_limits() -> None:
    """Dates, time-outs and noexec."""
    options = [{"notafter": "20260201000000Z"}, {"command_timeout": 60}, {"noexec": True}, {"authenticate": False}]
    (rule,) = loaded(sudoers(spec([{"command": "/opt/x"}], Options=options))).rules

    assert dict(rule.then) == {"prompt": "credential", "children": "deny", "time_limit_seconds": 60}
    assert [condition.wants() for condition in rule.conditions if condition.key == "when"] == ["before 2026-02-01 00:00 UTC"]


def test_sudoedit_becomes_a_file_that_may_be_written() -> None:
    """Exactly that file."""
    policy = loaded(sudoers(spec([{"command": "sudoedit /etc/hosts"}])))

    assert isinstance(policy.decide(ask({"kind": "file.write", "path": "/etc/hosts"})), Allow)
    assert not isinstance(policy.decide(ask({"kind": "file.write", "path": "/etc/passwd"})), Allow)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"User_Specs": 3}', b"[" * 100_000])
def test_sudoers_that_is_none_is_one_error(data: bytes) -> None:
    """No traceback."""
    with pytest.raises(PolicyError):
        import_sudoers(data)


def applocker(rules: str, kind: str = "Exe") -> Imported:
    return import_applocker(
        f'<AppLockerPolicy><RuleCollection Type="{kind}">{rules}</RuleCollection></AppLockerPolicy>'.encode()
    )


def path_rule(path: str, action: str = "Allow", sid: str = "S-1-1-0", exceptions: str = "") -> str:
    conditions = f'<Conditions><FilePathCondition Path="{path}"/></Conditions>'
    more = f"<Exceptions>{exceptions}</Exceptions>" if exceptions else ""
    return f'<FilePathRule Id="i" Name="n" UserOrGroupSid="{sid}" Action="{action}">{conditions}{more}</FilePathRule>'


PROGRAM = "/C:/Program Files/x/y.exe"
HASH = '<FileHashCondition><FileHash Type="SHA256" Data="0x00"/></FileHashCondition>'


def test_applocker_paths_with_variables_and_exceptions() -> None:
    """A folder with what is below it; what is excepted is denied."""
    excepted = r'<FilePathCondition Path="%PROGRAMFILES%\x\*"/>'
    imported = applocker(path_rule(r"%PROGRAMFILES%\*"))

    assert run(imported, PROGRAM)
    assert not run(imported, "/C:/Windows/y.exe")
    assert not run(applocker(path_rule(r"%PROGRAMFILES%\*", exceptions=excepted)), PROGRAM)


def test_applocker_deny_wins_for_everybody_whom_it_could_mean() -> None:
    """A SID that may be a group's denies all."""
    imported = applocker(path_rule("*") + path_rule(r"C:\Program Files\x\*", "Deny", "S-1-5-21-1-2-3-500"))

    assert not run(imported, PROGRAM)
    assert run(imported, "/C:/Windows/y.exe")


@pytest.mark.parametrize("untold", [path_rule(r"*\evil.exe", "Deny"), path_rule("*", exceptions=HASH)])
def test_applocker_deny_that_no_rule_can_say_takes_back_every_grant(untold: str) -> None:
    """It could reach any of them."""
    imported = applocker(path_rule(r"C:\Tools\*") + untold)

    assert all(rule["effect"] == "deny" for rule in imported.rules)
    assert Fate.LEFT_OUT in fates(imported)


def test_applocker_publisher_with_product_and_versions() -> None:
    """Signer, product and version; a name of the binary or any publisher is left out."""
    condition = '<FilePublisherCondition PublisherName="O=CONTOSO" ProductName="NOTES" BinaryName="{}">'
    condition += '<BinaryVersionRange LowSection="1.2.0.0" HighSection="*"/></FilePublisherCondition>'
    rule = '<FilePublisherRule Name="n" UserOrGroupSid="S-1-5-32-544" Action="Allow"><Conditions>{}</Conditions>'
    rule += "</FilePublisherRule>"
    imported = applocker(rule.format(condition.format("*")), "Msi")
    task = {"kind": "package.install", "path": "/x.msi", "signer": "O=CONTOSO", "product": "NOTES"}

    decide = loaded(imported).decide
    assert isinstance(decide(ask({**task, "version": "1.2.0.1"}, groups=["Administrators"])), Allow)
    assert not isinstance(decide(ask({**task, "version": "1.1.9.0"}, groups=["Administrators"])), Allow)
    assert not isinstance(decide(ask({**task, "version": "1.3"}, groups=["Users"])), Allow)
    assert applocker(rule.format(condition.format("NOTES.EXE")), "Msi").rules == []


@pytest.mark.parametrize(
    "rule",
    [
        path_rule(r"%REMOVABLE%\*"),
        path_rule(r"C:\a*\b"),
        path_rule(r"C:\..\x"),
        path_rule("relative"),
        path_rule(r"%OSDRIVE%\%X%\y"),
        path_rule(r"C:\x", sid="S-1-5-32-999"),
        f'<FileHashRule Name="n" UserOrGroupSid="S-1-1-0" Action="Allow"><Conditions>{HASH}</Conditions></FileHashRule>',
    ],
)
def test_applocker_that_no_rule_can_say_is_left_out(rule: str) -> None:
    """Nothing is granted, and the reason is told."""
    imported = applocker(rule)

    assert imported.rules == []
    assert fates(imported) == [Fate.LEFT_OUT]


def test_applocker_other_collections_are_left_out() -> None:
    """Libraries and scripts are no tasks."""
    assert fates(applocker(path_rule("*"), "Dll")) == [Fate.LEFT_OUT]


SIPOLICY = """<SiPolicy xmlns="urn:schemas-microsoft-com:sipolicy"><Rules><Rule><Option>{option}</Option></Rule></Rules>
<FileRules>{rules}</FileRules>
<Signers><Signer ID="S1" Name="Root"><CertRoot Type="TBS" Value="00"/><CertPublisher Value="Contoso"/></Signer>
<Signer ID="S2" Name="Bare"><CertRoot Type="TBS" Value="00"/></Signer></Signers>
<SigningScenarios><SigningScenario Value="{scenario}"><ProductSigners>
<AllowedSigners><AllowedSigner SignerId="S1"/></AllowedSigners>{denied}
<FileRulesRef>{references}</FileRulesRef></ProductSigners></SigningScenario></SigningScenarios></SiPolicy>"""


def appcontrol(rules: str, *, option: str = "Enabled:UMCI", scenario: str = "12", denied: str = "") -> Imported:
    names = [part.split('"')[0] for part in rules.split('ID="')[1:]]
    references = "".join(f'<FileRuleRef RuleID="{name}"/>' for name in names)
    text = SIPOLICY.format(rules=rules, option=option, scenario=scenario, denied=denied, references=references)
    return import_appcontrol(text.encode())


ALLOWED = r'<Allow ID="A" FriendlyName="tools" FilePath="%OSDRIVE%\Program Files\*"/>'


def test_appcontrol_paths_are_taken_and_signers_are_not() -> None:
    """A signer is pinned to a root certificate there."""
    imported = appcontrol(ALLOWED)

    assert run(imported, PROGRAM)
    assert not run(imported, PROGRAM, task={"writable": True})
    assert [note.fate for note in imported.notes if "signer" in note.source] == [Fate.LEFT_OUT]


def test_appcontrol_denied_paths_and_signers_deny() -> None:
    """By path, and by the signer's name under any root."""
    denied = '<DeniedSigners><DeniedSigner SignerId="S1"/></DeniedSigners>'
    rules = r'<Allow ID="B" FilePath="C:\Tools\*"/><Deny ID="D" FilePath="C:\Program Files\x\*" MinimumFileVersion="1"/>'
    imported = appcontrol(ALLOWED + rules, denied=denied)

    assert not run(imported, PROGRAM)
    assert run(imported, "/C:/Tools/y.exe")
    assert not run(imported, "/C:/Tools/y.exe", task={"signer": "Contoso"})


@pytest.mark.parametrize(
    "more",
    [
        {"option": "Enabled:Audit Mode"},
        {"denied": '<DeniedSigners><DeniedSigner SignerId="S2"/></DeniedSigners>'},
        {"scenario": "131"},
    ],
)
def test_appcontrol_that_decides_otherwise_grants_nothing(more: dict[str, str]) -> None:
    """Not about programs, a denied signer without a name, or drivers."""
    assert appcontrol(ALLOWED, **more).rules == []


@pytest.mark.parametrize(
    "deny", ['<Deny ID="D" Hash="00"/>', '<Deny ID="D" FileName="x.exe"/>', r'<Deny ID="D" FilePath="*\x.exe"/>']
)
def test_appcontrol_deny_that_no_rule_can_say_takes_back_every_grant(deny: str) -> None:
    """It could reach any of them."""
    assert appcontrol(ALLOWED + deny).rules == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a/>",
        b"<AppLockerPolicy",
        b'<!DOCTYPE a [<!ENTITY b "c">]><AppLockerPolicy/>',
        "<!DOCTYPE a []><AppLockerPolicy/>".encode("utf-16"),
        b"\xff\xfe",
        b"x" * 17_000_000,
        b'<?xml version="1.0" encoding="odd"?><AppLockerPolicy/>',
    ],
    ids=["empty", "other", "cut", "entity", "utf16", "binary", "long", "encoding"],
)
def test_xml_that_is_none_is_one_error(data: bytes) -> None:
    """No traceback, no entities."""
    with pytest.raises(PolicyError):
        import_applocker(data)
    with pytest.raises(PolicyError):
        import_appcontrol(data)


def test_imported_file_tells_what_stayed_behind() -> None:
    """As comments on top of the rules."""
    imported = sudoers(spec([{"command": "/opt/"}, {"command": "/opt/x"}]))

    assert imported.toml().startswith("format = 1\n# left out: alice ALL = /opt/: ")
    assert imported.notes[0].json() == {
        "fate": "left out",
        "source": "alice ALL = /opt/",
        "why": "a folder, a list or a name is no program",
    }


def test_sudoers_digests_and_names_that_differ() -> None:
    """A SHA-256 pins; another digest is left out; a link with another name keeps its own."""
    pinned = sudoers(spec([{"command": "/opt/x", "sha256": "a" * 64}]))
    links = {"/opt/x": "/opt/other", "/bin/y": "/usr/bin/y"}
    text = json.dumps({"User_Specs": [spec([{"command": "/opt/x"}, {"command": "/bin/y"}])]}).encode()
    resolved = import_sudoers(text, resolve=lambda path: links.get(path, path))

    assert run(pinned, "/opt/x", task={"sha256": "a" * 64})
    assert not run(pinned, "/opt/x", task={"sha256": "b" * 64})
    assert fates(sudoers(spec([{"command": "/opt/x", "sha512": "a" * 128}]))) == [Fate.LEFT_OUT]
    assert run(resolved, "/opt/x")
    assert not run(resolved, "/opt/other")
    assert run(resolved, "/usr/bin/y")


@pytest.mark.parametrize(
    ("command", "denied"),
    [
        ("ALL", [("process.run", "/opt/x"), ("file.write", "/etc/hosts")]),
        ("sudoedit /etc/hosts", [("file.write", "/etc/hosts")]),
        ("sudoedit /etc/*", [("file.write", "/etc/hosts")]),
        ("/usr/bin/../bin/su", [("process.run", "/opt/x")]),
        ("/usr/bin/su", [("process.run", "/bin/su")]),
        ("/usr/bin/", [("process.run", "/usr/bin/su"), ("process.run", "/bin/su")]),
    ],
)
def test_sudoers_negations_reach_every_name_of_a_file(command: str, denied: list[tuple[str, str]]) -> None:
    """What could be the same file, or can't be told, is denied."""
    everything: Members = [{"command": "ALL"}, {"command": "sudoedit /etc/hosts"}, {"command": command, "negated": True}]
    policy = loaded(sudoers(spec(everything)))

    for kind, path in denied:
        assert policy.decide(ask({"kind": kind, "path": path})).rules != ()
        assert not isinstance(policy.decide(ask({"kind": kind, "path": path})), Allow)


def test_sudoers_negation_for_another_target_says_nothing_of_root() -> None:
    """It would not have been asked."""
    imported = sudoers(
        spec([{"command": "/opt/x"}]),
        spec([{"command": "/opt/x", "negated": True}], runasusers=[{"username": "games"}]),
    )

    assert run(imported, "/opt/x")
    assert fates(imported) == [Fate.TRANSLATED, Fate.NARROWED]
    edits = sudoers(spec([{"command": "sudoedit /etc/hosts", "negated": True}], runasusers=[{"username": "games"}]))
    assert (edits.rules, fates(edits)) == ([], [Fate.TRANSLATED])


def test_sudoers_for_nobody_but_all_denies() -> None:
    """``alice, !ALL`` grants nothing."""
    users: Members = [{"username": "alice"}, {"username": "ALL", "negated": True}]

    assert not run(sudoers(spec([{"command": "/opt/x"}], users)), "/opt/x")


def test_the_same_rule_twice_is_imported_once() -> None:
    """A file that repeats itself does not."""
    assert len(sudoers(spec([{"command": "/opt/x"}]), spec([{"command": "/opt/x"}])).rules) == 1


def test_applocker_person_and_publisher_denies() -> None:
    """A SID is one person's; a deny leaves product and version away; any publisher is anything."""
    person = applocker(path_rule("*", sid="S-1-5-21-1-2-3-1001"))
    publisher = '<FilePublisherRule Name="n" UserOrGroupSid="S-1-1-0" Action="Deny"><Conditions>'
    publisher += '<FilePublisherCondition PublisherName="{}" ProductName="P" BinaryName="B"/></Conditions></FilePublisherRule>'
    one, every = (applocker(path_rule("*") + publisher.format(name)) for name in ("C", "*"))

    assert run(person, PROGRAM, sid="S-1-5-21-1-2-3-1001")
    assert not run(person, PROGRAM, sid="S-1-5-21-1-2-3-1002")
    assert not run(one, PROGRAM, task={"signer": "C"})
    assert run(one, PROGRAM, task={"signer": "D"})
    assert not run(every, PROGRAM)


def test_applocker_publisher_without_product_is_the_signer_alone() -> None:
    """A star is no condition."""
    rule = '<FilePublisherRule Name="n" UserOrGroupSid="S-1-1-0" Action="Allow"><Conditions>'
    rule += '<FilePublisherCondition PublisherName="C"/></Conditions></FilePublisherRule>'

    assert run(applocker(rule), PROGRAM, task={"signer": "C"})
    assert not run(applocker(rule), PROGRAM, task={"signer": "unsigned"})


def test_appcontrol_tells_of_what_it_does_not_take() -> None:
    """A reference to nothing, and a grant by hash."""
    imported = appcontrol('<Allow ID="H" Hash="00"/>')
    missing = SIPOLICY.format(
        rules="", option="Enabled:UMCI", scenario="12", denied="", references='<FileRuleRef RuleID="NONE"/>'
    )

    assert [note.source for note in imported.notes] == ["allowed signer Root", "Allow H"]
    assert [note.source for note in import_appcontrol(missing.encode()).notes] == ["allowed signer Root", "NONE"]
