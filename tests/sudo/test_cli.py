"""How the command line is read."""

import pytest

from tests.sudo.place import Way

pytestmark = pytest.mark.root

ID = ("id", "-un")


def test_dashes_end_the_options(way: Way) -> None:
    """What follows is the command."""
    assert way.out("--", *ID) == "root"


def test_dashes_after_an_option(way: Way) -> None:
    """The same after others."""
    assert way.out("-u", "root", "--", *ID) == "root"


def test_after_dashes_an_option_is_a_command(elevate: Way, sudo: Way) -> None:
    """And is not found."""
    assert elevate.run("--", "-u", "root", "true").status == 127
    assert sudo.run("--", "-u", "root", "true").status == 1


@pytest.mark.parametrize(
    "words",
    [("-u", "root"), ("-uroot",), ("--user", "root"), ("--user=root",)],
    ids=["apart", "joined", "long-apart", "long-joined"],
)
def test_value_of_an_option(way: Way, words: tuple[str, ...]) -> None:
    """Four ways to write it."""
    assert way.out(*words, *ID) == "root"


def test_equals_sign_after_a_short_option_is_part_of_the_value(way: Way) -> None:
    """There is no user of that name."""
    done = way.run("-u=root", *ID)
    assert (done.status, done.out) == (way.refused, "")


def test_options_of_the_command_are_the_commands(way: Way) -> None:
    """After the command nothing is read any more."""
    assert way.out("echo", "-n", "-u", "root") == "-u root"


def test_flags_may_be_joined(way: Way) -> None:
    """As -nk."""
    assert way.out("-nk", "echo", "x") == "x"


def test_unknown_option_is_an_error(way: Way) -> None:
    """And nothing runs."""
    done = way.run("--bad-option", "echo", "x")
    assert (done.status != 0, done.out) == (True, "")


def test_no_command_is_an_error(way: Way) -> None:
    """There is nothing to run."""
    done = way.run()
    assert (done.status != 0, done.out) == (True, "")


def test_option_without_its_value_is_an_error(way: Way) -> None:
    """And nothing runs."""
    done = way.run("-u")
    assert (done.status != 0, done.out) == (True, "")


def test_closed_error_output_is_no_crash(way: Way) -> None:
    """A message that nobody reads changes nothing."""
    assert way.shell("$WAY --bad-option 2>&1 | true").err == ""


def test_no_other_host(elevate: Way, sudo: Way) -> None:
    """What follows -h is not run, and that is no success."""
    done = elevate.run("-h", "localhost", "true")
    assert (done.status, "the option -h takes no command" in done.err) == (125, True)
    assert sudo.run("-h", "localhost", "true").status == 1


def test_help_is_printed(way: Way) -> None:
    """On standard output, with status 0."""
    done = way.run("--help")
    assert (done.status, done.err, "usage: " in done.out) == (0, "", True)


def test_word_with_equals_after_the_command_is_an_argument(way: Way) -> None:
    """Only words before the command are additions to the environment."""
    assert way.out("echo", "A=b") == "A=b"


def test_arguments_stay_what_they_are(way: Way) -> None:
    """Blanks, quotes, stars, backslashes, the empty one, and a line end."""
    words = ("a  b", "'", '"', "*", "\\", "", "x\ny", "$HOME", ";")
    assert way.out("printf", "[%s]", *words) == "".join(f"[{word}]" for word in words)


def test_long_command_line_passes(way: Way) -> None:
    """Of many kilobytes."""
    words = ["x" * 100] * 200
    assert way.out("echo", *words) == " ".join(words)


def test_through_a_link(way: Way) -> None:
    """The program may be called by another name."""
    folder = way.place.people.free.pw_name
    way.place.as_root(f"mkdir -p /srv/{folder}; ln -sf $(command -v {way.command[0]} || echo /run/bin/elevate) /srv/{folder}/x")
    assert way.place.run(f"/srv/{folder}/x", *way.command[1:], "echo", "hi").out == "hi\n"


@pytest.mark.parametrize("option", ["-i", "-s"], ids=["login", "shell"])
def test_shell_needs_a_rule(elevate: Way, sudo: Way, option: str) -> None:
    """No option makes one."""
    done = elevate.run(option, "echo", "x")
    assert (done.status, done.out) == (126, "")
    assert sudo.run(option, "echo", "x").out == "x\n"


def test_whole_environment_can_not_be_kept(elevate: Way, sudo: Way) -> None:
    """Only named variables."""
    done = elevate.run("-E", "printenv", "KEPT", env={"KEPT": "x"})
    assert (done.status, done.out) == (126, "")
    assert sudo.run("-E", "printenv", "KEPT", env={"KEPT": "x"}).out == "x\n"


def test_whole_environment_by_its_long_name(elevate: Way, sudo: Way) -> None:
    """The next word is no list."""
    done = elevate.run("--preserve-env", "printenv", "KEPT", env={"KEPT": "x"})
    assert (done.status, done.out) == (126, "")
    assert sudo.run("--preserve-env", "printenv", "KEPT", env={"KEPT": "x"}).out == "x\n"


_ABSENT = [
    ("-b",),
    ("-H",),
    ("-P",),
    ("-B",),
    ("-D", "/usr"),
    ("-p", "say it"),
    ("-C", "9"),
    ("-T", "9"),
    ("-R", "/usr"),
    ("-V",),
]


@pytest.mark.parametrize("words", _ABSENT, ids=lambda words: words[0][1:])
def test_option_that_there_is_not(elevate: Way, sudo: Way, words: tuple[str, ...]) -> None:
    """It says so and what to do instead, and nothing runs."""
    done = elevate.run(*words, "true")
    assert (done.status, done.out) == (125, "")
    assert (words[0] in done.err, "--: elevate" in done.err, len(done.err.splitlines())) == (True, False, 2)
    assert sudo.run(*words, "true").status in {0, 1}
