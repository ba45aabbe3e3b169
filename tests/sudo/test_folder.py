"""The working directory."""

import pytest

from tests.sudo.place import STAGE, Place, Way

pytestmark = pytest.mark.root


def test_folder_is_the_callers(way: Way) -> None:
    """Where the caller is."""
    assert way.out("pwd", cwd="/usr/share") == "/usr/share"


def test_folder_by_a_link(way: Way) -> None:
    """Its real path."""
    way.place.as_root(f"ln -sfn /usr/share {STAGE}/share")
    assert way.out("pwd", "-P", cwd=f"{STAGE}/share") == "/usr/share"


def test_relative_argument(way: Way) -> None:
    """It is found from there."""
    assert way.out("ls", "-d", "bin", cwd="/usr") == "bin"


def test_folder_that_is_gone(elevate: Way, sudo: Way) -> None:
    """Sudo goes on; here the task would not run where it was shown to."""
    script = "cd /srv/gone && rmdir /srv/gone && $WAY echo ran"
    for way in (elevate, sudo):
        way.place.as_root("mkdir -m 777 -p /srv/gone; chmod 777 /srv")
        done = way.shell(script)
        assert (done.status, done.out) == ((125, "") if way is elevate else (0, "ran\n"))


def test_temporary_folder(elevate: Way, sudo: Way) -> None:
    """A task has a /tmp of its own; it stands in the caller's, which has another path there."""
    assert elevate.out("pwd", cwd="/tmp") == "/tmp/outside"
    assert sudo.out("pwd", cwd="/tmp") == "/tmp"
    for way in (elevate, sudo):
        assert way.out("stat", "-c", "%d:%i", ".", cwd="/tmp") == way.place.as_root("stat -c %d:%i /tmp").strip()


def test_folder_that_only_the_caller_enters(way: Way) -> None:
    """Root may enter it as well."""
    name = way.place.people.free.pw_name
    way.place.as_root(f"mkdir -p /srv/own-{name}; chown {name} /srv/own-{name}; chmod 700 /srv/own-{name}")
    assert way.out("pwd", cwd=f"/srv/own-{name}") == f"/srv/own-{name}"


def test_folder_that_only_the_caller_enters_as_another_user(way: Way) -> None:
    """Stands there as well, and can look for nothing in it."""
    people = way.place.people
    folder = f"/srv/private-{people.free.pw_name}"
    way.place.as_root(f"mkdir -p {folder}; touch {folder}/file; chown {people.free.pw_name} {folder}; chmod 700 {folder}")
    assert way.out("-u", people.target.pw_name, "pwd", cwd=folder) == folder
    assert way.run("-u", people.target.pw_name, "cat", "file", cwd=folder).status == 1


def test_folder_can_not_be_chosen_by_an_option(elevate: Way, sudo: Way) -> None:
    """-D wants a rule with sudo, and is not there here: change the folder first."""
    assert elevate.run("-D", "/usr", "pwd").status == 125
    assert sudo.run("-D", "/usr", "pwd").status == 1


def test_temporary_files_of_the_caller_are_not_seen(elevate: Way, sudo: Way, place: Place) -> None:
    """Nothing that somebody prepared in /tmp is there."""
    name = f"/dev/shm/{place.people.free.pw_name}"
    place.as_root(f"echo x > {name}")
    try:
        assert elevate.run("cat", name).status == 1
        assert sudo.run("cat", name).out == "x\n"
    finally:
        place.as_root(f"rm {name}")
