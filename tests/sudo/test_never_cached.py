"""sudo remembers that it asked; elevate never does. Each test does what sudo's time stamps are for, and is asked again.

Every script ends with a second command under ``-n``, which asks nothing: its status says whether the first answer still counts.
"""

import pytest

from tests.sudo.place import Way

pytestmark = pytest.mark.root

REMEMBERED = {
    "next-command": "$WAY true; $WAY -n true",
    "same-command-again": "$WAY id; $WAY -n id",
    "child-shell": "$WAY true; sh -c '$WAY -n true'",
    "parent-shell": "sh -c '$WAY true'; $WAY -n true",
    "sibling-shells": "sh -c '$WAY true'; sh -c '$WAY -n true'",
    "subshell": "$WAY true; ( $WAY -n true )",
    "pipeline": "$WAY true; $WAY -n true | cat",
    "other-folder": "$WAY true; cd /usr; $WAY -n true",
    "after-a-failure": "$WAY false; $WAY -n true",
    "after-a-command-that-was-not-found": "$WAY -- true; $WAY -- no-such-thing; $WAY -n true",
    "after-verify": "$WAY -v; $WAY -n true",
    "after-a-list": "$WAY true; $WAY -l >/dev/null; $WAY -n true",
    "in-the-background": "$WAY true; $WAY -n true & wait $!",
    "with-other-variables": "$WAY true; KEPT=1 $WAY -n true",
    "with-input": "$WAY true; echo x | $WAY -n cat >/dev/null",
    "explicit-root": "$WAY true; $WAY -n -u root true",
    "long-after": "$WAY true; sleep 0.2; $WAY -n true",
}
"""What sudo remembers within a terminal."""

NEVER = {
    "after-forget": "$WAY true; $WAY -k; $WAY -n true",
    "after-forget-all": "$WAY true; $WAY -K; $WAY -n true",
    "forget-with-a-command": "$WAY true; $WAY -n -k true",
    "other-session": "$WAY true; setsid -w $WAY -n true",
    "before-anything": "$WAY -n true",
}
"""What sudo does not remember either."""


def second(way: Way, script: str) -> int:
    """Run a script in which one prompt is answered, and give the status of what ran last."""
    times = 0 if script.startswith("$WAY -n") else 1
    return way.answered(f"export WAY; {script}; exit $?", times=times)[0]


@pytest.mark.parametrize("script", REMEMBERED.values(), ids=REMEMBERED)
def test_asked_again(elevate: Way, sudo: Way, script: str) -> None:
    """An answer counts for one task; with sudo, for what comes after it too."""
    piped = "| cat" in script
    assert second(elevate, script) == (0 if piped else 126)
    assert second(sudo, script) == 0


@pytest.mark.parametrize("script", NEVER.values(), ids=NEVER)
def test_asked_again_as_with_sudo(way: Way, script: str) -> None:
    """Sudo asks here, too."""
    assert second(way, script) == way.refused


def test_every_command_has_its_own_prompt(elevate: Way, sudo: Way) -> None:
    """Three commands, three answers; with sudo, one."""
    script = "$WAY true && $WAY true && $WAY true"
    status, shown = elevate.answered(script, times=3)
    assert (status, shown.count(elevate.prompt)) == (0, 3)
    status, shown = sudo.answered(script, times=1)
    assert (status, shown.count(sudo.prompt)) == (0, 1)


def test_verify_twice_asks_twice(elevate: Way, sudo: Way) -> None:
    """Nothing is extended."""
    assert elevate.answered("$WAY -v && $WAY -v", times=2)[1].count(elevate.prompt) == 2
    assert sudo.answered("$WAY -v && $WAY -v", times=1)[1].count(sudo.prompt) == 1


def test_no_file_remembers(elevate: Way, sudo: Way) -> None:
    """There is no time stamp anywhere."""
    assert elevate.answered("$WAY true")[0] == 0
    assert elevate.place.as_root("find /run/elevate -newer /run/bin/elevate ! -type d ! -type s") == ""
    assert sudo.answered("$WAY true")[0] == 0
    assert sudo.place.as_root("find /run/sudo/ts -type f") != ""


def test_second_terminal_is_asked_too(way: Way) -> None:
    """Sudo's answer counts for one terminal; here for none."""
    assert way.answered("$WAY true")[0] == 0
    assert way.answered("$WAY -n true; exit $?", times=0)[0] == way.refused
