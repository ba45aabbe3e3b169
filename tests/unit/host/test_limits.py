"""What a task keeps of the broker's own limits."""

from pathlib import Path

import pytest

from elevate.host import cgroups, limits
from elevate.host.launcher import Jail, Launcher
from tests.unit.host.acting import Linux
from tests.unit.host.run import run_argv

FORKS = "i=0; while [ $i -lt 600 ]; do sleep 100 & i=$((i+1)); done; echo all"


@pytest.mark.parametrize(("broker", "task"), [("-500\n", "0"), ("-1\n", "0"), ("0\n", "0\n"), ("300\n", "300\n")])
def test_protection_from_the_kernels_choice_is_lost(tmp_path: Path, broker: str, task: str) -> None:
    """What the service's unit gives the broker is not the task's; what makes it more likely stays."""
    path = tmp_path / "oom_score_adj"
    path.write_text(broker)
    limits.lose_protection(str(path))
    assert path.read_text() == task


@pytest.mark.parametrize(
    ("pids", "threads", "most"),
    [(4_194_304, 2_000_000, 16_384), (32_768, 192_730, 4_096), (4_194_304, 7_800, 1_024), (0, 0, 1_024)],
)
def test_49_one_account_can_not_have_all_processes_of_the_service(tmp_path: Path, pids: int, threads: int, most: int) -> None:
    """The service has half of the machine's, whichever bound is lower; one account has a quarter of that."""
    paths = (str(tmp_path / "pids"), str(tmp_path / "threads"))
    for path, number in zip(paths, (pids, threads), strict=True):
        Path(path).write_text(f"{number}\n")
    assert limits.processes(paths) == most


def test_a_machine_that_tells_nothing_has_the_usual_bound(tmp_path: Path) -> None:
    """As one without these files."""
    assert limits.processes((str(tmp_path / "no"), str(tmp_path / "no"))) == 16_384


@pytest.mark.root
@pytest.mark.parametrize(("most", "said"), [(512, ""), (4096, "all\n")])
def test_task_as_uid_0_does_not_have_all_processes_of_the_service(linux: Linux, most: int, said: str) -> None:
    """As many as the broker was told; no resource limit binds uid 0."""
    if not limits.trees_are_bounded():
        pytest.skip("this kernel counts processes by cgroup only, and not in every one")
    jail = Jail(uid=0, gid=0, home=linux.host.provision(linux.requester).home)
    with Launcher(processes=most) as launcher:
        report, text = run_argv(launcher, ("/bin/sh", "-c", FORKS), jail=jail)
    assert (text, report.exit_status == 0, report.leftover) == (said, bool(said), 0)


@pytest.mark.parametrize(
    ("release", "bounded"),
    [
        ("6.14.0", True),
        ("6.18.44-fc", True),
        ("7.0-rc1", True),
        ("6.13.12", False),
        ("5.15.0-101-generic", False),
        ("x", False),
    ],
)
def test_file_of_the_machines_is_not_written(release: str, bounded: bool) -> None:  # noqa: FBT001 - a case of the table
    """Before Linux 6.14 a bound on process numbers is the whole machine's."""
    assert limits.trees_are_bounded(release) is bounded


@pytest.mark.parametrize("bounded", [True, False])
def test_cgroup_counts_where_the_namespace_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, bounded: bool) -> None:
    """Not both; what has no such file is bounded by neither."""
    # The kernel's age is all that is played here: both files are plain ones.
    monkeypatch.setattr(limits, "trees_are_bounded", lambda: bounded)
    for name in ("pids.max", "pid_max"):
        (tmp_path / name).write_text("max")
    limits.bound_tree(str(tmp_path / "pid_max"))
    limits.bound_cgroup(str(tmp_path))
    limits.bound_cgroup(str(tmp_path / "none"))
    number = str(limits.processes())
    assert ((tmp_path / "pid_max").read_text(), (tmp_path / "pids.max").read_text()) == (
        (number, "max") if bounded else ("max", number)
    )


def test_cgroups_that_can_count_are_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own, and the one below it that holds the tasks'; one that may not divide says nothing."""
    monkeypatch.setattr(limits, "trees_are_bounded", lambda: False)
    parent = tmp_path / "elevate"
    cgroups.bound(str(parent))
    assert not parent.exists()
    assert not cgroups.counts(str(parent))
    parent.mkdir()
    for folder in (tmp_path, parent):
        (folder / "cgroup.controllers").write_text("cpu pids\n")
    assert not cgroups.counts(str(parent))
    cgroups.bound(str(parent))
    assert [(folder / "cgroup.subtree_control").read_text() for folder in (tmp_path, parent)] == ["+pids", "+pids"]
    for told, counted in (("", False), ("cpu pids\n", True)):  # what the kernel made of it
        (parent / "cgroup.subtree_control").write_text(told)
        assert cgroups.counts(str(parent)) is counted
    assert cgroups.counts("/sys/fs/cgroup/pids/elevate")
