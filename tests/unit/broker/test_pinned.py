"""Helpers are pinned in the settings: name, uid, program, and the program's content where it is given."""

from pathlib import Path

import pytest

from elevate.broker.pinned import MAX_HELPERS, Helper, read_helpers
from elevate.broker.settings import Settings
from elevate.errors import PolicyError

GOOD = {"uid": 0, "executable": "/usr/lib/contoso/updater"}


def test_helpers_are_read_by_name() -> None:
    """In name order, so that the settings' digest is one."""
    found = read_helpers({"b": GOOD, "a": GOOD | {"sha256": "0" * 64}})
    assert found == (
        Helper(name="a", uid=0, executable="/usr/lib/contoso/updater", sha256="0" * 64),
        Helper(name="b", uid=0, executable="/usr/lib/contoso/updater"),
    )
    assert found[0].audience == "helper:a"


@pytest.mark.parametrize(
    "tables",
    [
        [],
        {"a": 1},
        {"": GOOD},
        {"A": GOOD},
        {"-": GOOD},
        {"a b": GOOD},
        {"a" * 64: GOOD},
        {"a": {"uid": 0}},
        {"a": {"executable": "/x"}},
        {"a": GOOD | {"uid": -1}},
        {"a": GOOD | {"uid": 2**32 - 1}},
        {"a": GOOD | {"uid": True}},
        {"a": GOOD | {"uid": "0"}},
        {"a": GOOD | {"executable": "updater"}},
        {"a": GOOD | {"executable": 1}},
        {"a": GOOD | {"sha256": "0" * 63}},
        {"a": GOOD | {"sha256": "G" * 64}},
        {"a": GOOD | {"path": "/x"}},
        {f"a{number}": GOOD for number in range(MAX_HELPERS + 1)},
    ],
)
def test_what_pins_nothing_is_refused(tables: object) -> None:
    """Unknown, missing or wrong members; one number is no user (-1 to the kernel)."""
    with pytest.raises((TypeError, ValueError)):
        read_helpers(tables)


def test_the_settings_say_where_it_is_wrong(tmp_path: Path) -> None:
    """A bad helper is a bad settings file."""
    place = tmp_path / "settings.toml"
    place.write_text('[helpers.contoso]\nuid = 0\nexecutable = "updater"\n')
    place.chmod(0o600)
    with pytest.raises(PolicyError, match=r"settings\.toml: helpers\.contoso: executable is the real path"):
        Settings.read(place)
