"""From observations to findings, without Wine."""

from dataclasses import replace
from pathlib import Path

import pytest

from elevate.host.windows.authenticode import Signed, Verdict
from elevate.host.windows.detect import Judged, Level, Traits
from elevate.host.windows.reading import Examined
from elevate.lab.findings import KINDS, MAX_EVIDENCE, finding
from elevate.lab.judging import judge
from elevate.lab.observing import Observation, Run
from elevate.lab.state import Change
from elevate.lab.trace import Started
from elevate.lab.wine import ADMIN, USER
from elevate.resources import shipped

GOOD = Examined(
    traits=Traits(kind="pe", bits=64, level=Level.ADMIN),
    judged=Judged(installer=True, reason="name"),
    signed=Signed(verdict=Verdict.SIGNED, publisher="Contoso Ltd"),
)
MACHINE = (Change(place=r"C:\Program Files\Notes\notes.exe", how="created"),)


def ran(user: str, *own: Change, machine: tuple[Change, ...] = MACHINE, status: int | None = 0, **members: object) -> Run:
    rest = {"caller": (), "started": ()} | members
    return Run(user=user, exit_status=status, own=own, machine=machine, **rest)  # type: ignore[arg-type] # a test's shorthand


def seen(**members: object) -> Observation:
    base = Observation(examined=GOOD, before=ran(USER), protected=ran(ADMIN), uninstall=ran(ADMIN, machine=()))
    return replace(base, **members)  # type: ignore[arg-type] # a test's shorthand


def ids(observation: Observation) -> list[str]:
    return [one.kind.id for one in judge(observation)]


def created(place: str, data: str = "") -> Change:
    return Change(place=place, how="created", data=data)


def test_nothing_wrong_is_nothing_found() -> None:
    assert ids(seen()) == []


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("HKCU\\Software\\Contoso\\\\Theme", "user-registry"),
        ("HKCU\\Environment\\\\NOTES", "user-environment"),
        ("HKCU\\Software\\Classes\\.note\\\\@", "user-associations"),
        ("HKCU\\Software\\Classes\\CLSID\\{1}\\\\@", "user-com"),
        ("HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\RunOnce\\\\Notes", "user-autostart"),
        ("HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Notes\\\\DisplayName", "user-uninstall-entry"),
        (rf"C:\users\{ADMIN}\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\a.lnk", "user-autostart"),
        (rf"C:\users\{ADMIN}\Desktop\Notes.lnk", "user-shortcuts"),
        (rf"C:\users\{ADMIN}\AppData\Local\notes.ini", "user-files"),
    ],
)
def test_34_what_lands_in_the_hidden_account_is_told_by_its_place(place: str, kind: str) -> None:
    """Each place counts once, for the most telling kind."""
    own = ran(USER, created(place.replace(ADMIN, USER)))

    assert ids(seen(before=own, protected=ran(ADMIN, created(place)))) == [kind]


def test_an_empty_key_is_nothing_that_a_user_misses() -> None:
    assert ids(seen(before=ran(USER, created("HKCU\\A\\\\")), protected=ran(ADMIN, created("HKCU\\A\\\\")))) == []


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict.UNSIGNED, "unsigned"),
        (Verdict.TAMPERED, "signature-broken"),
        (Verdict.APPENDED, "signature-broken"),
        (Verdict.UNTRUSTED, "signer-untrusted"),
        (Verdict.EXPIRED, "signer-untrusted"),
        (Verdict.UNFIT, "signer-untrusted"),
    ],
)
def test_each_verdict_has_its_finding(verdict: Verdict, kind: str) -> None:
    assert ids(seen(examined=replace(GOOD, signed=Signed(verdict=verdict)))) == [kind]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (None, ["manifest-missing"]),
        (Level.HIGHEST, ["manifest-highest"]),
        (Level.INVOKER, ["manifest-not-admin"]),
        (Level.ADMIN, []),
    ],
)
def test_30_each_level_has_its_finding(level: Level | None, expected: list[str]) -> None:
    traits = Traits(kind="pe", bits=64, level=level)

    assert ids(seen(examined=replace(GOOD, traits=traits))) == expected


def test_as_invoker_for_the_user_alone_is_right() -> None:
    """It needs no elevation where it writes nothing for the machine."""
    traits = Traits(kind="pe", bits=64, level=Level.INVOKER)
    nothing = ran(USER, machine=()), ran(ADMIN, machine=())

    assert ids(seen(examined=replace(GOOD, traits=traits), before=nothing[0], protected=nothing[1])) == []


def test_what_only_one_thing_gives_back_is_its_fault() -> None:
    """With the drive it is there again, with the environment it is not: the drive. With both: different in every run."""
    license_, random = created(r"C:\ProgramData\license"), created(r"C:\ProgramData\random", "1")
    before = ran(USER, machine=(license_, random))
    again = ran(ADMIN, machine=(license_, random))
    observation = seen(before=before, protected=ran(ADMIN, machine=()), uninstall=None)

    only_drive = replace(observation, drives=again, environment=ran(ADMIN, machine=(random,)))

    assert [(one.kind.id, one.evidence) for one in judge(only_drive)] == [("mapped-drive", (r"C:\ProgramData\license",))]


def test_lost_is_lost_when_nothing_gives_it_back() -> None:
    protected = ran(ADMIN, machine=())
    observation = seen(before=ran(USER), protected=protected, drives=protected, environment=protected, uninstall=None)

    assert ids(observation) == ["lost-write"]


def test_a_value_with_the_account_s_own_name_is_no_difference() -> None:
    """Each in its own profile is what protection is; naming the hidden account for all is not."""
    before = ran(USER, machine=(created("HKLM\\Software\\A\\\\Dir", rf"C:\users\{USER}\x"),))
    protected = ran(ADMIN, machine=(created("HKLM\\Software\\A\\\\Dir", rf"C:\users\{ADMIN}\x"),))

    assert ids(seen(before=before, protected=protected)) == ["machine-names-admin"]


def test_what_is_removed_is_nothing_that_lands_anywhere() -> None:
    """An installer may clean up; only what it writes is judged."""
    gone = Change(place="HKCU\\Software\\Contoso\\\\Old", how="removed")

    assert ids(seen(before=ran(USER, gone), protected=ran(ADMIN, gone))) == []


@pytest.mark.parametrize("status", [None, 1])
def test_a_failing_uninstaller_is_found(status: int | None) -> None:
    assert ids(seen(uninstall=ran(ADMIN, status=status))) == ["uninstall-fails"]


def test_the_moniker_is_found_where_it_is_written() -> None:
    """The COM elevation moniker in a value is as good as a start."""
    started = (Started(program="x.exe", command="x.exe Elevation:Administrator!new:{1}"),)

    assert ids(seen(protected=ran(ADMIN, started=started))) == ["auto-elevation"]


def test_evidence_is_bounded_and_the_rest_is_counted() -> None:
    (one,) = finding("user-files", [str(number) for number in range(50)] + ["0"])

    assert (len(one.evidence), one.more) == (MAX_EVIDENCE, 30)


def test_there_are_over_twelve_kinds_and_each_says_what_to_do() -> None:
    assert len(KINDS) > 12
    assert all(kind.id == name and kind.advice.endswith(".") for name, kind in KINDS.items())


def test_every_kind_is_planted_in_a_real_installer() -> None:
    """tests/lab builds a bad installer for each, and says by its id that it is found."""
    planted = (Path(__file__).parents[2] / "lab" / "test_lab.py").read_text()

    assert [name for name in KINDS if f'"{name}"' not in planted] == []


def test_the_reference_names_every_kind() -> None:
    """docs/installers.md is for people what `KINDS` is for the lab."""
    text = shipped("docs/installers.md").read_text()

    for kind in KINDS.values():
        assert f"| `{kind.id}` | {kind.severity} | {kind.title} | {kind.advice} |" in text
