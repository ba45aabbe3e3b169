"""Which command a rule matches."""

import pytest

from tests.sudo.place import STAGE, Place, Way

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def stage(place: Place) -> None:
    place.as_root(f"""
        mkdir -p {STAGE}/folder/below
        printf '#!/bin/sh\\necho in folder\\n' > {STAGE}/folder/one; chmod 755 {STAGE}/folder/one
        cp {STAGE}/folder/one {STAGE}/folder/below/two; cp {STAGE}/folder/one {STAGE}/beside
        ln -sf /usr/bin/true {STAGE}/truth; ln -sf /usr/bin/stat {STAGE}/folder/stat
    """)


def may(way: Way, *words: str) -> bool:
    """Say whether the one who may a few things may do this."""
    done = way.run(*words, user=way.place.people.bound.pw_name)
    assert done.status in {0, way.refused}, done
    assert done.status == 0 or done.out == ""
    return done.status == 0


def test_named_command(way: Way) -> None:
    """It is allowed."""
    assert may(way, "/usr/bin/true")


def test_named_command_by_its_name(way: Way) -> None:
    """Found on the fixed path."""
    assert may(way, "true")


def test_other_command(way: Way) -> None:
    """It is not."""
    assert not may(way, "/usr/bin/cat", "/etc/hostname")


def test_second_command_of_a_list(way: Way) -> None:
    """Each counts."""
    assert may(way, "ls", "-d", "/root")


def test_any_arguments_where_none_are_named(way: Way) -> None:
    """A rule without arguments is for all."""
    assert may(way, "true", "/root/ hello", "world")


def test_arguments_that_are_named(way: Way) -> None:
    """These are allowed."""
    assert may(way, "echo", "hello")


def test_other_arguments(way: Way) -> None:
    """These are not."""
    assert not may(way, "echo", "bye")


def test_more_arguments(way: Way) -> None:
    """Nor are these."""
    assert not may(way, "echo", "hello", "again")


def test_fewer_arguments(way: Way) -> None:
    """Nor none."""
    assert not may(way, "echo")


def test_arguments_in_one_word(elevate: Way, sudo: Way) -> None:
    """A rule's words are words; sudo joins them with blanks before it compares."""
    assert not may(elevate, "echo", "hello ")
    assert not may(sudo, "echo", "hello ")


def test_no_arguments_are_demanded(way: Way) -> None:
    """Then none may be given."""
    assert (may(way, "id"), may(way, "id", "-u")) == (True, False)


def test_folder(way: Way) -> None:
    """Programs in it are allowed."""
    assert may(way, f"{STAGE}/folder/one")


def test_folder_below_a_folder(elevate: Way, sudo: Way) -> None:
    """`directory` is everything below; sudo's is the folder itself."""
    assert may(elevate, f"{STAGE}/folder/below/two")
    assert not may(sudo, f"{STAGE}/folder/below/two")


def test_program_beside_a_folder(way: Way) -> None:
    """It is not in it."""
    assert not may(way, f"{STAGE}/beside")


def test_way_out_of_a_folder(way: Way) -> None:
    """Dots do not lead out of it."""
    assert not may(way, f"{STAGE}/folder/../beside")


def test_link_of_another_name(way: Way) -> None:
    """A program is called by the name that it acts by, and that is not the one that the rule names."""
    assert not may(way, f"{STAGE}/truth")


def test_link_in_a_folder(elevate: Way, sudo: Way) -> None:
    """With sudo a link in an allowed folder allows the program behind it, wherever it is called."""
    assert not may(elevate, "/usr/bin/stat", "/")
    assert may(sudo, "/usr/bin/stat", "/")


def test_deny_wins(way: Way) -> None:
    """Against an allow for the same."""
    assert not may(way, "uname")


def test_deny_wins_in_any_order(elevate: Way, sudo: Way) -> None:
    """With sudo the last word counts: here it is the deny as well."""
    assert not may(elevate, "uname", "-a")
    assert not may(sudo, "uname", "-a")


def test_who_is_in_no_rule(way: Way) -> None:
    """May nothing."""
    done = way.run("true", user=way.place.people.target.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_refused_command_is_not_told_to_exist(elevate: Way) -> None:
    """In a folder that the caller can't enter."""
    elevate.place.as_root(f"mkdir -p -m 700 {STAGE}/shut; cp /usr/bin/true {STAGE}/shut/")
    there = elevate.run(f"{STAGE}/shut/true", user=elevate.place.people.bound.pw_name)
    assert there == elevate.run(f"{STAGE}/shut/nothing", user=elevate.place.people.bound.pw_name)


def test_refusal_names_a_rule_that_would_allow_it(elevate: Way) -> None:
    """One that could be written."""
    done = elevate.run("cat", "/etc/hostname", user=elevate.place.people.bound.pw_name)
    assert "[[rule]]" in done.err
