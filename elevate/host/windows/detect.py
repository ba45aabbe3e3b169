"""Which programs count as installers, and what Windows would do with one: pure, from names, version strings and the manifest.

Windows guesses for 32-bit programs whose manifest names no level. A manifest that names one ends the guessing there, but what
was found is still a fact that rules can use: who installs software is to be asked differently from who runs a program.

Source: Microsoft Learn, "How User Account Control works", installer detection technology.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath

WORDS = ("install", "setup", "update", "upgrade", "patch")
STRINGS = ("CompanyName", "ProductName", "FileDescription", "OriginalFilename", "InternalName")
MAKERS = {
    "Nullsoft.NSIS.exehead": "NSIS",
    "JR.Inno.Setup": "Inno Setup",
    "WiX Toolset Bootstrapper": "WiX Burn",
    "WixToolset.Burn": "WiX Burn",
    "InstallShield": "InstallShield",
    "AdvancedInstallerSetup": "Advanced Installer",
}
_WORD = re.compile("|".join(WORDS), re.IGNORECASE)
_UNINSTALL = re.compile("uninst", re.IGNORECASE)


class Level(StrEnum):
    """What a manifest's ``requestedExecutionLevel`` can ask for."""

    INVOKER = "asInvoker"
    HIGHEST = "highestAvailable"
    ADMIN = "requireAdministrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What was read of a program or package, before it is judged.

    Attributes:
        kind: ``pe`` or ``msi``.
        bits: 32 or 64; 0 for a package.
        level: As the manifest says; None where it names none.
        identity: Name and description in the manifest, which tell who built the installer.
        strings: Version strings by name; for a package its properties.
        version: ``a.b.c.d`` of the file's fixed version, or the package's ProductVersion; empty where there is none.
    """

    kind: str
    bits: int = 0
    level: Level | None = None
    ui_access: bool = False
    identity: str = ""
    strings: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Whether it is an installer.

    Attributes:
        reason: What told: ``package``, ``maker``, ``name`` or the version string's name; empty where nothing did.
        maker: The tool that built it, where it can be told.
        guessed: Windows itself would ask for elevation by its guess: 32 bits, no level, a word that tells.
    """

    installer: bool
    reason: str = ""
    maker: str = ""
    guessed: bool = False


def judge(name: str, traits: Traits) -> Judged:
    """Say whether a file is an installer.

    Args:
        name: File name or path.
        traits: What was read of it.
    """
    maker = next((tool for mark, tool in MAKERS.items() if mark in traits.identity), "")
    if traits.kind == "msi":
        return Judged(installer=True, reason="package", maker=maker)
    told = _told(name, traits.strings)
    reason = "maker" if maker else told
    guessed = bool(told) and traits.bits == 32 and traits.level is None  # noqa: PLR2004 - bits
    return Judged(installer=bool(reason), reason=reason, maker=maker, guessed=guessed)


@lru_cache(maxsize=256)
def named_like_installer(name: str) -> bool:
    """Say whether a file's name alone has one of the words."""
    return bool(_WORD.search(last_part(name)))


def last_part(name: str) -> str:
    r"""Give the file name of a path of either kind."""
    return PureWindowsPath(PurePosixPath(name).name).name


def _told(name: str, strings: Mapping[str, str]) -> str:
    if named_like_installer(name):
        return "name"
    return next((key for key in STRINGS if _WORD.search(strings.get(key, "")) or _UNINSTALL.search(strings.get(key, ""))), "")
