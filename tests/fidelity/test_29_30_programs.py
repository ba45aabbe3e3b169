"""Rows 29 and 30 with real files: signed programs and packages, built and signed by other people's tools."""

from pathlib import Path

import pytest

from elevate.host.windows.authenticode import Verdict
from elevate.host.windows.detect import Level
from elevate.host.windows.reading import Examined, examine
from tests.tools import run, tool
from tests.unit.host.windows.certificates import NOW, Party, contoso, party
from tests.unit.host.windows.programs import Program, manifest

pytestmark = pytest.mark.service

NSIS = """
Unicode true
Name "Contoso Notes"
OutFile "{out}"
RequestExecutionLevel {level}
VIProductVersion "1.2.0.0"
VIAddVersionKey "ProductName" "Contoso Notes"
VIAddVersionKey "FileVersion" "1.2.0.0"
VIAddVersionKey "LegalCopyright" "-"
VIAddVersionKey "FileDescription" "Contoso Notes"
Section
SectionEnd
"""
WIX = """<?xml version="1.0"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
 <Product Id="*" Name="Contoso Notes" Language="1033" Version="1.2.0" Manufacturer="Contoso"
  UpgradeCode="12345678-1234-1234-1234-111111111111">
  <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
  <Directory Id="TARGETDIR" Name="SourceDir"/>
  <Feature Id="All" Level="1"/>
 </Product>
</Wix>
"""


def sign(file: Path, publisher: Party, *, digest: str = "sha256") -> Path:
    out = file.with_suffix(".signed" + file.suffix)
    certificate, key = file.with_suffix(".crt"), file.with_suffix(".key")
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
        digest,
        "-in",
        file,
        "-out",
        out,
    )
    return out


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    file = tmp_path / "notes.exe"
    file.write_bytes(Program(manifest=manifest(), strings={"ProductName": "Contoso Notes"}).build())
    return sign(file, contoso()[1])


def look(file: Path, *, now: int = NOW) -> Examined:
    return examine(str(file), file.name, [contoso()[0].der], now=now)


def verdict(file: Path, *, now: int = NOW) -> tuple[Verdict, str]:
    found = look(file, now=now).signed
    return found.verdict, found.publisher


def test_30_a_publisher_is_who_a_root_of_ours_vouches_for(signed: Path) -> None:
    assert verdict(signed) == (Verdict.SIGNED, "Contoso Ltd")


def test_30_a_wrong_authority_vouches_for_nobody(tmp_path: Path) -> None:
    file = tmp_path / "other.exe"
    file.write_bytes(Program(manifest=manifest()).build())
    other = party("Contoso Ltd", party("Other Root", ca=True, key=7), key=8)

    assert verdict(sign(file, other)) == (Verdict.UNTRUSTED, "Contoso Ltd")


@pytest.mark.parametrize("place", [0x50, 0x400, 0x700])
def test_30_one_changed_byte_is_tampered(signed: Path, place: int) -> None:
    """In a header, in the code, in the resources."""
    data = bytearray(signed.read_bytes())
    data[place] ^= 1
    signed.write_bytes(data)

    assert verdict(signed)[0] is Verdict.TAMPERED


def test_30_a_signature_of_another_file_is_tampered(signed: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.exe"
    other.write_bytes(Program(manifest=manifest("asInvoker")).build())
    mine, its = signed.read_bytes(), sign(other, contoso()[1]).read_bytes()
    signed.write_bytes(mine[:-1024] + its[-1024:])

    assert verdict(signed)[0] is Verdict.TAMPERED


def test_30_what_is_appended_is_seen(signed: Path) -> None:
    """A payload behind the signature: the publisher did not sign it."""
    signed.write_bytes(signed.read_bytes() + b"payload")

    assert verdict(signed)[0] is Verdict.APPENDED


def test_30_a_weak_digest_signs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "notes.exe"
    file.write_bytes(Program(manifest=manifest()).build())

    assert verdict(sign(file, contoso()[1], digest="sha1")) == (Verdict.UNFIT, "Contoso Ltd")


def test_30_expired_is_not_signed(signed: Path) -> None:
    assert verdict(signed, now=2_300_000_000)[0] is Verdict.EXPIRED


@pytest.mark.parametrize(
    ("asked", "level"), [("user", Level.INVOKER), ("highest", Level.HIGHEST), ("admin", Level.ADMIN), ("none", None)]
)
def test_30_levels_of_real_installers(tmp_path: Path, asked: str, level: Level | None) -> None:
    """What makensis writes into a manifest is what is read."""
    script = tmp_path / "a.nsi"
    script.write_text(NSIS.format(out=tmp_path / "notes.exe", level=asked))
    run(tool("makensis", "nsis"), "-V1", "-XTarget amd64-unicode", script)

    found = look(tmp_path / "notes.exe")

    assert found.traits.level is level
    assert (found.judged.maker, found.traits.version, found.product) == ("NSIS", "1.2.0.0", "Contoso Notes")


def test_29_a_real_package_is_an_installer(tmp_path: Path) -> None:
    source = tmp_path / "notes.wxs"
    source.write_text(WIX)
    run(tool("wixl", "wixl"), "-o", tmp_path / "notes.msi", source)

    found = look(tmp_path / "notes.msi")

    assert (found.judged.installer, found.product, found.traits.version) == (True, "Contoso Notes", "1.2.0")
    assert found.signed.verdict is Verdict.UNSIGNED
    assert verdict(sign(tmp_path / "notes.msi", contoso()[1])) == (Verdict.SIGNED, "Contoso Ltd")
