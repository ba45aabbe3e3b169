"""The kinds `package.remove` and `setting.change` on the emulated machine."""

from pathlib import Path

import pytest

from elevate.errors import TaskInvalidError
from elevate.host.registry import MACHINE, UNINSTALL
from elevate.policy import Question, Source, load
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.host.archives import wheel
from tests.unit.host.emulating import Emulated

KEY = r"HKLM\SOFTWARE\Contoso\Notes"
RULES = b"""
format = 1
[[rule]]
id = "settings"
effect = "allow"
task = { kind = "setting.change" }
why = "Any."

[[rule]]
id = "not-this"
effect = "deny"
task = { kind = "setting.change", setting = 'HKLM\\software\\contoso\\notes\\locked' }
why = "Not this one."
"""


def test_a_package_is_removed_whole(machine: Emulated, tmp_path: Path) -> None:
    """Folder and entry; what it is called and which version is what rules see."""
    machine.do(Task.install(str(wheel(tmp_path / "notes-1.0-py3-none-any.whl", {"notes.py": b"x"}))))
    assert (machine.drive / "Program Files" / "notes").is_dir()

    done = machine.do(Task.remove("notes"))

    assert (done.ended.exit_status, done.out) == (0, "removed notes\n")
    assert dict(done.inspected.facts) == {"package": "notes", "version": "1.0"}
    assert list((machine.drive / "Program Files").iterdir()) == []
    assert machine.host.machine.registry.read(MACHINE, rf"{UNINSTALL}\notes") is None


@pytest.mark.parametrize("name", ["notes", "Windows"])
def test_a_package_that_is_not_there_is_refused(machine: Emulated, name: str) -> None:
    with pytest.raises(TaskInvalidError, match="no such package"):
        machine.do(Task.remove(name))


@pytest.mark.parametrize("name", ["..", "a/b", "", "-r"])
def test_a_package_s_name_leads_nowhere(name: str) -> None:
    with pytest.raises(TaskInvalidError):
        Task.remove(name)


@pytest.mark.parametrize("value", ["dark", 42])
def test_a_setting_is_changed(machine: Emulated, value: str | int) -> None:
    """Text stays text, a number a number; the display says what is set to what."""
    task = Task.setting(KEY, "Theme", value)
    done = machine.do(task)

    assert done.ended.exit_status == 0
    assert machine.host.machine.registry.read(MACHINE, r"software\contoso\notes") == {"Theme": value}
    assert str(value) in task.display()


@pytest.mark.parametrize(
    ("key", "name", "value"), [(r"HKCU\x", "a", "b"), ("HKLM", "a", "b"), (KEY, "", "b"), (KEY, r"a\b", "b"), (KEY, "é", "b")]
)
def test_a_setting_is_the_machine_s_only(key: str, name: str, value: str) -> None:
    with pytest.raises(TaskInvalidError):
        Task.setting(key, name, value)


def test_a_number_is_a_number(machine: Emulated) -> None:
    task = Task.parse("setting.change", {"key": KEY, "name": "a", "value": "ten", "type": "number"})

    with pytest.raises(TaskInvalidError, match="not a number"):
        machine.do(task)


@pytest.mark.parametrize("name", ["Locked", "LOCKED", "locked"])
def test_no_case_leads_around_a_rule(machine: Emulated, name: str) -> None:
    """The registry knows no case, so rules see one form of each name."""
    policy = load([Source(name="rules.toml", data=RULES)])
    inspection = machine.host.inspect(Task.setting(KEY.upper(), name, "1"), machine.requester)
    inspection.close()

    decision = policy.decide(Question(requester=machine.requester, task=inspection.task, now=ManualClock().read()))

    assert decision.rules == ("not-this",)
