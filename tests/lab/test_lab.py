"""Real installers under Wine, with no display: every planted fault is found, and nothing in the good ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.cli.lab import app
from elevate.errors import LabError
from elevate.lab.check import Lab, Wishes
from elevate.lab.report import Report
from elevate.lab.wine import USER, Wine
from tests.lab.installers import FOR_ALL, MACHINE, REGISTERED, REMOVAL, UNINSTALL, Nsis, msi, sign
from tests.unit.host.windows.certificates import NOW, contoso, party

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    try:
        Wine.find()
    except LabError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    folder = tmp_path_factory.mktemp("lab")
    yield Lab(folder / "cache", folder / "work")
    shutil.rmtree(folder)


def test_the_command_says_at_once_what_could_not_run(lab: Lab, tmp_path: Path) -> None:
    """From the command line: a page in a file, exit status 2, and no prefix is copied for nothing."""
    if lab.wine.runs_32_bits:
        pytest.skip("this Wine runs 32-bit programs")
    file, page = Nsis(target="x86-unicode").build(tmp_path), tmp_path / "report.html"

    done = CliRunner().invoke(
        app, ["check", str(file), "--cache", str(tmp_path / "cache"), "--format", "html", "-o", str(page)]
    )

    assert done.exit_code == 2
    assert "could not run: it is a 32-bit program" in page.read_text()
    assert not (tmp_path / "cache").exists()


def check(lab: Lab, installer: Path, **members: object) -> Report:
    wishes = Wishes(roots=[contoso()[0].der], **members)  # type: ignore[arg-type] # a test's shorthand
    return lab.check(installer, wishes, now=NOW)


def ids(report: Report) -> set[str]:
    assert report.reason == ""
    return {one.kind.id for one in report.findings}


def evidence(report: Report, name: str) -> str:
    return "\n".join(next(one.evidence for one in report.findings if one.kind.id == name))


@pytest.mark.parametrize("kind", ["nsis", "msi"])
def test_a_good_installer_has_no_findings(lab: Lab, tmp_path: Path, kind: str) -> None:
    """Signed, for the machine, removed without a trace: ready, exit status 0."""
    file = Nsis().build(tmp_path) if kind == "nsis" else msi(tmp_path)

    report = check(lab, sign(file, contoso()[1]))

    assert ids(report) == set()
    assert report.exit_status == 0


def test_what_is_the_user_s_lands_in_the_hidden_account(lab: Lab, tmp_path: Path) -> None:
    """Eight kinds of things that the user will not see, an unsigned file, and a manifest without a level."""
    classes = r"Software\Classes"
    planted = (
        r'WriteRegStr HKCU "Software\Contoso\Notes" "Theme" "dark"',
        r'WriteRegStr HKCU "Environment" "NOTES_HOME" "$INSTDIR"',
        r'WriteRegStr HKCU "Software\Microsoft\Windows\CurrentVersion\Run" "Notes" "$INSTDIR\notes.exe"',
        rf'WriteRegStr HKCU "{classes}\.note" "" "Contoso.Note"',
        rf'WriteRegStr HKCU "{classes}\CLSID\{{12345678-1234-1234-1234-123456789abc}}" "" "Notes"',
        rf'WriteRegStr HKCU "{UNINSTALL}" "DisplayName" "Contoso Notes"',
        rf'WriteRegStr HKCU "{UNINSTALL}" "UninstallString" "$\"$INSTDIR\remove.exe$\""',
        r'WriteUninstaller "$INSTDIR\remove.exe"',
        "SetShellVarContext current",
        r'CreateShortcut "$DESKTOP\Notes.lnk" "$INSTDIR\notes.txt"',
        r'SetOutPath "$APPDATA\Contoso"',
        r'File "{folder}\notes.txt"',
    )

    report = check(lab, Nsis(steps=(*MACHINE, *planted), level="none").build(tmp_path))

    assert ids(report) == {
        "user-registry",
        "user-environment",
        "user-autostart",
        "user-associations",
        "user-com",
        "user-uninstall-entry",
        "user-shortcuts",
        "user-files",
        "uninstall-leaves-profile",
        "manifest-missing",
        "unsigned",
    }
    assert r"HKCU\Software\Contoso\Notes\Theme = dark" in evidence(report, "user-registry")
    assert report.exit_status == 1


def test_what_is_the_machine_s_must_not_name_an_account(lab: Lab, tmp_path: Path) -> None:
    """The account's name for all, a service in a profile, the caller's folders, leftovers; and a file that was changed."""
    planted = (
        r'WriteRegStr HKLM "Software\Contoso\Notes" "Data" "$PROFILE\Notes"',
        r'WriteRegStr HKLM "SYSTEM\CurrentControlSet\Services\Notes" "ImagePath" "$LOCALAPPDATA\Notes\service.exe"',
        rf'SetOutPath "C:\users\{USER}\Documents"',
        r'File "{folder}\notes.txt"',
        r'SetOutPath "$INSTDIR"',
        r'FileOpen $0 "$INSTDIR\kept.txt" w',
        "FileClose $0",
    )
    file = sign(Nsis(steps=(*MACHINE, *planted, *REGISTERED), level="highest").build(tmp_path), contoso()[1])
    file.write_bytes(file.read_bytes() + b"appended")

    report = check(lab, file)

    assert ids(report) == {
        "machine-names-admin",
        "service-in-profile",
        "caller-profile",
        "uninstall-leaves-machine",
        "uninstall-leaves-profile",
        "manifest-highest",
        "signature-broken",
    }
    assert "service.exe" in evidence(report, "service-in-profile")
    assert "kept.txt" in evidence(report, "uninstall-leaves-machine")


def test_what_is_the_session_s_is_not_there(lab: Lab, tmp_path: Path) -> None:
    """A mapped drive, a variable, and something that only the person's own name brings: each is told apart."""
    share = tmp_path / "share"
    share.mkdir()
    (share / "license.txt").write_text("license")
    planted = (
        r'CopyFiles /SILENT "H:\license.txt" "$INSTDIR\license.txt"',
        "ReadEnvStr $0 NOTES_SERVER",
        r'WriteRegStr HKLM "Software\Contoso\Notes" "Server" "$0"',
        "ReadEnvStr $0 USERNAME",
        f'StrCmp $0 "{USER}" 0 +2',
        r'WriteRegStr HKLM "Software\Contoso\Notes" "Owner" "me"',
    )
    steps = (*MACHINE, *planted, *REGISTERED)
    file = Nsis(steps=steps, removal=(r'Delete "$INSTDIR\license.txt"', *REMOVAL), level="user").build(tmp_path)
    other = party("Contoso Ltd", party("Other Root", ca=True, key=7), key=8)

    report = check(lab, sign(file, other), drives={"H": share}, environment={"NOTES_SERVER": "files.example"})

    assert ids(report) == {
        "mapped-drive",
        "inherited-environment",
        "lost-write",
        "manifest-not-admin",
        "signer-untrusted",
    }
    assert "license.txt" in evidence(report, "mapped-drive")
    assert r"Notes\Server" in evidence(report, "inherited-environment")
    assert r"Notes\Owner" in evidence(report, "lost-write")


def test_what_is_started_is_seen(lab: Lab, tmp_path: Path) -> None:
    """Elevation by itself, a second prompt, the program as admin, a broken uninstaller, uiAccess."""
    Nsis(steps=("SetErrorLevel 3",), removal=()).build(tmp_path / "program", "program.exe")
    planted = (
        f'File "/oname=notes.exe" "{tmp_path}/program/program.exe"',
        'ExecShell "" "fodhelper.exe"',
        r'ExecShell "runas" "$SYSDIR\whoami.exe"',
        r'ExecWait "$\"$INSTDIR\notes.exe$\""',
        rf'WriteRegStr HKLM "{UNINSTALL}" "QuietUninstallString" "$\"$INSTDIR\notes.exe$\" /S"',
    )
    file = Nsis(steps=(*MACHINE, *FOR_ALL, *planted), removal=()).build(tmp_path)
    data = file.read_bytes()
    assert b'uiAccess="false"' in data
    file.write_bytes(data.replace(b'uiAccess="false"', b'uiAccess="true" ', 1))

    report = check(lab, sign(file, contoso()[1]))

    assert ids(report) == {"auto-elevation", "second-prompt", "starts-program-elevated", "uninstall-fails", "ui-access"}
    assert "whoami.exe" in evidence(report, "second-prompt")


def test_failing_only_under_protection_is_found(lab: Lab, tmp_path: Path) -> None:
    """It works for the person's own account, and not for the hidden one; it registers no uninstaller."""
    steps = ("ReadEnvStr $0 USERNAME", f'StrCmp $0 "{USER}" +3', "SetErrorLevel 2", "Abort", *MACHINE)

    report = check(lab, sign(Nsis(steps=steps).build(tmp_path), contoso()[1]))

    assert ids(report) == {"fails-under-protection"}
    assert "exit status 2" in evidence(report, "fails-under-protection")


def test_a_product_without_an_uninstaller_is_found(lab: Lab, tmp_path: Path) -> None:
    report = check(lab, sign(Nsis(steps=MACHINE).build(tmp_path), contoso()[1]))

    assert ids(report) == {"uninstall-missing"}


def test_a_package_for_the_user_is_found(lab: Lab, tmp_path: Path) -> None:
    """MSI: installed per user, it belongs to the hidden account and to nobody who signs in."""
    file = msi(tmp_path, scope="perUser", place="LocalAppDataFolder", root="HKCU")

    assert ids(check(lab, sign(file, contoso()[1]))) == {"user-files", "user-registry", "user-uninstall-entry"}


@pytest.mark.parametrize(("steps", "reason"), [(("Sleep 60000",), "did not end"), (("SetErrorLevel 5", "Abort"), "failed")])
def test_an_installer_that_does_not_work_at_all_could_not_run(
    lab: Lab, tmp_path: Path, steps: tuple[str, ...], reason: str
) -> None:
    report = check(lab, Nsis(steps=steps).build(tmp_path), seconds=2)

    assert report.exit_status == 2
    assert reason in report.reason
