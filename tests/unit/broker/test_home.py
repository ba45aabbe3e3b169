"""The folder of a broker."""

import stat
from pathlib import Path

import pytest

from elevate.broker.home import Home, create
from elevate.broker.settings import Settings
from elevate.errors import HostError


def test_a_new_folder_is_private_and_whole(tmp_path: Path) -> None:
    """Settings and policy are there, and only the owner can read them."""
    home = create(tmp_path / "state")
    assert home.exists()
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    assert [path.suffix for path in home.policy.iterdir()] == [".toml"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.settings, *home.policy.iterdir())} == {0o600}


@pytest.mark.parametrize("simulated", [True, False])
def test_the_settings_written_are_the_settings_read(tmp_path: Path, *, simulated: bool) -> None:
    """What `create` writes, `Settings.read` takes."""
    settings = Settings.read(create(tmp_path / "state", simulated=simulated).settings)
    assert settings.protected
    assert settings.allow_simulated_gestures is simulated
    assert (tmp_path / "state/hello/sensor.toml").exists() is simulated


def test_an_existing_broker_is_not_overwritten(tmp_path: Path) -> None:
    """A second `create` refuses and changes nothing."""
    home = create(tmp_path / "state")
    before = home.settings.read_bytes()
    with pytest.raises(HostError, match="there already"):
        create(tmp_path / "state")
    assert home.settings.read_bytes() == before


def test_an_unknown_policy_is_named(tmp_path: Path) -> None:
    """Only shipped policy sets can be chosen, by name."""
    for name in ("nonsense", "../elevate", "/etc"):
        with pytest.raises(HostError, match="no policy set"):
            create(tmp_path / name.replace("/", "_"), policy=name)
    assert not Home(tmp_path / "nonsense").exists()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="can't be made"):
        create(tmp_path / "file" / "state")
