"""Real tasks through the whole path: elevate installed as for real, an ordinary user's `elevate run`, root's daemon."""

import shutil
from typing import Any

import pytest

from tests import stage

pytestmark = [pytest.mark.root, pytest.mark.service]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    for program in ("apt-get", "dpkg-deb", "runsvdir"):
        if shutil.which(program) is None:
            pytest.skip(f"this machine has no {program}")
    return stage.play("tests.e2e.installed")


def test_ordinary_user_runs_a_task_through_the_installed_launcher(told: dict[str, Any]) -> None:
    """The launcher of install-service finds the machine's broker; the task is the hidden account's."""
    assert told["whoami"] == [0, f"ADMIN_{stage.NAME}\n", ""]


def test_daemon_loads_nothing_that_others_can_write(told: dict[str, Any]) -> None:
    """Isolated, from a folder and with variables that are full of traps: none is loaded, and every file in it is root's."""
    assert told["private"]["words"][1] == "-IS"
    assert told["private"]["files"] > 20
    assert (told["private"]["open"], told["marker"]) == ([], False)


def test_apt_installs_and_removes_a_package(told: dict[str, Any]) -> None:
    """As root, without a terminal; the package's program runs in between, and nothing of it is left."""
    package = told["package"]
    assert package["installed"][0] == 0, package
    assert package["ran"] == [0, "installed\n", ""]
    assert (package["removed"][0], package["left"]) == (0, False), package


def test_service_is_restarted_by_its_manager(told: dict[str, Any]) -> None:
    """The service runs on as another process when the task has long ended."""
    assert told["service"]["outcome"]["status"] == 0, told["service"]
    assert told["service"]["another"]


def test_files_of_root_are_written(told: dict[str, Any]) -> None:
    """By the machine itself, and by a program with the input that was declared."""
    files = told["files"]
    assert (files["outcome"]["status"], files["tee"][0]) == (0, 0), files
    assert list(files["found"].values()) == [["a = 1\n", 0], ["b = 2\n", 0]]


def test_task_starts_in_a_folder_below_tmp(told: dict[str, Any]) -> None:
    """The folders above it are made anew, open to the task whatever the broker's own mask is."""
    assert told["below_tmp"]["pwd"] == [0, told["below_tmp"]["deep"], ""]


def test_file_that_only_root_reads_is_edited(told: dict[str, Any]) -> None:
    """A task reads it, the user's own editor changes it, and a task writes it."""
    edited = told["edited"]
    assert edited["done"][0] == 0, edited
    assert (edited["text"], edited["mode"]) == (f"a = 1\n{stage.UID}\n", 0o600)


def test_task_starts_where_only_its_user_can_go(told: dict[str, Any]) -> None:
    """As sudo: a home that is closed to others keeps no command from running."""
    assert told["at_home"]["pwd"] == [0, told["at_home"]["private"], ""]


def test_what_is_roots_is_refused_in_two_lines(told: dict[str, Any]) -> None:
    """Whatever an ordinary user tries: one error, one hint, and nothing changed."""
    for words, (status, out, err) in told["others"].items():
        lines = err.splitlines()
        assert (status, out, len(lines)) == (125, "", 2), (words, err)
        assert (lines[0][:16], lines[1][:15]) == ("elevate: error: ", "elevate: hint: "), words


def test_sighup_loads_the_policy_again(told: dict[str, Any]) -> None:
    """A rule that was added counts; one that can't be read is named, and the rules before it stay."""
    assert told["reload"] == {"before": 0, "denied": True, "told": True, "still": 126}


def test_sigterm_drains(told: dict[str, Any]) -> None:
    """What runs may end, nothing new is taken, a second signal changes nothing, and the daemon ends well."""
    drain = told["drain"]
    assert (drain["first"], drain["out"], drain["status"]) == ("begun\n", "ended\n", 0), drain
    assert (drain["refused"], drain["daemon"]) == (125, 0)
