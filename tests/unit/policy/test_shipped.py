"""The sets that ship: they load, their tests pass, and every rule has one."""

import pytest

from elevate.policy import Source, load, run_tests
from tests.unit.policy.build import ROOT

SETS = sorted(folder.name for folder in (ROOT / "policies").iterdir())


def test_the_sets_are_there() -> None:
    """A workstation and a CI machine."""
    assert {"ci-machine", "developer-workstation"} <= set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_tests_in_the_files_pass_and_cover_every_rule(name: str) -> None:
    """What ships says what it does."""
    files = (ROOT / "policies" / name).iterdir()

    run = run_tests(load(Source(name=file.name, data=file.read_bytes()) for file in files))

    assert [(result.test.name, result.failures) for result in run.results if result.failures] == []
    assert run.passed > 0
    assert run.uncovered == ()
