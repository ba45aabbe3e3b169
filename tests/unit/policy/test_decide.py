"""What is decided: which rules match, which of them win, and what several together demand."""

import pytest

from elevate.model import Allow, Deny, Outcome
from elevate.policy import Settings, Source, given, load, missing_tickets, narrowest, purpose, question, unkept
from tests.unit.policy.build import ask, policy, rule, run

APT = rule("apt", task='{ kind = "process.run", path = "/usr/bin/apt" }')
SHA = "ab" * 32


def test_no_rule_is_a_deny() -> None:
    """Nothing that matches means no."""
    decision = policy("").decide(run())

    assert decision == Deny(rules=(), message="no rule allows this task")


def test_allow_names_the_rule_and_asks_for_a_credential() -> None:
    """An allow with no prompt asks for a gesture."""
    decision = policy(APT).decide(run())

    assert isinstance(decision, Allow)
    assert (decision.outcome, decision.rules) == (Outcome.CREDENTIAL, ("apt",))


def test_deny_wins_over_the_most_specific_allow() -> None:
    """A broad deny beats an allow by content."""
    text = rule("exact", task=f'{{ kind = "process.run", sha256 = "{SHA}" }}') + rule(
        "none", "deny", task='{ kind = "process.run" }', message='"not today"'
    )

    assert policy(text).decide(run(sha256=SHA)) == Deny(rules=("none",), message="not today")


def test_most_specific_selector_wins() -> None:
    """By content is more specific than by path: the laxer outcome of the more specific rule counts."""
    text = APT + rule("exact", task=f'{{ kind = "process.run", sha256 = "{SHA}" }}', then='{ prompt = "consent" }')

    decision = policy(text).decide(run(sha256=SHA))

    assert isinstance(decision, Allow)
    assert (decision.outcome, decision.rules) == (Outcome.CONSENT, ("exact",))


def test_named_people_are_more_specific_than_groups() -> None:
    """With the same selector, who decides."""
    text = (
        rule("group", who='{ group = "developers" }', task='{ kind = "process.run" }', then='{ prompt = "approval" }')
        + rule("person", who='{ user = "alice" }', task='{ kind = "process.run" }')
        + rule("anyone", task='{ kind = "process.run" }', then='{ prompt = "consent" }')
    )

    assert policy(text).decide(run()).rules == ("person",)


def test_equals_merge_to_the_strictest() -> None:
    """Of two equal allows each obligation is the stricter one."""
    text = rule(
        "a",
        task='{ kind = "process.run" }',
        then='{ prompt = "consent", token_seconds = 60, env = ["A", "B"], network = true }',
    ) + rule("b", task='{ kind = "process.run" }', then='{ token_seconds = 20, env = ["B"], network = false }')

    decision = policy(text).decide(run())

    assert isinstance(decision, Allow)
    assert decision.outcome is Outcome.CREDENTIAL
    assert decision.obligations.token_seconds == 20
    assert decision.obligations.env == ("B",)
    assert decision.obligations.extra == (("network", False),)


def test_require_raises_the_floor_and_grants_nothing() -> None:
    """A require alone is a deny; with an allow it makes it stricter."""
    floor = rule("floor", "require", task="{}", then='{ gesture = "hardware", ticket = "INC-####" }')

    assert policy(floor).decide(run()) == Deny(rules=(), message="no rule allows this task")
    decision = policy(floor + APT).decide(run())
    assert isinstance(decision, Allow)
    assert decision.rules == ("apt", "floor")
    assert decision.obligations.min_strength == "hardware"
    assert decision.obligations.reason_required
    assert dict(decision.obligations.extra)["ticket"] == ("INC-####",)


def test_gesture_floor_turns_consent_into_credential() -> None:
    """Agreeing alone shows no gesture."""
    text = rule("soft", task='{ kind = "process.run" }', then='{ prompt = "consent", gesture = "pin" }')

    decision = policy(text).decide(run())

    assert isinstance(decision, Allow)
    assert decision.outcome is Outcome.CREDENTIAL


def test_path_counts_only_where_the_requester_can_not_write() -> None:
    """A path says nothing of a file that the requester can change; content does."""
    by_content = rule("exact", task=f'{{ kind = "process.run", sha256 = "{SHA}" }}')

    assert policy(APT).decide(run(writable=True)).rules == ()
    assert policy(APT).decide(run(writable="undetermined")).rules == ()
    assert policy(by_content).decide(run(sha256=SHA, writable=True)).rules == ("exact",)


@pytest.mark.parametrize("name", ["signer", "sha256"])
def test_undetermined_helps_no_allow_and_stops_no_deny(name: str) -> None:
    """A dead inspector means no."""
    value = "Contoso" if name == "signer" else SHA
    allow = rule("yes", task=f'{{ kind = "process.run", {name} = "{value}" }}')
    deny = rule("no", "deny", task=f'{{ kind = "process.run", {name} = "{value}" }}')
    question = run(**{name: "undetermined"})

    assert policy(allow).decide(question).rules == ()
    assert policy(APT + deny).decide(question).rules == ("no",)
    assert policy(APT + deny).decide(run()).rules == ("apt",)


def test_unsigned_is_a_value() -> None:
    """A rule can name what has no signer."""
    deny = rule("no", "deny", task='{ kind = "process.run", signer = "unsigned" }')

    assert policy(APT + deny).decide(run(signer="unsigned")).rules == ("no",)
    assert policy(APT + deny).decide(run(signer="Contoso")).rules == ("apt",)


def test_signer_with_product_and_version_is_more_specific_than_signer() -> None:
    """The release wins over the publisher; outside its versions the publisher's rule is left."""
    text = rule("publisher", task='{ kind = "package.install", signer = "Contoso" }') + rule(
        "release",
        task='{ kind = "package.install", signer = "Contoso", product = "Notes", version = ">=1.2, <2" }',
        then='{ prompt = "consent" }',
    )
    task = {"kind": "package.install", "path": "/x.deb", "signer": "Contoso", "product": "Notes"}

    assert policy(text).decide(ask({**task, "version": "1.3"})).rules == ("release",)
    assert policy(text).decide(ask({**task, "version": "2.0"})).rules == ("publisher",)


def test_directory_covers_what_is_below_and_not_what_begins_alike() -> None:
    """``/srv/packages`` is not ``/srv/packages-old``; ``/`` is everything."""
    text = rule("below", task='{ kind = "package.install", directory = "/srv/packages" }')

    assert policy(text).decide(ask({"kind": "package.install", "path": "/srv/packages/a/b.deb"})).rules == ("below",)
    assert policy(text).decide(ask({"kind": "package.install", "path": "/srv/packages-old/b.deb"})).rules == ()
    assert policy(text).decide(ask({"kind": "package.install", "path": "/srv/packages"})).rules == ()
    everywhere = rule("all", task='{ kind = "package.install", directory = "/" }')
    assert policy(everywhere).decide(ask({"kind": "package.install", "path": "/b.deb"})).rules == ("all",)


def test_env_additions_must_be_permitted() -> None:
    """A name that the rule does not list does not pass."""
    text = rule("env", task='{ kind = "process.run" }', then='{ env = ["LANG"] }')

    assert policy(text).decide(run(env={"LANG": "C"})).rules == ("env",)
    assert policy(text).decide(run(env={"LD_PRELOAD": "x"})).rules == ()


def test_service_identity_needs_no_person_until_a_require_asks_for_one() -> None:
    """A floor of a gesture is never met by a program."""
    text = rule(
        "ci",
        who='{ service = "ci" }',
        task='{ kind = "process.run", path = "/bin/x", arguments = [] }',
        then='{ prompt = "service" }',
    )
    floor = rule("floor", "require", task="{}", then='{ gesture = "pin" }')
    asked = ask({"kind": "process.run", "path": "/bin/x"}, service="ci")
    settings = Settings(services=frozenset({"ci"}))

    decision = policy(text, settings=settings).decide(asked)
    strict = policy(text, floor, settings=settings).decide(asked)

    assert isinstance(decision, Allow)
    assert isinstance(strict, Allow)
    assert (decision.outcome, strict.outcome) == (Outcome.SERVICE, Outcome.CREDENTIAL)


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("2026-01-05T07:59:59Z", False),
        ("2026-01-05T08:00:00Z", True),
        ("2026-01-05T17:59:59Z", True),
        ("2026-01-05T18:00:00Z", False),
        ("2026-01-10T12:00:00Z", False),
    ],
)
def test_time_window_is_half_open(at: str, *, allowed: bool) -> None:
    """From ``start`` on, before ``end``, on the days named."""
    text = rule(
        "hours", task='{ kind = "process.run" }', when='{ days = ["mon", "fri"], start = "08:00", end = "18:00", zone = "UTC" }'
    )

    decision = policy(text).decide(ask({"kind": "process.run", "path": "/x"}, at=at))

    assert isinstance(decision, Allow) is allowed


@pytest.mark.parametrize(
    ("at", "allowed"), [("2026-01-05T23:00:00Z", True), ("2026-01-06T03:00:00Z", True), ("2026-01-05T03:00:00Z", False)]
)
def test_window_over_midnight_belongs_to_the_day_it_begins(at: str, *, allowed: bool) -> None:
    """Monday's night ends on Tuesday morning."""
    text = rule("night", task='{ kind = "process.run" }', when='{ days = ["mon"], start = "22:00", end = "06:00" }')

    assert isinstance(policy(text).decide(ask({"kind": "process.run", "path": "/x"}, at=at)), Allow) is allowed


def test_dates_bound_a_rule() -> None:
    """``not_after`` is exclusive."""
    text = rule("dates", task="{}", when='{ not_before = "2026-01-01", not_after = "2026-02-01T00:00:00Z" }')
    task: dict[str, object] = {"kind": "process.run", "path": "/x"}

    assert policy(text).decide(ask(task, at="2026-01-31T23:59:59Z")).rules == ("dates",)
    assert policy(text).decide(ask(task, at="2026-02-01T00:00:00Z")).rules == ()
    assert policy(text).decide(ask(task, at="2025-12-31T23:59:59Z")).rules == ()


def test_digest_follows_content_and_not_order() -> None:
    """The same files give the same digest in any order; one byte more gives another."""
    assert policy(APT).digest == policy(APT).digest
    assert policy(APT).digest != policy(APT + "\n").digest
    assert policy(APT).digest != policy(APT, settings=Settings(ap_mode=False)).digest
    assert len(policy(APT).digest) == 64


def test_service_of_finds_the_pinned_program_only() -> None:
    """Uid and executable must both be as listed, and the content where it is pinned."""
    text = f'[[service]]\nname = "ci"\nuid = 990\nexecutable = "/opt/ci"\nsha256 = "{SHA}"\n'

    assert policy(text).service_of(uid=990, executable="/opt/ci", sha256=SHA) == "ci"
    assert policy(text).service_of(uid=990, executable="/opt/ci") == ""
    assert policy(text).service_of(uid=991, executable="/opt/ci", sha256=SHA) == ""
    assert policy(text).service_of(uid=990, executable="/tmp/ci", sha256=SHA) == ""


@pytest.mark.parametrize(
    ("pattern", "reason", "met"),
    [
        ("INC-####", "INC-4711", True),
        ("INC-####", "see INC-4711, urgent", True),
        ("INC-####", "(INC-4711)", True),
        ("INC-####", "INC-471", False),
        ("INC-####", "XINC-4711", False),
        ("INC-####", "inc-4711", False),
        ("CHG-*", "CHG-7a", True),
        ("CHG-*", "CHG-", False),
        ("A.B-#", "AxB-1", False),
        ("*-#", "x" * 100 + "-1", False),
    ],
)
def test_ticket_is_a_word_of_the_reason(pattern: str, reason: str, *, met: bool) -> None:
    """``#`` is a digit, ``*`` letters and digits, all else stands for itself."""
    text = rule("t", task='{ kind = "process.run" }', then=f'{{ ticket = "{pattern}" }}')
    decision = policy(text).decide(run())

    assert isinstance(decision, Allow)
    assert missing_tickets(decision.obligations, reason) == (() if met else (pattern,))


def test_restrictions_are_what_a_machine_must_keep() -> None:
    """Who can't keep one must refuse; grants are none."""
    text = rule(
        "r",
        task='{ kind = "process.run" }',
        then='{ network = false, read_only = "/a", interactive = true, identity = "account" }',
    )
    decision = policy(text).decide(run())

    assert isinstance(decision, Allow)
    assert unkept(decision.obligations, frozenset()) == ("network", "read_only")
    assert unkept(decision.obligations, frozenset({"network"})) == ("read_only",)
    assert unkept(decision.obligations, frozenset({"network", "read_only"})) == ()


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ('["/srv", "/etc/x"]', '"/srv/app"', ("/srv/app",)),
        ('"/srv/app"', '["/srv/app", "/srv/apple"]', ("/srv/app",)),
        ('["/srv/a", "/srv/b"]', '["/srv", "/srv/b/c"]', ("/srv/a", "/srv/b")),
        ('"/srv"', '"/etc"', ("-",)),
        ('"/"', '"/etc"', ("/etc",)),
    ],
)
def test_only_what_every_list_of_writable_places_holds_can_be_written(one: str, other: str, both: tuple[str, ...]) -> None:
    """A folder holds all below it; with nothing in common nothing can be written, which is not the same as no list."""
    for first, second in ((one, other), (other, one)):
        text = rule("a", task="{}", then=f"{{ writable = {first} }}")
        text += rule("r", "require", task="{}", then=f"{{ writable = {second} }}")
        decision = policy(text).decide(run())

        assert isinstance(decision, Allow)
        assert dict(decision.obligations.extra)["writable"] == both


def test_a_list_that_a_capability_undoes_is_kept_by_nobody() -> None:
    """Whoever may mount, or open files by handle, writes where the list says no; other capabilities do not."""
    for capability, kept in (("CAP_SYS_ADMIN", False), ("CAP_DAC_READ_SEARCH", False), ("CAP_CHOWN", True)):
        text = rule("r", task="{}", then=f'{{ writable = "/a", capabilities = "{capability}" }}')
        decision = policy(text).decide(run())

        assert isinstance(decision, Allow)
        missing = () if kept else (f"writable with {capability}",)
        assert unkept(decision.obligations, frozenset({"writable"})) == missing


def test_age_of_the_gesture_bounds_the_token() -> None:
    """A token that lives no longer than the gesture may be old keeps the demand."""
    decision = policy(rule("r", task="{}", then="{ gesture_age_seconds = 5 }")).decide(run())

    assert isinstance(decision, Allow)
    assert decision.obligations.token_seconds == 5


@pytest.mark.parametrize(
    ("selector", "task", "other"),
    [
        ('{ kind = "package.remove", package = "notes" }', {"package": "notes"}, {"package": "vim"}),
        (
            r"{ kind = 'setting.change', setting = 'HKLM\software\x\y' }",
            {"setting": r"HKLM\software\x\y"},
            {"setting": r"HKLM\software\x\z"},
        ),
    ],
)
def test_kinds_without_a_file(selector: str, task: dict[str, object], other: dict[str, object]) -> None:
    """By the package's or the setting's name; more specific than any; recorded and asked again the same."""
    kind = "package.remove" if "package" in task else "setting.change"
    loaded = policy(rule("named", task=selector) + rule("any", task=f'{{ kind = "{kind}" }}'))

    assert loaded.decide(ask({"kind": kind, **task})).rules == ("named",)
    assert loaded.decide(ask({"kind": kind, **other})).rules == ("any",)
    again = question(given(ask({"kind": kind, **task})))
    assert loaded.decide(again).rules == ("named",)
    narrow = load([Source(name="n.toml", data=narrowest(again).encode())])
    assert narrow.decide(again).rules != ()
    assert narrow.decide(ask({"kind": kind, **other})).rules == ()


@pytest.mark.parametrize(
    ("effect", "task", "said"),
    [
        ("deny", "{}", "any task"),
        (
            "allow",
            '{ kind = "service.control", service = "nginx", action = "reload" }',
            "service.control, service nginx, action reload",
        ),
        ("allow", '{ kind = "process.run", directory = "/usr" }', "process.run, a file below /usr"),
        (
            "allow",
            '{ kind = "process.run", path = "/usr/bin/id", run_as = "nobody" }',
            "process.run, path /usr/bin/id, run_as nobody",
        ),
    ],
)
def test_a_rule_says_what_it_is_for(effect: str, task: str, said: str) -> None:
    """As its table does, and nothing that follows from what is not there."""
    (found,) = policy(rule("one", effect, task=task)).rules
    assert purpose(found) == said
