"""elevate as a service of a real systemd: installed, activated, restarted, reloaded, stopped and removed by it."""

from typing import Any

import pytest

from tests import boot, stage

pytestmark = [pytest.mark.root, pytest.mark.service]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return boot.play("tests.e2e.under_systemd")


def test_install_service_makes_all_that_is_there(told: dict[str, Any]) -> None:
    """Both units run and start with the machine; group and folders are there; a second time it says what is left to do."""
    installed = told["installed"]
    assert (installed["active"], installed["enabled"]) == (["active"] * 2, ["enabled"] * 2)
    assert (installed["failed"], installed["group"]) == ("", True)
    assert installed["modes"] == {
        "/run/elevate": [0, "755"],
        "/var/lib/elevate": [0, "700"],
        "/etc/elevate": [0, "755"],
        "/run/elevate/broker.sock": [0, "666"],
    }
    assert "systemctl restart elevate" in installed["again"]


def test_socket_starts_the_daemon(told: dict[str, Any]) -> None:
    """Who asks first waits for the daemon, and gets the task."""
    assert told["activated"] == {"before": "inactive", "first": [0, f"ADMIN_{stage.NAME}\n", ""], "after": "active"}


def test_daemon_has_what_the_unit_says(told: dict[str, Any]) -> None:
    """All capabilities, the machine's own mounts, a cgroup of its own; protected where systemd itself may do that."""
    daemon = told["daemon"]
    assert daemon["status"] == {"Uid": "0", "Umask": "0077", "NoNewPrivs": "0", "Seccomp": "0"}
    assert (daemon["capabilities"], daemon["same_mounts"], daemon["cwd"]) == (True, True, "/")
    assert daemon["cgroup"] == "0::/system.slice/elevate.service"
    assert daemon["tasks"][0] >= daemon["tasks"][1] * 0.45
    assert daemon["protected"] == ("-500" if daemon["may_protect"] else "0")


def test_nothing_that_the_unit_says_binds_a_task(told: dict[str, Any]) -> None:
    """No filter, no signal that is ignored, no protection; 32-bit programs run as outside; each has a cgroup."""
    tasks = told["tasks"]
    assert tasks["status"] == {"Seccomp": "0", "SigBlk": "0" * 16}
    assert (tasks["ignores_pipe"], tasks["protected"]) == (False, "0")
    assert tasks["thirty_two"][0] == tasks["thirty_two"][1]
    assert tasks["personality"] == [0, "", ""]
    assert tasks["cgroup"].startswith("0::/system.slice/elevate.service/elevate/")


def test_real_tasks_work(told: dict[str, Any]) -> None:
    """A package by apt and its removal, files of root's, a folder below /tmp."""
    package, files = told["package"], told["files"]
    assert (package["installed"][0], package["ran"]) == (0, [0, "installed\n", ""]), package
    assert (package["removed"][0], package["left"]) == (0, False), package
    assert (files["outcome"]["status"], files["tee"][0]) == (0, 0), files
    assert told["below_tmp"]["pwd"] == [0, told["below_tmp"]["deep"], ""]


def test_confined_task_and_its_receipt(told: dict[str, Any]) -> None:
    """Mounts, filter and landlock hold, and the kernel tells what was written."""
    confined = told["confined"]
    assert (confined["inside"]["status"], confined["outside"], confined["there"]) == (0, 1, True)
    assert [one["path"] for one in confined["inside"]["receipt"]["written"]] == ["/srv/elevate-stage"]


def test_service_is_restarted_over_the_bus(told: dict[str, Any]) -> None:
    """Another unit's process is another one afterwards."""
    restarted = told["restarted"]
    assert restarted["outcome"]["status"] == 0, restarted
    assert (restarted["another"], restarted["active"]) == (True, "active")


def test_17_a_denied_service_is_not_started_by_another_unit(told: dict[str, Any]) -> None:
    """A deny is for the units of its name, too; one of another name is refused, since systemd tells what it starts."""
    asked = dict(told["triggered"]["told"])
    others = [asked.pop(f"elevate-{name}") for name in ("other.timer", "more.path")]
    assert [text.split(": ")[1].partition(" ")[2] for text in others] == [
        "starts elevate-closed.service, which has another name"
    ] * 2
    assert asked.pop("elevate-open.timer") == 0
    assert {str(text).partition(":")[0] for text in asked.values()} == {"denied"}, asked
    assert (told["triggered"]["opened"], told["triggered"]["closed"]) == (True, "inactive")


def test_service_that_a_row_brings_is_started(told: dict[str, Any]) -> None:
    """The unit is written and its service runs, under one agreement; not where two steps write it in two places."""
    brought = told["brought"]
    assert "more than one step brings elevate-new.service" in brought["twice"]
    assert (brought["once"], brought["active"]) == (0, "active"), brought


def test_broker_that_can_not_start_comes_back_by_itself(told: dict[str, Any]) -> None:
    """Killed, and then kept from starting more often than systemd tries by default: it is back when the reason is gone."""
    wrong = told["killed"].pop("doctor")
    assert told["killed"] == {"tried": True, "back": True, "asked": [0] * 3, "another": True, "task": True}
    assert set(wrong) == {"settings", "broker"}
    assert "does not answer" in wrong["broker"]


def test_backup_is_restored(told: dict[str, Any]) -> None:
    """The broker works on, whole by itself; what happened after the copy is missing, which an anchor kept elsewhere shows."""
    restored = told["restored"]
    assert (restored["after"], restored["again"]) == (0, 0)
    assert restored["verdicts"] == [2, 1], restored


def test_login_manager_tells_sessions_over_a_network(told: dict[str, Any]) -> None:
    """A person who sits here gets the task, one who came from another machine does not; nor by a new session below it."""
    if not told["sessions"]:
        pytest.skip("this machine has no login program or no login manager")
    here, far = told["sessions"]["here"], told["sessions"]["far"]
    assert (len(here["session"]), here["told"]) == (1, [f"ADMIN_{stage.NAME}", "0"] * 2)
    assert len(far["session"]) == 1
    assert [line for line in far["told"] if "hint" not in line] == [
        "elevate: error: a remote session is not elevated here",
        "126",
    ] * 2


def test_reload_takes_the_policy_anew(told: dict[str, Any]) -> None:
    """The journal names rules that can't be read; those before them stay."""
    assert told["reloaded"] == {"denied": True, "told": True, "still": 126}


def test_doctor_finds_nothing_wrong(told: dict[str, Any]) -> None:
    """But for the sensor of these tests there is nothing to say."""
    assert (told["doctor"]["status"], list(told["doctor"]["not_ok"])) == (0, ["gestures"]), told["doctor"]


def test_stop_drains(told: dict[str, Any]) -> None:
    """A task that runs may end; the socket is gone then."""
    assert told["stopped"] == {"out": "ended\n", "status": 0, "result": "success", "socket": False}


def test_uninstall_leaves_nothing(told: dict[str, Any]) -> None:
    """No file, unit, cgroup or hidden account, which root sees without naming a folder."""
    removed = told["removed"]
    assert removed["listed"].startswith(f"{stage.NAME} (")
    assert (removed["left"], removed["units"], removed["account"]) == ([], "", False), removed
