"""The runs of one installer, and what each of them changed.

- before: as without protection; one person, an administrator, with own drives and own environment.
- protected: as under Administrator protection. The machine is the same; profile, HKCU and user name are those of the hidden
  account, and neither the person's drives nor the person's environment are there.
- drives, environment: protected, but with the one or the other given back. Only made where the first two differ, to tell why.
- uninstall: the product's own uninstaller, after the protected run, by the same account.

Two stages work side by side.
"""

import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from elevate.host.windows.reading import Examined
from elevate.lab import state as states
from elevate.lab.hive import split
from elevate.lab.state import Change
from elevate.lab.trace import Started
from elevate.lab.wine import ADMIN, USER, Ran, Stage

CANARIES: Mapping[str, str] = {
    "ONEDRIVE": rf"C:\users\{USER}\OneDrive",
    "LOGONSERVER": r"\\DC-LABUSER",
    "HOMESHARE": r"\\FILES\labuser$",
    "CLIENTNAME": "LABUSER-PC",
    "USERDNSDOMAIN": "LAB.EXAMPLE",
}
"""What a person's session has in its environment and the hidden account's has not."""
UNINSTALL = r"\Software\Microsoft\Windows\CurrentVersion\Uninstall" + "\\"
SILENT: Mapping[str, tuple[str, ...]] = {
    "NSIS": ("/S",),
    "Inno Setup": ("/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART"),
    "WiX Burn": ("/quiet", "/norestart"),
    "InstallShield": ("/s", "/v/qn"),
    "Advanced Installer": ("/exenoui", "/qn"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the installer is run.

    Attributes:
        silent: Words that make it ask nothing.
        drives: The person's mapped drives, letter to folder.
        environment: What the person's session has, besides `CANARIES`.
        seconds: Time for each run.
    """

    installer: Path
    silent: tuple[str, ...]
    drives: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: int = 120

    @property
    def words(self) -> tuple[str, ...]:
        """The command."""
        path = f"C:\\lab\\{self.installer.name}"
        return ("msiexec.exe", "/i", path, *self.silent) if self.installer.suffix.lower() == ".msi" else (path, *self.silent)

    @property
    def session(self) -> dict[str, str]:
        """The environment of the person's session."""
        return dict(CANARIES) | dict(self.environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run did.

    Attributes:
        user: Whose name it ran in.
        own: Changes in that account's profile and HKCU.
        caller: Changes in the profile of the person, where that is another account.
        machine: All other changes.
    """

    user: str
    exit_status: int | None
    own: tuple[Change, ...]
    caller: tuple[Change, ...]
    machine: tuple[Change, ...]
    started: tuple[Started, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of them."""
        return (*self.own, *self.caller, *self.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that is judged.

    Attributes:
        drives: None where it was not needed, as `environment`.
        uninstall: What is left after it, against the state before the installation; None where no uninstaller was found.
    """

    examined: Examined
    before: Run
    protected: Run
    drives: Run | None = None
    environment: Run | None = None
    uninstall: Run | None = None


def observe(examined: Examined, plan: Plan, stages: tuple[Stage, Stage], noise: frozenset[str]) -> Observation:
    """Make the runs."""
    first, second = stages
    with ThreadPoolExecutor(2) as pool:
        person = pool.submit(_install, first, plan, USER, noise, drives=plan.drives, env=plan.session)
        admin = pool.submit(_install_and_remove, second, plan, noise)
        before, (protected, uninstall) = person.result(), admin.result()
        found = Observation(examined=examined, before=before, protected=protected, uninstall=uninstall)
        if not differs(before, protected):
            return found
        drives = pool.submit(_install, first, plan, ADMIN, noise, drives=plan.drives, env={})
        environment = pool.submit(_install, second, plan, ADMIN, noise, drives={}, env=plan.session)
        return replace(found, drives=drives.result(), environment=environment.result())


def differs(before: Run, protected: Run) -> bool:
    """Say whether the two runs did not do the same, each in its own profile."""
    return before.exit_status != protected.exit_status or normal(before) != normal(protected)


def normal(run: Run) -> dict[str, str]:
    """Give the changes with the account's own name and profile taken out."""
    counted = [change for change in run.changes if not installers_own(change.place)]
    return {neutral(change.place, run.user): neutral(change.data, run.user) for change in counted}


def installers_own(place: str) -> bool:
    """Say whether Windows Installer keeps it for itself: cached packages under random names, and its own books."""
    low = place.lower()
    return low.startswith("c:\\windows\\installer\\") or "\\currentversion\\installer\\" in low


def neutral(text: str, user: str) -> str:
    """Take an account's name out of a text."""
    return text.replace(user, "%USERNAME%")


def _install(
    stage: Stage, plan: Plan, user: str, noise: frozenset[str], *, drives: Mapping[str, Path], env: Mapping[str, str]
) -> Run:
    stage.prepare(user, installer=plan.installer, drives=drives)
    return _look(stage, stage.run(plan.words, user=user, env=env, seconds=plan.seconds), user, noise)


def _install_and_remove(stage: Stage, plan: Plan, noise: frozenset[str]) -> tuple[Run, Run | None]:
    run = _install(stage, plan, ADMIN, noise, drives={}, env={})
    words = uninstaller(run, plan)
    if run.exit_status is None or not words:
        return run, None
    return run, _look(stage, stage.run(words, user=ADMIN, env={}, seconds=plan.seconds), ADMIN, noise)


def _look(stage: Stage, ran: Ran, user: str, noise: frozenset[str]) -> Run:
    noise = frozenset(place.replace(USER, user) for place in noise)
    changes = states.compare(stage.base, stage.state(), noise)
    own, caller = (f"C:\\users\\{user}\\".lower(), f"C:\\users\\{USER}\\".lower())
    mine = tuple(change for change in changes if change.place.lower().startswith((own, "hkcu\\")))
    theirs = tuple(change for change in changes if change not in mine and change.place.lower().startswith(caller))
    rest = tuple(change for change in changes if change not in mine and change not in theirs)
    return Run(user=user, exit_status=ran.exit_status, own=mine, caller=theirs, machine=rest, started=ran.started)


def uninstaller(run: Run, plan: Plan) -> tuple[str, ...]:
    """Give the command that the product registered for its removal; nothing where it registered none."""
    if plan.installer.suffix.lower() == ".msi":
        return ("msiexec.exe", "/x", f"C:\\lab\\{plan.installer.name}", *plan.silent)
    values: dict[str, str] = {}
    for change in run.changes:
        key, name = split(change.place)
        if UNINSTALL.lower() in key.lower() + "\\" and change.data:
            values[name.lower()] = change.data
    command = values.get("quietuninstallstring") or values.get("uninstallstring", "")
    words = windows_words(command)
    if not words or "quietuninstallstring" in values:
        return words
    return (*words, *plan.silent)


def windows_words(command: str) -> tuple[str, ...]:
    """Split a Windows command line; backslashes are what they are."""
    splitter = shlex.shlex(command, posix=True, punctuation_chars=False)
    splitter.whitespace_split, splitter.escape, splitter.quotes, splitter.commenters = True, "", '"', ""
    try:
        return tuple(splitter)
    except ValueError:
        return ()
