"""When a person is asked, how, and what -n, -A, -S, -v and -k make of it."""

import pytest

from tests.sudo.place import STAGE, Way

pytestmark = pytest.mark.root

RAN = ("sh", "-c", 'echo ra""n')
"""A command whose output does not stand in the prompt that shows it."""


def test_secret_is_asked_for_on_the_terminal(way: Way) -> None:
    """And not shown."""
    status, shown = way.answered("$WAY sh -c 'echo ra\"\"n'")
    assert (status, "ran\n" in shown, way.secret in shown) == (0, True, False)


def test_wrong_secret_runs_nothing(way: Way) -> None:
    """Nor does leaving then."""
    with way.declining(*RAN) as person:
        person.type("111222\n")
        if way.name == "elevate":
            person.read_until(way.prompt)
            person.type("\x03")
        assert person.finish() == way.refused
        assert "ran\n" not in person.shown


def test_terminal_echoes_again_afterwards(way: Way) -> None:
    """After the prompt the terminal is as it was."""
    with way.place.terminal(*way.command, "true", user=way.place.people.typist.pw_name) as person:
        person.read_until(way.prompt)
        assert not person.echoes()
        person.type(way.secret + "\n")
        person.finish()
        assert person.echoes()


@pytest.mark.parametrize("key", ["\x03", "\x1c"], ids=["ctrl-c", "ctrl-backslash"])
def test_key_at_the_prompt_runs_nothing(way: Way, key: str) -> None:
    """And the terminal is as it was."""
    with way.declining(*RAN) as person:
        person.type(f"{key}\n")  # sudo may miss a signal just before it reads; the line ends that
        assert person.finish() != 0
        assert ("ran\n" in person.shown, person.echoes()) == (False, True)


def test_without_a_terminal_nobody_is_asked(way: Way) -> None:
    """Who needs a prompt is refused."""
    done = way.run("echo", "ran", user=way.place.people.typist.pw_name)
    assert (done.status, done.out) == (way.refused, "")


def test_non_interactive_asks_nothing(way: Way) -> None:
    """-n: refused where a prompt is needed."""
    status, shown = way.answered("$WAY -n echo ran; exit $?", times=0)
    assert (status, "ran\n" in shown, way.prompt in shown) == (way.refused, False, False)


def test_non_interactive_runs_what_asks_nothing(way: Way) -> None:
    """-n changes nothing where no prompt is needed."""
    assert way.out("-n", "echo", "ran") == "ran"


def test_non_interactive_tells_why(way: Way) -> None:
    """On standard error."""
    assert way.run("-n", "true", user=way.place.people.typist.pw_name).err != ""


def test_root_is_asked_as_well(elevate: Way) -> None:
    """Sudo never asks root; here a rule must allow it, for root too."""
    done = elevate.place.run(*elevate.command, "echo", "ran", user="root")
    assert (done.status, done.out) == (126, "")


def test_program_can_not_answer(elevate: Way, sudo: Way) -> None:
    """-A is -n: the PIN is typed into the broker's own prompt only; the program is not even started."""
    typist = elevate.place.people.typist.pw_name
    elevate.place.as_root(
        f"printf '#!/bin/sh\\necho >> /srv/asked\\necho \"a long one\"\\n' > {STAGE}/askpass; chmod 755 {STAGE}/askpass"
    )
    elevate.place.as_root("rm -f /srv/asked; chmod 777 /srv")
    env = {"SUDO_ASKPASS": f"{STAGE}/askpass"}
    done = elevate.run("-A", "echo", "ran", user=typist, env=env)
    assert (done.status, done.out, len(done.err.splitlines())) == (126, "", 2)
    assert elevate.place.as_root("test -e /srv/asked && echo yes || echo no") == "no\n"
    assert sudo.run("-A", "-k", "echo", "ran", user=typist, env=env).out == "ran\n"


def test_askpass_asks_nothing_on_the_terminal(way: Way) -> None:
    """-A with no program: refused where a prompt is needed."""
    status, shown = way.answered("$WAY -A echo ran; exit $?", times=0)
    assert (status, "ran\n" in shown, way.prompt in shown) == (way.refused, False, False)


def test_askpass_runs_what_asks_nothing(way: Way) -> None:
    """-A changes nothing where no secret is needed."""
    assert way.out("-A", "echo", "ran") == "ran"


def test_standard_input_can_not_answer(elevate: Way, sudo: Way) -> None:
    """-S: refused before a byte is read."""
    typist = elevate.place.people.typist.pw_name
    done = elevate.shell("{ $WAY -S echo ran; cat; }", user=typist, given="274913\n")
    assert (done.out, len(done.err.splitlines())) == ("274913\n", 2)
    assert sudo.shell("$WAY -k -S echo ran", user=typist, given="a long one\n").out == "ran\n"


def test_standard_input_can_not_verify(elevate: Way, sudo: Way) -> None:
    """-S with -v: the same."""
    typist = elevate.place.people.typist.pw_name
    done = elevate.run("-S", "-v", user=typist, given="274913\n")
    assert (done.status, "hint" in done.err) == (126, True)
    assert sudo.run("-S", "-v", user=typist, given="a long one\n").status == 0
    sudo.run("-K", user=typist)


def test_standard_input_that_is_the_terminal(way: Way) -> None:
    """-S: then the secret is typed, as without."""
    status, shown = way.answered("$WAY -S sh -c 'echo ra\"\"n'")
    assert (status, "ran\n" in shown) == (0, True)


def test_piped_secret_is_not_taken_without_the_option(way: Way) -> None:
    """What is piped in is the command's, and no answer."""
    done = way.run("cat", user=way.place.people.typist.pw_name, given=way.secret + "\n")
    assert (done.status, done.out) == (way.refused, "")


def test_verify_asks_once_and_runs_nothing(way: Way) -> None:
    """-v: status 0 after the right secret."""
    assert way.answered("$WAY -v; exit $?")[0] == 0


def test_verify_without_a_terminal(way: Way) -> None:
    """-v: refused."""
    assert way.run("-v", user=way.place.people.typist.pw_name).status == way.refused


def test_verify_takes_no_command(elevate: Way, sudo: Way) -> None:
    """-v with a command: an error with sudo; here the command is not run either."""
    for way in (elevate, sudo):
        assert way.run("-v", "echo", "ran").out == ""


def test_forget_asks_nothing(way: Way) -> None:
    """-k: status 0, also where there is nothing to forget."""
    done = way.run("-k", user=way.place.people.typist.pw_name)
    assert (done.status, done.err) == (0, "")


def test_forget_all_asks_nothing(way: Way) -> None:
    """-K: the same."""
    done = way.run("-K", user=way.place.people.typist.pw_name)
    assert (done.status, done.err) == (0, "")


def test_forget_with_a_command_runs_it(way: Way) -> None:
    """-k COMMAND: as without."""
    assert way.out("-k", "echo", "ran") == "ran"


def test_forget_all_takes_no_command(way: Way) -> None:
    """-K COMMAND: an error, and nothing runs."""
    done = way.run("-K", "echo", "ran")
    assert (done.status != 0, done.out) == (True, "")


def test_nothing_is_extended(way: Way) -> None:
    """-N: runs as without."""
    assert way.out("-N", "echo", "ran") == "ran"


def test_no_lecture(elevate: Way) -> None:
    """Nothing is said but what the prompt shows."""
    assert elevate.run("true").err == ""
