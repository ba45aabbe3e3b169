"""What the lab can find: every kind with its id, how bad it is, what it means and what to do. The reference for people.

Ids never change their meaning; new ones are added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Severity(StrEnum):
    """How bad it is: an error breaks the product for its user, a warning is seen or felt."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of finding."""

    id: str
    severity: Severity
    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding; ``evidence`` holds at most `MAX_EVIDENCE` lines, and ``more`` counts the rest."""

    kind: Kind
    evidence: tuple[str, ...]
    more: int = 0


MAX_EVIDENCE = 20
_E, _W = Severity.ERROR, Severity.WARNING


def _kind(name: str, severity: Severity, title: str, advice: str) -> tuple[str, Kind]:
    return name, Kind(id=name, severity=severity, title=title, advice=advice)


_FIRST_RUN = "Write it when the program first starts as the user, or let the installer write to HKLM or ProgramData."
_ALL_USERS = "Use the machine's place: SetShellVarContext all (NSIS), {common…} (Inno Setup), ALLUSERS=1 (MSI)."

KINDS: Mapping[str, Kind] = MappingProxyType(
    dict(
        (
            _kind("user-registry", _E, "Registry values of the user land in the hidden account's HKCU", _FIRST_RUN),
            _kind("user-files", _E, "Files of the user land in the hidden account's profile", _FIRST_RUN),
            _kind("user-shortcuts", _E, "Shortcuts land on the hidden account's desktop or in its start menu", _ALL_USERS),
            _kind(
                "user-associations",
                _E,
                "File types are registered for the hidden account only",
                r"Register them below HKLM\Software\Classes.",
            ),
            _kind(
                "user-com",
                _E,
                "A COM class is registered for the hidden account only",
                r"Register it below HKLM\Software\Classes\CLSID; elevated programs never load a user's classes.",
            ),
            _kind(
                "user-autostart",
                _E,
                "The program is to start with the hidden account's session, which never begins",
                r"Use HKLM\…\Run, or let the program ask the user at its first start.",
            ),
            _kind(
                "user-environment",
                _E,
                "Environment variables are set for the hidden account only",
                r"Set them for the machine: HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment.",
            ),
            _kind(
                "user-uninstall-entry",
                _E,
                "The product is registered for the hidden account: the user does not see it in Installed apps",
                "Write the Uninstall key below HKLM; for an MSI package set ALLUSERS=1 (InstallScope perMachine).",
            ),
            _kind(
                "caller-profile",
                _W,
                "The installer writes into the profile of the person who started it",
                "An elevated installer does not know whose profile is meant; leave the user's files to the program.",
            ),
            _kind(
                "machine-names-admin",
                _E,
                "What is written for the whole machine names the hidden account or its profile",
                "Do not write %USERNAME% or %USERPROFILE% for all; use ProgramData and Program Files.",
            ),
            _kind(
                "service-in-profile",
                _E,
                "A service's program lies in a profile",
                "Put a service's program below Program Files.",
            ),
            _kind(
                "lost-write",
                _E,
                "Something that was written without protection is not written under it",
                "Find out what the installer takes from the session (drives, variables, registry), and bring it along.",
            ),
            _kind(
                "mapped-drive",
                _E,
                "The installer needs a drive that the person has mapped",
                r"Elevated sessions have no mapped drives: take a network path (\\server\share) or bring the files along.",
            ),
            _kind(
                "inherited-environment",
                _E,
                "The installer needs environment variables of the person's session",
                "Pass what is needed as an argument, or read it when the program runs as the user.",
            ),
            _kind(
                "fails-under-protection",
                _E,
                "The installer succeeds without protection and fails under it",
                "See the other findings first; they may be the reason.",
            ),
            _kind(
                "auto-elevation",
                _E,
                "The installer uses a program that elevated without a prompt, or the elevation moniker",
                "Nothing elevates by itself any more: do the work in the installer, which is elevated.",
            ),
            _kind(
                "second-prompt",
                _W,
                "The installer asks for elevation again",
                "Every elevation is a prompt and a new session: do all steps in one elevated process.",
            ),
            _kind(
                "starts-program-elevated",
                _W,
                "The installed program is started by the installer, as the hidden account",
                "Let the part of the installer that was not elevated start it, or leave it to the user.",
            ),
            _kind(
                "manifest-missing",
                _W,
                "The manifest names no level: elevation depends on Windows guessing an installer",
                "Say it: RequestExecutionLevel admin (NSIS), requestedExecutionLevel in the manifest.",
            ),
            _kind(
                "manifest-not-admin",
                _W,
                "The manifest asks for no elevation, and the installer writes for the whole machine",
                "Ask for requireAdministrator, or install for the user only.",
            ),
            _kind(
                "manifest-highest",
                _W,
                "The manifest asks for the highest level: what happens depends on who starts it",
                "Ask for requireAdministrator or asInvoker.",
            ),
            _kind(
                "ui-access",
                _W,
                "The manifest asks for uiAccess",
                "An installer has no need to reach other programs' windows: set uiAccess to false.",
            ),
            _kind("unsigned", _W, "The installer is not signed: the prompt is yellow and names no publisher", "Sign it."),
            _kind(
                "signature-broken",
                _E,
                "The signature does not hold: the file was changed, or something was appended",
                "Sign the file as it is shipped, as the last step.",
            ),
            _kind(
                "signer-untrusted",
                _W,
                "The signature leads to no trusted root, or its certificate is not valid or not for code",
                "Sign with a code-signing certificate of an authority that the machines trust.",
            ),
            _kind(
                "uninstall-missing",
                _W,
                "No uninstaller is registered",
                "Register one below HKLM, so that the product can be removed.",
            ),
            _kind(
                "uninstall-fails",
                _E,
                "The uninstaller fails or does not end",
                "Test the silent uninstaller as the hidden account.",
            ),
            _kind(
                "uninstall-leaves-machine",
                _W,
                "The uninstaller leaves files or registry values of the machine behind",
                "Remove everything that was written, but for what the user made.",
            ),
            _kind(
                "uninstall-leaves-profile",
                _W,
                "The uninstaller leaves things behind in the hidden account's profile, where nobody will look",
                "Write nothing there, or remove it.",
            ),
        )
    )
)
"""By id."""


def finding(name: str, evidence: "list[str] | tuple[str, ...]") -> list[Finding]:
    """Give a finding where there is evidence, else nothing."""
    lines = list(dict.fromkeys(evidence))
    if not lines:
        return []
    return [Finding(kind=KINDS[name], evidence=tuple(lines[:MAX_EVIDENCE]), more=max(0, len(lines) - MAX_EVIDENCE))]
