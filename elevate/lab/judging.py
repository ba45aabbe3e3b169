r"""From what was observed to findings. Pure.

Each judge looks at one thing and gives the findings that it makes. What a change is, is told by its place: a place counts once,
for the most telling kind.
"""

import re
from collections.abc import Callable, Iterable

from elevate.host.windows.authenticode import Verdict
from elevate.host.windows.detect import Level
from elevate.lab.findings import Finding, finding
from elevate.lab.hive import split
from elevate.lab.observing import Observation, Run, installers_own, neutral, normal
from elevate.lab.state import Change

_USER_PLACES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("user-com", re.compile(r"hkcu\\software\\classes\\(wow6432node\\)?(clsid|interface|typelib|appid)\\")),
    ("user-associations", re.compile(r"hkcu\\software\\classes\\")),
    (
        "user-autostart",
        re.compile(
            r"hkcu\\software\\(wow6432node\\)?microsoft\\windows\\currentversion\\run(once)?\\"
            r"|.*\\start menu\\programs\\startup\\"
        ),
    ),
    ("user-environment", re.compile(r"hkcu\\environment\\")),
    (
        "user-uninstall-entry",
        re.compile(r"hkcu\\software\\(wow6432node\\)?microsoft\\(windows\\currentversion\\uninstall|installer)\\"),
    ),
    ("user-registry", re.compile(r"hkcu\\")),
    ("user-shortcuts", re.compile(r"c:\\users\\[^\\]+\\.*\.(lnk|url)$")),
    ("user-files", re.compile(r"c:\\users\\")),
)
_MSI_OF_USER = re.compile(r"hklm\\software\\microsoft\\windows\\currentversion\\installer\\userdata\\s-1-5-21-", re.IGNORECASE)
_SERVICE = re.compile(r"hklm\\system\\(currentcontrolset|controlset\d+)\\services\\", re.IGNORECASE)
_PROFILE = re.compile(r"[A-Za-z]:\\users\\(?!public\\)|%(userprofile|appdata|localappdata)%", re.IGNORECASE)
_MONIKER = "elevation:administrator!new:"
AUTO_ELEVATING = frozenset(
    {
        "changepk.exe",
        "cmstp.exe",
        "computerdefaults.exe",
        "dccw.exe",
        "eventvwr.exe",
        "fodhelper.exe",
        "fxsunatd.exe",
        "multidigimon.exe",
        "sdclt.exe",
        "slui.exe",
        "sysprep.exe",
        "systempropertiesadvanced.exe",
        "wsreset.exe",
    }
)
"""Programs of Windows that elevated without a prompt before, and do not any more."""


def judge(seen: Observation) -> tuple[Finding, ...]:
    """Give all findings, errors first."""
    judges: tuple[Callable[[Observation], list[Finding]], ...] = (
        _manifest,
        _signature,
        _own_profile,
        _machine,
        _starts,
        _differences,
        _uninstall,
    )
    found = [one for judge_one in judges for one in judge_one(seen)]
    return tuple(sorted(found, key=lambda one: (one.kind.severity.value != "error", one.kind.id)))


def _manifest(seen: Observation) -> list[Finding]:
    traits = seen.examined.traits
    if traits.kind != "pe":
        return []
    writes = [_place(change.place) for change in _written(seen.before.machine)]
    found: list[Finding] = []
    match traits.level:
        case None:
            how = "Windows would guess" if seen.examined.judged.guessed else "Windows would not even guess"
            found = finding("manifest-missing", [f"no requestedExecutionLevel; {how} that it is an installer"])
        case Level.HIGHEST:
            found = finding("manifest-highest", ["requestedExecutionLevel highestAvailable"])
        case Level.INVOKER if writes:
            found = finding("manifest-not-admin", ["requestedExecutionLevel asInvoker", *writes])
        case _:
            pass
    return found + finding("ui-access", ["uiAccess true"] if traits.ui_access else [])


def _signature(seen: Observation) -> list[Finding]:
    signed = seen.examined.signed
    who = f"signed by {signed.publisher}: " if signed.publisher else ""
    match signed.verdict:
        case Verdict.SIGNED:
            return []
        case Verdict.UNSIGNED:
            return finding("unsigned", ["no signature"])
        case Verdict.TAMPERED | Verdict.APPENDED:
            return finding("signature-broken", [f"{who}{signed.verdict}"])
        case Verdict.UNTRUSTED | Verdict.EXPIRED | Verdict.UNFIT:
            return finding("signer-untrusted", [f"{who}{signed.verdict}"])


def _own_profile(seen: Observation) -> list[Finding]:
    sorted_out: dict[str, list[str]] = {}
    for change in _written(seen.protected.own):
        name = next(name for name, pattern in _USER_PLACES if pattern.match(change.place.lower()))
        sorted_out.setdefault(name, []).append(_shown(change))
    per_user = [_shown(change) for change in _written(seen.protected.machine) if _MSI_OF_USER.match(change.place)]
    sorted_out.setdefault("user-uninstall-entry", []).extend(per_user)
    return [one for name, lines in sorted_out.items() for one in finding(name, lines)]


def _machine(seen: Observation) -> list[Finding]:
    run = seen.protected
    services = [
        change for change in run.machine if _SERVICE.match(change.place) and split(change.place)[1].lower() == "imagepath"
    ]
    in_profile = [change for change in services if _PROFILE.search(change.data)]
    naming = [
        change
        for change in _written(run.machine)
        # Windows Installer's own books of a user's package are told as that.
        if change not in in_profile and run.user.lower() in change.data.lower() and not _MSI_OF_USER.match(change.place)
    ]
    return [
        *finding("service-in-profile", [_shown(change) for change in in_profile]),
        *finding("machine-names-admin", [_shown(change) for change in naming]),
        *finding("caller-profile", [_shown(change) for change in _written(run.caller)]),
    ]


def _starts(seen: Observation) -> list[Finding]:
    run = seen.protected
    made = {change.place.lower() for change in run.machine if change.place.lower().startswith("c:\\program files")}
    again = [one for one in run.started if one.verb == "runas"]
    asked = {one.program.lower() for one in again}
    auto = [one.command for one in run.started if one.name in AUTO_ELEVATING or _MONIKER in one.command.lower()]
    auto += [_shown(change) for change in _written(run.changes) if _MONIKER in change.data.lower()]
    own = [one.command for one in run.started if one.program.lower() in made and one.program.lower() not in asked]
    return [
        *finding("auto-elevation", auto),
        *finding("second-prompt", [f"runas {one.command}" for one in again]),
        *finding("starts-program-elevated", own),
    ]


def _differences(seen: Observation) -> list[Finding]:
    before, protected = seen.before, seen.protected
    failed = before.exit_status == 0 and protected.exit_status != 0
    lost = _missing(before, protected)
    with_drives, with_environment = _given_back(lost, seen, seen.drives), _given_back(lost, seen, seen.environment)
    # What comes back with either is different in every run, and says nothing.
    rest = sorted(lost - with_drives - with_environment)
    by_drive, by_environment = sorted(with_drives - with_environment), sorted(with_environment - with_drives)
    return [
        *finding("mapped-drive", [_place(line) for line in by_drive]),
        *finding("inherited-environment", [_place(line) for line in by_environment]),
        *finding("lost-write", [] if failed else [_place(place) for place in rest]),
        *finding("fails-under-protection", [f"exit status {protected.exit_status}; 0 without protection"] if failed else []),
    ]


def _missing(before: Run, protected: Run) -> set[str]:
    """Give what the first run wrote and the second did not, or wrote otherwise, with the accounts' names taken out."""
    mine, its = _neutral_writes(before), _neutral_writes(protected)
    # A place that names the person outright is the same place for both.
    same = {neutral(change.place, before.user) for change in protected.changes}
    return {place for place, data in mine.items() if its.get(place) != data and (place in its or place not in same)}


def _neutral_writes(run: Run) -> dict[str, str]:
    removed = {neutral(change.place, run.user) for change in run.changes if change.how == "removed"}
    return {place: data for place, data in normal(run).items() if place not in removed}


def _given_back(lost: set[str], seen: Observation, again: Run | None) -> set[str]:
    return lost - _missing(seen.before, again) if again is not None else set()


def _uninstall(seen: Observation) -> list[Finding]:
    run, left = seen.protected, seen.uninstall
    if left is None:
        installed = [_place(change.place) for change in _written(run.machine) if not _MSI_OF_USER.match(change.place)]
        return finding("uninstall-missing", installed if run.exit_status == 0 else [])
    if left.exit_status != 0:
        return finding(
            "uninstall-fails", [f"exit status {left.exit_status}" if left.exit_status is not None else "did not end"]
        )
    return [
        *finding(
            "uninstall-leaves-machine",
            [_place(change.place) for change in _written(left.machine) if not installers_own(change.place)],
        ),
        *finding("uninstall-leaves-profile", [_place(change.place) for change in _written((*left.own, *left.caller))]),
    ]


def _written(changes: Iterable[Change]) -> list[Change]:
    return [change for change in changes if change.how != "removed" and not (change.is_value and not split(change.place)[1])]


def _shown(change: Change) -> str:
    data = f" = {change.data[:120]}" if change.is_value and change.data else ""
    return _place(change.place) + data


def _place(place: str) -> str:
    key, name = split(place)
    return f"{key}\\{name}" if name else key
