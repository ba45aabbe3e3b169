"""Installers that are built for the lab: good ones, and bad ones with faults planted by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools import run, tool
from tests.unit.host.windows.certificates import Party

UNINSTALL = r"Software\Microsoft\Windows\CurrentVersion\Uninstall\Notes"
_TARGET = "amd64-unicode"

SCRIPT = r"""
Unicode true
CRCCheck off
Name "Contoso Notes"
OutFile "{out}"
RequestExecutionLevel {level}
InstallDir "$PROGRAMFILES64\Contoso Notes"
SilentInstall silent
SilentUnInstall silent
VIProductVersion "1.2.0.0"
VIAddVersionKey "ProductName" "Contoso Notes"
VIAddVersionKey "FileVersion" "1.2.0.0"
VIAddVersionKey "LegalCopyright" "-"
VIAddVersionKey "FileDescription" "Contoso Notes"
Section
SetRegView 64
SetOutPath $INSTDIR
{steps}
SectionEnd
Section Uninstall
SetRegView 64
{removal}
SectionEnd
"""
MACHINE = (
    r'File "{folder}\notes.txt"',
    r'WriteRegStr HKLM "Software\Contoso\Notes" "Folder" "$INSTDIR"',
)
REGISTERED = (
    rf'WriteRegStr HKLM "{UNINSTALL}" "DisplayName" "Contoso Notes"',
    rf'WriteRegStr HKLM "{UNINSTALL}" "UninstallString" "$\"$INSTDIR\remove.exe$\""',
    r'WriteUninstaller "$INSTDIR\remove.exe"',
)
FOR_ALL = (
    "SetShellVarContext all",
    r'CreateShortcut "$DESKTOP\Notes.lnk" "$INSTDIR\notes.txt"',
)
REMOVAL = (
    "SetShellVarContext all",
    r'Delete "$DESKTOP\Notes.lnk"',
    r'Delete "$INSTDIR\notes.txt"',
    r'Delete "$INSTDIR\notes.exe"',
    r'Delete "$INSTDIR\remove.exe"',
    'RMDir "$INSTDIR"',
    rf'DeleteRegKey HKLM "{UNINSTALL}"',
    r'DeleteRegKey HKLM "Software\Contoso"',
)


@dataclass(frozen=True, kw_only=True)
class Nsis:
    """An NSIS installer to build."""

    steps: Sequence[str] = (*MACHINE, *FOR_ALL, *REGISTERED)
    removal: Sequence[str] = REMOVAL
    level: str = "admin"
    target: str = _TARGET

    def build(self, folder: Path, name: str = "notes.exe") -> Path:
        """Build it in an empty folder."""
        makensis = tool("makensis", "nsis")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "notes.txt").write_text("notes\n")
        out, script = folder / name, folder / f"{name}.nsi"
        lines = "\n".join(self.steps).replace("{folder}\\", f"{folder}/")
        script.write_text(SCRIPT.format(out=out, level=self.level, steps=lines, removal="\n".join(self.removal)))
        run(makensis, "-V1", f"-XTarget {self.target}", script)
        return out


WXS = """<?xml version="1.0"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
 <Product Id="*" Name="Contoso Notes" Language="1033" Version="1.2.0" Manufacturer="Contoso"
  UpgradeCode="12345678-1234-1234-1234-111111111111">
  <Package InstallerVersion="200" Compressed="yes" InstallScope="{scope}"/>
  <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
  <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="{place}"><Directory Id="INSTALLDIR" Name="Contoso Notes">
   <Component Id="c1" Guid="12345678-1234-1234-1234-222222222222" Win64="yes">
    <File Id="f1" Source="notes.txt" KeyPath="yes"/></Component>
   <Component Id="c2" Guid="12345678-1234-1234-1234-333333333333" Win64="yes"><RegistryValue Root="{root}"
    Key="Software\\Contoso\\Notes" Name="Version" Type="string" Value="1.2" KeyPath="yes"/></Component>
  </Directory></Directory></Directory>
  <Feature Id="All" Level="1"><ComponentRef Id="c1"/><ComponentRef Id="c2"/></Feature>
 </Product>
</Wix>
"""


def msi(folder: Path, *, scope: str = "perMachine", place: str = "ProgramFiles64Folder", root: str = "HKLM") -> Path:
    """Build an MSI package."""
    wixl = tool("wixl", "wixl")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("notes\n")
    (folder / "notes.wxs").write_text(WXS.format(scope=scope, place=place, root=root))
    run(wixl, "-a", "x64", "-o", "notes.msi", "notes.wxs", cwd=folder)
    return folder / "notes.msi"


def sign(file: Path, publisher: Party) -> Path:
    """Sign a file in place."""
    certificate, key, out = file.with_suffix(".crt"), file.with_suffix(".key"), file.with_suffix(".out")
    certificate.write_bytes(publisher.pem)
    key.write_bytes(publisher.key_pem)
    run(
        tool("osslsigncode", "osslsigncode"),
        "sign",
        "-certs",
        certificate,
        "-key",
        key,
        "-h",
        "sha256",
        "-in",
        file,
        "-out",
        out,
    )
    return out.rename(file)
