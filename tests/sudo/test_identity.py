"""-u and -g: other users and groups, as far as a rule names them."""

import pwd

import pytest

from tests.sudo.place import STAGE, Way

pytestmark = pytest.mark.root


def target(way: Way) -> pwd.struct_passwd:
    return way.place.people.target


def test_user_by_name(way: Way) -> None:
    """Real and effective."""
    assert way.out("-u", target(way).pw_name, "id", "-un") == target(way).pw_name


def test_user_by_number(way: Way) -> None:
    """#N, where the user database has it."""
    assert way.out("-u", f"#{target(way).pw_uid}", "id", "-un") == target(way).pw_name


def test_all_four_numbers_are_the_users(way: Way) -> None:
    """Real, effective, saved and of the file system."""
    numbers = way.out("-u", target(way).pw_name, "grep", "^Uid:", "/proc/self/status").split()[1:]
    assert numbers == [str(target(way).pw_uid)] * 4


def test_groups_are_the_users(way: Way) -> None:
    """As the machine says."""
    groups = way.out("-u", target(way).pw_name, "id", "-Gn").split()
    assert sorted(groups) == sorted([target(way).pw_name, way.place.people.club.gr_name])


def test_groups_of_the_caller_are_lost(way: Way) -> None:
    """None of them stays."""
    own = str(way.place.people.free.pw_gid)
    assert own not in way.out("-u", target(way).pw_name, "id", "-G").split()


def test_user_has_no_rights_of_root(way: Way) -> None:
    """Nor capabilities."""
    assert way.run("-u", target(way).pw_name, "cat", "/etc/shadow").out == ""
    assert int(way.out("-u", target(way).pw_name, "grep", "^CapEff:", "/proc/self/status").split()[1], 16) == 0


@pytest.mark.parametrize("name", ["USER", "LOGNAME"])
def test_name_is_the_users(way: Way, name: str) -> None:
    """In the environment."""
    assert way.out("-u", target(way).pw_name, "printenv", name) == target(way).pw_name


def test_home_is_the_users(way: Way) -> None:
    """In the environment: what lies there is the user's own, and acts as the user only."""
    assert way.out("-u", target(way).pw_name, "printenv", "HOME") == target(way).pw_dir


def test_caller_is_told_to_another_user_too(way: Way) -> None:
    """SUDO_USER is who asked."""
    assert way.out("-u", target(way).pw_name, "printenv", "SUDO_USER") == way.place.people.free.pw_name


@pytest.mark.parametrize("name", ["no-such-user", "#999999", "#-1", "#4294967295", "#4294967296", "#", "#x"])
def test_user_that_there_is_not(way: Way, name: str) -> None:
    """It is refused, and nothing runs."""
    done = way.run("-u", name, "id")
    assert (done.status, done.out) == (way.refused, "")


@pytest.mark.parametrize("name", ["#00", "#+0", "# 0", "#0x0"], ids=["zeros", "plus", "blank", "hex"])
def test_odd_number_is_never_root(elevate: Way, sudo: Way, name: str) -> None:
    """A number has one form here; sudo reads some of these as 0."""
    done = elevate.run("-u", name, "id", "-u")
    assert (done.status, done.out) == (126, "")
    assert sudo.run("-u", name, "id", "-u").out in {"", "0\n"}


def test_root_by_number(way: Way) -> None:
    """#0 is root, by whatever says root."""
    assert way.out("-u", "#0", "id", "-u") == "0"


def test_root_under_another_name(elevate: Way, sudo: Way) -> None:
    """A second name of uid 0 can't be asked for."""
    elevate.place.as_root(
        "sed 's/^root:/toor:/;q' /etc/passwd | cat /etc/passwd - > /run/passwd; mount --bind /run/passwd /etc/passwd"
    )
    try:
        done = elevate.run("-u", "toor", "id", "-u")
        assert (done.status, done.out) == (126, "")
        assert sudo.run("-u", "toor", "id", "-u").out == "0\n"
    finally:
        elevate.place.as_root("umount /etc/passwd")


def test_hidden_admin_account_can_not_be_asked_for(elevate: Way) -> None:
    """It is the broker's."""
    assert elevate.out("true") == ""
    done = elevate.run("-u", f"ADMIN_{elevate.place.people.free.pw_name}", "id")
    assert (done.status, done.out) == (126, "")


def test_user_that_no_rule_names(way: Way) -> None:
    """Another one than the rule's."""
    done = way.run("-u", way.place.people.free.pw_name, "whoami", user=way.place.people.bound.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_user_that_a_rule_names(way: Way) -> None:
    """For this command."""
    assert way.out("-u", target(way).pw_name, "whoami", user=way.place.people.bound.pw_name) == target(way).pw_name


def test_rule_for_a_user_is_not_for_root(way: Way) -> None:
    """The same command without -u."""
    done = way.run("whoami", user=way.place.people.bound.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_rule_for_root_is_not_for_a_user(way: Way) -> None:
    """A command that is allowed as root only."""
    done = way.run("-u", target(way).pw_name, "ls", "-d", "/", user=way.place.people.bound.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_group_with_a_user(way: Way) -> None:
    """It is the first one; the user's others stay."""
    words = ("-u", way.place.people.bound.pw_name, "-g", way.place.people.club.gr_name)
    assert way.out(*words, "id", "-gn") == way.place.people.club.gr_name
    assert way.place.people.bound.pw_name in way.out(*words, "id", "-Gn").split()


def test_group_alone_runs_as_the_caller(way: Way) -> None:
    """With the group."""
    club = way.place.people.club
    assert way.out("-g", club.gr_name, "id", "-un") == way.place.people.free.pw_name
    assert way.out("-g", club.gr_name, "id", "-gn") == club.gr_name


def test_group_by_number(way: Way) -> None:
    """#N, where the group database has it."""
    club = way.place.people.club
    assert way.out("-g", f"#{club.gr_gid}", "id", "-g") == str(club.gr_gid)


def test_further_group_made_first(way: Way) -> None:
    """One that the user is in anyway."""
    words = ("-u", target(way).pw_name, "-g", way.place.people.club.gr_name)
    assert sorted(way.out(*words, "id", "-Gn").split()) == sorted([target(way).pw_name, way.place.people.club.gr_name])


@pytest.mark.parametrize("name", ["no-such-group", "#999999", "#-1"])
def test_group_that_there_is_not(way: Way, name: str) -> None:
    """It is refused, and nothing runs."""
    done = way.run("-g", name, "id")
    assert (done.status, done.out) == (way.refused, "")


def test_group_that_no_rule_names(way: Way) -> None:
    """For a command that may be run without it."""
    done = way.run("-g", way.place.people.club.gr_name, "true", user=way.place.people.bound.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_group_of_root_with_another_user(elevate: Way, sudo: Way) -> None:
    """It opens what root's group may, so that nobody can ask for it."""
    done = elevate.run("-u", target(elevate).pw_name, "-g", "root", "id", "-gn")
    assert (done.status, done.out) == (126, "")
    assert sudo.out("-u", target(sudo).pw_name, "-g", "root", "id", "-gn") == "root"


def test_listed_command_as_another_user(way: Way) -> None:
    """-l -u: as when it is run."""
    bound = way.place.people.bound.pw_name
    assert way.run("-l", "-u", target(way).pw_name, "whoami", user=bound).status == 0
    assert way.run("-l", "-u", target(way).pw_name, "ls", user=bound).status == 1


def test_files_that_another_user_makes(way: Way) -> None:
    """They are that user's."""
    way.place.as_root("mkdir -p -m 777 /srv/shared; chmod 777 /srv/shared; rm -f /srv/shared/made")
    assert way.run("-u", target(way).pw_name, "touch", "/srv/shared/made").status == 0
    assert way.place.as_root("stat -c %U /srv/shared/made").strip() == target(way).pw_name


def test_script_as_another_user(way: Way) -> None:
    """It runs as that user, too."""
    way.place.as_root(f"printf '#!/bin/sh\\nid -un\\n' > {STAGE}/who; chmod 755 {STAGE}/who")
    assert way.out("-u", target(way).pw_name, f"{STAGE}/who") == target(way).pw_name


def test_prompt_says_as_whom(elevate: Way) -> None:
    """With number and groups; or that it is root."""
    who = target(elevate)
    _, shown = elevate.answered(f"$WAY -u {who.pw_name} true")
    assert f"runs as    {who.pw_name} (uid {who.pw_uid}; groups {who.pw_name}, {who.pw_name}-club)" in shown
    assert "rights  " not in shown
    _, shown = elevate.answered("$WAY true")
    assert "\n  rights     root\n" in shown
