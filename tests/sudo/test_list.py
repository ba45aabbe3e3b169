"""-l: what one may do, and whether one may do this."""

import pytest

from tests.sudo.place import Way

pytestmark = pytest.mark.root


def test_list_for_oneself(way: Way) -> None:
    """Status 0, on standard output."""
    done = way.run("-l")
    assert (done.status, done.err, done.out != "") == (0, "", True)


def test_list_by_its_long_name(way: Way) -> None:
    """--list."""
    assert way.run("--list") == way.run("-l")


def test_list_is_the_callers(way: Way) -> None:
    """Another user's rules are not in it."""
    free, bound = way.run("-l").out, way.run("-l", user=way.place.people.bound.pw_name).out
    assert (free != bound, "echo" in free, "echo" in bound) == (True, False, True)


def test_list_names_the_commands(way: Way) -> None:
    """Paths and arguments."""
    listed = way.run("-l", user=way.place.people.bound.pw_name).out
    assert all(f"/usr/bin/{name}" in listed for name in ("true", "ls", "echo", "id", "uname"))
    assert "hello" in listed


def test_list_for_who_may_nothing(elevate: Way, sudo: Way) -> None:
    """An empty list; sudo answers with status 1."""
    target = elevate.place.people.target.pw_name
    assert elevate.run("-l", user=target) == (0, "", "")
    assert sudo.run("-l", user=target).status == 1


def test_list_asks_nobody(elevate: Way, sudo: Way) -> None:
    """Only what is the caller's own is told, so no proof is needed; sudo asks for the password."""
    typist = elevate.place.people.typist.pw_name
    assert elevate.run("-l", user=typist).status == 0
    assert sudo.run("-l", user=typist).status == 1


def test_listed_command_that_is_allowed(way: Way) -> None:
    """Status 0; nothing runs."""
    done = way.run("-l", "echo", "hello", user=way.place.people.bound.pw_name)
    assert (done.status, done.err, done.out != "hello\n") == (0, "", True)


def test_listed_command_that_is_not_allowed(way: Way) -> None:
    """Status 1, and nothing on standard error."""
    done = way.run("-l", "cat", user=way.place.people.bound.pw_name)
    assert (done.status, done.err) == (1, "")


def test_listed_command_with_other_arguments(way: Way) -> None:
    """Arguments count as they do when it is run."""
    assert way.run("-l", "echo", "other", user=way.place.people.bound.pw_name).status == 1


def test_listed_command_is_named_with_its_path(way: Way) -> None:
    """The one that would run."""
    assert "/usr/bin/echo" in way.run("-l", "/usr/bin/echo", "hello", user=way.place.people.bound.pw_name).out


def test_listed_command_that_is_not_there(elevate: Way, sudo: Way) -> None:
    """Not found, as when it is run."""
    assert elevate.run("-l", "no-such-command").status == 127
    assert sudo.run("-l", "no-such-command").status == 1


def test_list_that_nobody_reads(way: Way) -> None:
    """No crash."""
    assert way.shell("$WAY -l | true").err == ""


def test_list_of_another_user(elevate: Way, sudo: Way) -> None:
    """-U: one's own rules only."""
    other = elevate.place.people.bound.pw_name
    assert elevate.run("-U", other, "-l").out == ""
    assert sudo.run("-U", other, "-l").status in {0, 1}
