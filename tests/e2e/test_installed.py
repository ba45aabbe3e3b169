"""Real tasks through the whole path: elevate installed as for real, an ordinary user's `elevate run`, root's daemon."""

from typing import Any

import pytest

from tests import stage

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return stage.play("tests.e2e.installed")


def test_ordinary_user_runs_a_task_through_the_installed_launcher(told: dict[str, Any]) -> None:
    """The launcher of install-service finds the machine's broker; the task is the hidden account's."""
    assert told["whoami"] == [0, f"ADMIN_{stage.NAME}\n", ""]
