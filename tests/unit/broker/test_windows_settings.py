"""Administrator protection's settings by their Windows names, and what waits for a restart."""

from pathlib import Path

import pytest

from elevate.broker import Broker, windows
from elevate.broker.settings import Settings
from elevate.errors import DeniedError, PolicyError
from elevate.model import ProcessIdentity, Requester
from elevate.tasks import Task

ROOT = "./Device/Vendor/MSFT/Policy/Config/LocalPoliciesSecurityOptions/"


def settings(folder: Path, text: str) -> Settings:
    (folder / "settings.toml").write_text(text)
    return Settings.read(folder / "settings.toml")


@pytest.mark.parametrize(
    "name",
    [
        "TypeOfAdminApprovalMode",
        "UserAccountControl_TypeOfAdminApprovalMode",
        ROOT + "UserAccountControl_TypeOfAdminApprovalMode",
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\TypeOfAdminApprovalMode",
    ],
)
def test_01_each_name_of_a_setting_is_accepted(tmp_path: Path, name: str) -> None:
    """Registry and CSP, short and whole: verbatim."""
    assert settings(tmp_path, f"[windows]\n'{name}' = 1\n").windows["TypeOfAdminApprovalMode"] == 1


def test_01_the_prompt_s_setting_has_its_csp_name() -> None:
    path = ROOT + "UserAccountControl_BehaviorOfTheElevationPromptForAdministratorProtection"

    assert windows.find(path).name == "ConsentPromptBehaviorEnhancedAdmin"
    assert windows.find("ConsentPromptBehaviorEnhancedAdmin").csp_path == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[windows]\nTypeOfAdminApprovalMode = 3\n", "TypeOfAdminApprovalMode can be 1 or 2"),
        ("[windows]\nEnableLUA = true\n", "EnableLUA can be 0 or 1"),
        ("[windows]\nPromptOnNothing = 1\n", "unknown setting 'PromptOnNothing'"),
        ("[windows]\n'HKLM\\Other\\EnableLUA' = 1\n", "unknown setting"),
        ("[windows]\nEnableLUA = 1\nUserAccountControl_RunAllAdministratorsInAdminApprovalMode = 0\n", "named twice"),
        ("remote_listed = 'all'\n", "remote_listed is a list of names"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        settings(tmp_path, text)


def test_02_inert_is_said_with_its_reason(tmp_path: Path) -> None:
    """EnableLUA = 0 or the legacy mode: protection does nothing, and status says why."""
    assert settings(tmp_path, "[windows]\nEnableLUA = 0\n").protected is False
    assert windows.inert(settings(tmp_path, "[windows]\nEnableLUA = 0\n").windows).startswith("EnableLUA is 0")
    assert "legacy" in windows.inert(settings(tmp_path, "[windows]\nTypeOfAdminApprovalMode = 1\n").windows)
    assert windows.inert(Settings().windows) == ""


def requester(*groups: str, remote: bool = True) -> Requester:
    process = ProcessIdentity(uid=1000, pid=1, start_time=1, boot_id="b")
    return Requester(user="alice", sid="S-1-5-21-1", groups=groups, machine="m", process=process, remote=remote)


def test_25_remote_is_off_and_two_settings_turn_it_on() -> None:
    """For everyone, or for listed users and groups; a local session is never asked."""
    off, everyone = Settings(), Settings(remote=True)
    users, group = Settings(remote_listed=("alice",)), Settings(remote_listed=("remote-admins",))

    assert off.admits(requester(remote=False))
    assert not off.admits(requester("remote-admins"))
    assert everyone.admits(requester())
    assert users.admits(requester())
    assert group.admits(requester("remote-admins"))
    assert not group.admits(requester("others"))


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "settings.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_01_status_names_what_waits_for_a_restart(tmp_path: Path) -> None:
    """Each setting with its coming value; what is in force stays; a file that can't be read is pending and names none."""
    with Broker.embedded(tmp_path / "state") as broker:
        assert broker.status()["pending_settings"] == {}
        edit(tmp_path / "state", "EnableLUA = 1", "EnableLUA = 0")
        status = broker.status()
        assert (status["pending_settings"], status["inert"]) == ({"EnableLUA": 0}, "")
        (tmp_path / "state" / "settings.toml").write_text("[windows\n")
        assert (broker.status()["pending_settings"], broker.status()["pending_restart"]) == ({}, True)


def test_18_only_signed_programs_may_elevate_where_that_is_set(tmp_path: Path) -> None:
    """ValidateAdminCodeSignatures = 1 refuses what has no signer that verifies, before any rule."""
    with Broker.embedded(tmp_path / "state"):
        pass
    edit(tmp_path / "state", "ValidateAdminCodeSignatures = 0", "ValidateAdminCodeSignatures = 1")

    with Broker.open(tmp_path / "state") as broker:
        with pytest.raises(DeniedError, match="only signed programs"):
            broker.elevate(Task.run(["whoami"]))
        grant = broker.elevate(Task.service("Spooler", "start"))
        assert grant.run(capture=True).exit_status == 0
