"""The policy in force, and the one that was good last."""

from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.broker.home import create
from elevate.broker.policies import Policies
from elevate.errors import PolicyError
from elevate.tasks import Task


def _break(folder: Path) -> None:
    (folder / "policy" / "bad.toml").write_text("format = 1\n[[rule]\n")


def test_43_a_bad_policy_at_start_leaves_the_last_good_one(tmp_path: Path) -> None:
    """The broker starts with the last good policy, says so, and goes on doing its job."""
    Broker.embedded(tmp_path / "state").close()
    _break(tmp_path / "state")
    with Broker.embedded(tmp_path / "state") as broker:
        assert "bad.toml" in str(broker.status()["policy_problem"])
        assert [parse(entry).event for entry in broker.parts.store.entries()][-1] == "policy-refused"
        assert broker.elevate(Task.run(["true"])).run(capture=True).exit_status == 0
        (tmp_path / "state/policy/bad.toml").unlink()
        broker.reload_policy()
        assert broker.status()["policy_problem"] == ""


def test_43_a_bad_policy_with_no_good_one_before_is_refused(tmp_path: Path) -> None:
    """Fail closed: nothing to go on with."""
    home = create(tmp_path / "state")
    _break(home.folder)
    with pytest.raises(PolicyError, match=r"bad\.toml"):
        Policies(home.policy, kept=home.kept_policy, protected=True)


@pytest.mark.parametrize("junk", [b"", b"{}", b'[["a",1]]', b'[["a","%%%"]]', b"[", b'[["x.toml","Zm9v"]]'])
def test_a_damaged_last_good_copy_is_no_policy(tmp_path: Path, junk: bytes) -> None:
    """What can't be read exactly is not taken."""
    home = create(tmp_path / "state")
    Policies(home.policy, kept=home.kept_policy, protected=True)
    _break(home.folder)
    home.kept_policy.write_bytes(junk)
    with pytest.raises(PolicyError, match=r"bad\.toml"):
        Policies(home.policy, kept=home.kept_policy, protected=True)
