"""What is in the command's environment."""

import pytest

from tests.sudo.place import UNSET, Way

pytestmark = pytest.mark.root

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def variables(way: Way, *words: str, **env: str) -> dict[str, str]:
    """Give the environment of a command."""
    lines = way.out(*words, "env", "-0", env=env).rstrip("\0").split("\0")
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("name", ["USER", "LOGNAME"])
def test_name_is_the_targets(way: Way, name: str) -> None:
    """Not the caller's."""
    assert variables(way, USER="x", LOGNAME="x")[name] == "root"


def test_home_is_not_the_callers(elevate: Way, sudo: Way) -> None:
    """Elevate gives an empty one, so that no dot file of anybody is read."""
    assert "elevate" in variables(elevate, HOME="/x")["HOME"]
    assert variables(sudo, HOME="/x")["HOME"] == "/root"


def test_shell_is_not_the_callers(elevate: Way, sudo: Way) -> None:
    """A fixed one, or the target's."""
    assert variables(elevate, SHELL="/x")["SHELL"] == "/bin/sh"
    assert variables(sudo, SHELL="/x")["SHELL"] != "/x"


def test_path_is_fixed(way: Way) -> None:
    """As with secure_path."""
    assert variables(way, PATH="/run/bin:/usr/bin:/tmp")["PATH"] == PATH


def test_path_is_there_where_the_caller_has_none(way: Way) -> None:
    """The fixed one again."""
    program = way.place.as_root(f"command -v {way.command[0]} || echo /run/bin/elevate").strip()
    shown = way.place.run(program, *way.command[1:], "/usr/bin/printenv", "PATH", env={"PATH": UNSET})
    assert shown.out == PATH + "\n"


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("SUDO_USER", "pw_name"), ("SUDO_UID", "pw_uid"), ("SUDO_GID", "pw_gid")],
    ids=["user", "uid", "gid"],
)
def test_caller_is_told(way: Way, name: str, attribute: str) -> None:
    """By sudo's names."""
    assert variables(way)[name] == str(getattr(way.place.people.free, attribute))


@pytest.mark.parametrize("name", ["SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND"])
def test_caller_does_not_say_who_it_is(way: Way, name: str) -> None:
    """What the caller has under these names is not passed on."""
    assert variables(way, **{name: "forged"})[name] != "forged"


def test_own_names_of_elevate(elevate: Way) -> None:
    """Who asks, as whom, in which session, on which machine."""
    found = variables(elevate, ELEVATE_USER="forged")
    assert found["ELEVATE_USER"] == elevate.place.people.free.pw_name
    assert {"ELEVATE_UID", "ELEVATE_ADMIN", "ELEVATE_SESSION", "ELEVATE_MACHINE"} <= found.keys()


def test_most_variables_are_left_out(way: Way) -> None:
    """Whatever the caller has."""
    assert "ANYTHING" not in variables(way, ANYTHING="1")


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_BIND_NOW", "PYTHONPATH", "PERL5LIB", "BASH_ENV", "IFS"])
def test_variable_that_loads_code_is_left_out(way: Way, name: str) -> None:
    """Without being asked for."""
    assert name not in variables(way, **{name: "/tmp/x"})


def test_display_is_left_out(elevate: Way, sudo: Way) -> None:
    """It leads to a screen that the caller holds; sudo keeps it."""
    assert "DISPLAY" not in variables(elevate, DISPLAY=":9")
    assert variables(sudo, DISPLAY=":9")["DISPLAY"] == ":9"


def test_mail_is_not_set(elevate: Way, sudo: Way) -> None:
    """There is no mailbox of an account that lasts for one task."""
    assert "MAIL" not in variables(elevate)
    assert variables(sudo)["MAIL"] == "/var/mail/root"


def test_exported_function_is_left_out(way: Way) -> None:
    """A value that begins like one, under any name."""
    found = variables(way, TERM="() { :; }; echo x", KEPT="() { :; }")
    assert "() {" not in found.get("TERM", "") + found.get("KEPT", "")


def test_value_before_the_command(way: Way) -> None:
    """NAME=value, where the rule allows the name."""
    assert variables(way, "KEPT=42")["KEPT"] == "42"


def test_several_values_before_the_command(way: Way) -> None:
    """Each counts."""
    found = variables(way, "KEPT=42", "ALSO_KEPT=a b")
    assert (found["KEPT"], found["ALSO_KEPT"]) == ("42", "a b")


def test_empty_value_before_the_command(way: Way) -> None:
    """It is set, and empty."""
    assert variables(way, "KEPT=")["KEPT"] == ""


def test_preserved_variable(way: Way) -> None:
    """--preserve-env=NAME, where the rule allows the name."""
    assert variables(way, "--preserve-env=KEPT", KEPT="42")["KEPT"] == "42"


def test_preserved_variables(way: Way) -> None:
    """Names with commas between."""
    found = variables(way, "--preserve-env=KEPT,ALSO_KEPT", KEPT="1", ALSO_KEPT="2")
    assert (found["KEPT"], found["ALSO_KEPT"]) == ("1", "2")


def test_preserved_variable_that_is_not_set(way: Way) -> None:
    """It stays unset."""
    assert "KEPT" not in variables(way, "--preserve-env=KEPT")


def test_preserved_and_given_variables(way: Way) -> None:
    """Both together."""
    found = variables(way, "--preserve-env=ALSO_KEPT", "KEPT=1", ALSO_KEPT="2")
    assert (found["KEPT"], found["ALSO_KEPT"]) == ("1", "2")


def test_value_after_preserve_wins(way: Way) -> None:
    """The later word counts."""
    assert variables(way, "--preserve-env=KEPT", "KEPT=given", KEPT="had")["KEPT"] == "given"


def test_preserve_after_a_value_wins(way: Way) -> None:
    """The later word counts, also this way round."""
    assert variables(way, "KEPT=given", "--preserve-env=KEPT", KEPT="had")["KEPT"] == "had"


def test_variable_that_no_rule_allows_is_refused(elevate: Way) -> None:
    """NAME=value is not dropped in silence."""
    done = elevate.run("OTHER=1", "env")
    assert (done.status, done.out) == (126, "")


def test_dangerous_variable_is_refused_whatever_a_rule_says(elevate: Way, sudo: Way) -> None:
    """No rule can allow it; sudo's SETENV does."""
    words = ("LD_LIBRARY_PATH=/tmp", "printenv", "LD_LIBRARY_PATH")
    assert elevate.run(*words).out == ""
    assert sudo.run(*words).out == "/tmp\n"


@pytest.mark.parametrize("value", ["UTC", "EST5EDT", "Europe/Berlin"], ids=["name", "rule", "place"])
def test_time_zone_of_a_plain_form(way: Way, value: str) -> None:
    """Where the rule allows TZ."""
    assert variables(way, f"TZ={value}")["TZ"] == value


@pytest.mark.parametrize("value", ["/tmp/zone", "../zone", ":/etc/passwd"], ids=["path", "up", "colon"])
def test_time_zone_that_leads_to_a_file(elevate: Way, value: str) -> None:
    """It is refused, whatever the rule allows."""
    assert elevate.run(f"TZ={value}", "printenv", "TZ").out == ""


def test_locale_that_leads_to_a_file(elevate: Way) -> None:
    """It is refused."""
    assert elevate.run("LC_ALL=../../tmp/x", "printenv", "LC_ALL").out == ""
