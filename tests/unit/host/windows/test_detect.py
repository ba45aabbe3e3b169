"""What counts as an installer, and what a manifest asks for."""

import pytest

from elevate.host.windows.detect import Level, Traits, judge, named_like_installer
from elevate.host.windows.manifest import ManifestError, parse
from tests.unit.host.windows.programs import BARE, manifest


def pe(**members: object) -> Traits:
    return Traits(kind="pe", **{"bits": 32, **members})  # type: ignore[arg-type] # a test's shorthand


@pytest.mark.parametrize("name", ["Setup.exe", "vc_redist_INSTALLER.exe", r"C:\Temp\update.exe", "/srv/hotpatch.exe"])
def test_29_the_name_tells_an_installer(name: str) -> None:
    """A word in the file's own name counts."""
    judged = judge(name, pe())

    assert (judged.installer, judged.reason, judged.guessed) == (True, "name", True)


def test_29_a_folder_s_name_tells_nothing() -> None:
    """Only the last part of a path is the file's name."""
    assert not judge("/srv/setup/notes.exe", pe()).installer
    assert not named_like_installer(r"C:\install\notes.exe")


@pytest.mark.parametrize("key", ["CompanyName", "ProductName", "FileDescription", "OriginalFilename", "InternalName"])
def test_29_version_strings_tell_an_installer(key: str) -> None:
    """Each of the strings that Windows looks at counts, and is named."""
    assert judge("notes.exe", pe(strings={key: "Contoso Setup"})).reason == key
    assert not judge("notes.exe", pe(strings={"Comments": "Contoso Setup"})).installer


@pytest.mark.parametrize(("bits", "level"), [(64, None), (32, Level.INVOKER), (32, Level.ADMIN)])
def test_29_windows_guesses_only_for_32_bits_without_a_level(bits: int, level: Level | None) -> None:
    """A level in the manifest, or 64 bits, ends Windows' own guess; the fact stays for rules."""
    judged = judge("setup.exe", pe(bits=bits, level=level))

    assert (judged.installer, judged.guessed) == (True, False)


def test_29_the_maker_tells_an_installer() -> None:
    """Builders leave their name in the manifest."""
    judged = judge("notes.exe", pe(identity="Nullsoft.NSIS.exehead"))

    assert (judged.installer, judged.maker) == (True, "NSIS")


def test_29_a_package_is_an_installer() -> None:
    assert judge("notes.bin", Traits(kind="msi")).reason == "package"


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("ui_access", [False, True])
def test_30_a_manifest_s_level_is_read(level: Level, ui_access: bool) -> None:  # noqa: FBT001 - parametrised
    read = parse(manifest(level, ui_access=str(ui_access).lower()))

    assert (read.level, read.ui_access) == (level, ui_access)


def test_30_no_level_is_no_level() -> None:
    assert parse(BARE).level is None


@pytest.mark.parametrize(
    "text",
    [
        "not xml",
        manifest("superuser"),
        manifest(ui_access="perhaps"),
        manifest().replace("</requestedPrivileges>", '<requestedExecutionLevel level="asInvoker"/></requestedPrivileges>'),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + BARE,
        "<!-- <!-->" + '<!DOCTYPE a [<!ENTITY b "c">]>' + BARE,
        BARE + " " * 262_144,
    ],
)
def test_30_a_manifest_in_doubt_is_refused(text: str) -> None:
    """Two levels, unknown ones, entities and what is not XML: nothing is known then."""
    with pytest.raises(ManifestError):
        parse(text)


def test_30_a_comment_is_no_document_type() -> None:
    assert parse(BARE.replace("></assembly>", "><!-- a comment --></assembly>")).level is None
