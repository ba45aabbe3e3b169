"""settings.toml: Windows' names and values, strictly."""

from pathlib import Path

import pytest

from elevate.broker.settings import Settings
from elevate.errors import PolicyError


def _read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return Settings.read(path)


def test_no_file_gives_administrator_protection(tmp_path: Path) -> None:
    """A new machine is protected, and simulated gestures open nothing."""
    settings = Settings.read(tmp_path / "settings.toml")
    assert settings.protected
    assert not settings.allow_simulated_gestures
    assert not settings.remote


def test_windows_names_are_read(tmp_path: Path) -> None:
    """`TypeOfAdminApprovalMode` 1 is the legacy mode."""
    assert not _read(tmp_path, "[windows]\nTypeOfAdminApprovalMode = 1\n").protected


def test_bound_on_processes_is_read(tmp_path: Path) -> None:
    """0 leaves it to the machine."""
    assert [_read(tmp_path, f"processes = {number}\n").processes for number in (0, 512, 4_194_304)] == [0, 512, 4_194_304]


def test_enable_lua_0_makes_it_inert(tmp_path: Path) -> None:
    """`EnableLUA` 0 makes the rest inert."""
    assert not _read(tmp_path, "[windows]\nEnableLUA = 0\n").protected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[windows\n", "settings.toml"),
        ("colour = 1\n", "unknown key 'colour'"),
        ("[windows]\nTypeOfAdminApproval = 2\n", "unknown setting 'TypeOfAdminApproval'"),
        ("[windows]\nTypeOfAdminApprovalMode = 3\n", "can be 1 or 2"),
        ("[windows]\nEnableLUA = true\n", "can be 0 or 1"),
        ("windows = 1\n", "is a table"),
        ('remote = "yes"\n', "remote is true or false"),
        ("processes = 100\n", "processes is a number from 512"),
        ("processes = true\n", "processes is a number from 512"),
        ("allow_simulated_gestures = 1\n", "allow_simulated_gestures is true or false"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    """One clear error for each mistake."""
    with pytest.raises(PolicyError, match=message):
        _read(tmp_path, text)


def test_a_huge_file_is_not_parsed(tmp_path: Path) -> None:
    """The file is bounded."""
    with pytest.raises(PolicyError, match="65536 bytes"):
        _read(tmp_path, "#" * 65_537)


@pytest.mark.parametrize(
    ("text", "host"), [("", "emulated"), ('host = "emulated"\n', "emulated"), ('host = "linux"\n', "linux")]
)
def test_host_is_named(tmp_path: Path, text: str, host: str) -> None:
    """Tasks run on the emulated machine unless the owner says that they run on this one."""
    assert _read(tmp_path, text).host == host


@pytest.mark.parametrize("value", ['"windows"', "1", "true", '"Linux"'])
def test_unknown_host_is_refused(tmp_path: Path, value: str) -> None:
    """Any other host is an error, never a guess."""
    with pytest.raises(PolicyError, match="host can be emulated or linux"):
        _read(tmp_path, f"host = {value}\n")
