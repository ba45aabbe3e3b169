"""The terminal: keys, screen, size, job control, pipes beside it, and that it is left as it was."""

import fcntl
import os
import signal
import struct
import termios
from functools import partial

import pytest

from tests.sudo.place import STAGE, UNSET, Way, wait_until
from tests.transcripts.terminal import Terminal

pytestmark = pytest.mark.root


def shell(way: Way, user: str = "") -> Terminal:
    """Start a shell with job control, in which $WAY is this way, and which says when it is ready."""
    env = {"PS1": "ready> ", "WAY": " ".join(way.command)}
    person = way.place.terminal("/bin/bash", "--norc", "--noprofile", "-i", env=env, user=user)
    person.read_until("ready> ")
    return person


def shown_by(way: Way, script: str) -> str:
    """Run a shell script on a terminal, in which $WAY is this way; give what it shows behind its last line of hashes."""
    with way.place.terminal(*way.script(f"{script}; echo '##'$?")) as person:
        assert person.finish() == 0, person.shown
        return person.shown.replace("\r", "")


def leave(person: Terminal, *, waiting: bool = True) -> None:
    """End the shell, once it reads again."""
    if waiting:
        person.read_until("ready> ")
    person.type("exit\n")
    person.finish()


def is_raw(person: Terminal) -> bool:
    """Say whether keys like Ctrl-Z are passed on."""
    return not termios.tcgetattr(person._slave)[3] & termios.ISIG


def resize(person: Terminal, rows: int, columns: int) -> None:
    fcntl.ioctl(person.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_streams_are_a_terminal(way: Way) -> None:
    """All three."""
    assert "all1\n" in shown_by(way, "$WAY sh -c 'test -t 0 && test -t 1 && test -t 2 && echo all$((1))'")


def test_terminal_is_another_one(way: Way) -> None:
    """Not the caller's, as with use_pty."""
    with way.place.terminal(*way.command, "sh", "-c", "echo at $(tty)") as person:
        person.read_until("at /dev/pts/")
        assert f"at {os.ttyname(person._slave)}\n" not in person.shown
        person.finish()


def test_terminal_can_be_opened_by_its_name(way: Way) -> None:
    """/dev/tty is the same."""
    assert "by name1\n" in shown_by(way, "$WAY sh -c 'echo by name$((1)) > /dev/tty'")


def test_keys_reach_the_command(way: Way) -> None:
    """A line that is typed."""
    with way.place.terminal(*way.command, "sh", "-c", 'echo go$((1)); read -r word; echo "heard $word"') as person:
        person.read_until("go1")
        person.type("hello\n")
        person.read_until("heard hello")
        assert person.finish() == 0


def test_keys_reach_only_what_a_rule_lets_hear(elevate: Way, sudo: Way) -> None:
    """Any command with sudo; any other reads the end of the file here, and the prompt says so before."""
    hears = f"{STAGE}/folder/hears"
    script = r"#!/bin/sh\necho go; read -r word; echo heard-$word-\n"
    elevate.place.as_root(f"mkdir -p {STAGE}/folder; printf '{script}' > {hears}; chmod 755 {hears}")
    bound = elevate.place.people.bound.pw_name
    with elevate.terminal(hears, user=bound) as person:
        assert "none, no keys either; pipe it in, or use a rule with interactive\n" in person.read_until("go\n")
        person.read_until("heard--\n")
        assert person.finish() == 0
    with sudo.terminal(hears, user=bound) as person:
        person.read_until("go\n")
        person.type("hello\n")
        person.read_until("heard-hello-\n")
        assert person.finish() == 0


def test_end_of_input_reaches_the_command(way: Way) -> None:
    """Ctrl-D."""
    with way.place.terminal(*way.command, "sh", "-c", "echo go$((1)); cat; echo over$((1))") as person:
        person.read_until("go1")
        person.type("\x04")
        person.read_until("over1")
        assert person.finish() == 0


def test_size_is_the_callers(way: Way) -> None:
    """From the start."""
    with way.place.terminal(*way.script("read -r x; $WAY stty size")) as person:
        resize(person, 31, 97)
        person.type("\n")
        person.read_until("31 97")
        assert person.finish() == 0


def test_size_follows(way: Way) -> None:
    """When the window changes."""
    script = "trap 'stty size; exit 0' WINCH; echo go$((1)); while :; do sleep 0.02; done"
    with way.place.terminal(*way.command, "sh", "-c", script) as person:
        person.read_until("go1")
        resize(person, 20, 50)
        person.read_until("20 50")
        assert person.finish() == 0


def test_status_passes_on_a_terminal(way: Way) -> None:
    """The command's own."""
    assert "##7\n" in shown_by(way, "$WAY sh -c 'exit 7'")


def test_ctrl_c_is_the_commands(way: Way) -> None:
    """It may catch it and go on."""
    script = "trap 'echo caught$((1))' INT; echo go$((1)); read -r word; read -r word; echo \"then $word\""
    with way.place.terminal(*way.command, "sh", "-c", script) as person:
        person.read_until("go1")
        person.type("\x03")
        person.read_until("caught1")
        person.type("on\non\n")
        person.read_until("then on")
        assert person.finish() == 0


@pytest.mark.parametrize(("key", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)], ids=["interrupt", "quit"])
def test_key_ends_the_command(way: Way, key: str, number: int) -> None:
    """And the caller sees by what."""
    with way.place.terminal(*way.command, "sh", "-c", "echo go$((1)); exec sleep 100") as person:
        person.read_until("go1")
        person.type(key)
        assert person.finish() == -number


def test_ctrl_z_stops_the_job(way: Way) -> None:
    """The shell has the terminal again, as it was; fg goes on."""
    with shell(way) as person:
        person.type("$WAY sh -c 'echo go$((1)); read -r word; echo \"heard $word\"'\n")
        person.read_until("go1")
        person.type("\x1a")
        person.read_until("Stopped")
        person.read_until("ready> ")
        person.type("echo shell $((40 + 2)); fg\n")
        person.read_until("shell 42")
        wait_until(lambda: is_raw(person))
        person.type("back\n")
        person.read_until("heard back")
        leave(person)


def test_stopped_twice(elevate: Way) -> None:
    """And continued twice."""
    with shell(elevate) as person:
        person.type("$WAY sh -c 'echo go$((1)); while read -r word; do echo \"heard $word\"; done'\n")
        person.read_until("go1")
        for word in ("one", "two"):
            person.type("\x1a")
            person.read_until("Stopped")
            person.read_until("ready> ")
            person.type("fg\n")
            wait_until(lambda: is_raw(person))
            person.type(f"{word}\n")
            person.read_until(f"heard {word}")
        person.type("\x04")
        leave(person)


def test_stopped_command_goes_on_in_the_background(elevate: Way) -> None:
    """bg: it runs, and what it prints is shown."""
    with shell(elevate) as person:
        person.type("$WAY sh -c 'echo go$((1)); while ! test -e /run/stage/on; do sleep 0.02; done; echo wrote$((1))'\n")
        person.read_until("go1")
        person.type("\x1a")
        person.read_until("Stopped")
        person.type("bg\n")
        person.read_until("&")
        elevate.place.as_root("touch /run/stage/on")
        person.read_until("wrote1")
        elevate.place.as_root("rm /run/stage/on")
        leave(person, waiting=False)


def test_ctrl_z_at_the_prompt(elevate: Way, sudo: Way) -> None:
    """Sudo stops, and asks again when it goes on; here it is a key as any that is no part of a PIN."""
    for way in (elevate, sudo):
        with shell(way, way.place.people.typist.pw_name) as person:
            person.type("$WAY echo wrote$((1))\n")
            person.read_until(way.prompt)
            person.type("\x1a")
            if way is sudo:
                person.type("\n")  # it may miss a signal just before it reads; the line ends that
                person.read_until("Stopped")
                person.read_until("ready> ")
                person.type("fg\n")
                person.read_until(way.prompt)
            person.type(way.secret + "\n")
            person.read_until("wrote1")
            leave(person)


def test_started_in_the_background(sudo: Way) -> None:
    """The shell keeps the keys; what is printed is shown."""
    with shell(sudo) as person:
        person.type("$WAY echo wrote$((1)) & wait\n")
        person.read_until("wrote1")
        leave(person)


def test_prompt_waits_for_the_foreground(elevate: Way, sudo: Way) -> None:
    """Started with &, it stops before it would take the terminal from the shell; fg asks."""
    for way in (elevate, sudo):
        with shell(way) as person:
            person.type("$WAY -k true & true\n") if way is sudo else person.type("$WAY true &\n")
            person.read_until("ready> ")
            while way is elevate and "Stopped" not in person.shown:
                person.type("jobs\n")
                person.read_until("ready> ")
            if way is elevate:
                person.type("fg\n")
                person.read_until("ready> ")
            person.type("wait; echo over $((1 + 1))\n")
            person.read_until("over 2")
            leave(person)


def test_started_in_the_background_to_ask_nothing(way: Way) -> None:
    """-n: it runs there."""
    with shell(way) as person:
        person.type("$WAY -n echo wrote$((1)) & wait\n")
        person.read_until("wrote1")
        leave(person)


def test_left_in_the_background(elevate: Way, sudo: Way) -> None:
    """No shell can bring it to the foreground: sudo runs; here it is one of a session that nobody knows."""
    for way, shown in ((sudo, "wrote1"), (elevate, "a remote session is not elevated")):
        with shell(way) as person:
            person.type("($WAY echo wrote$((1)) &)\n")
            person.read_until(shown)
            leave(person, waiting=False)


def test_left_in_the_background_nobody_is_asked(way: Way) -> None:
    """Who needs a prompt is refused, and does not wait for ever."""
    with shell(way, way.place.people.typist.pw_name) as person:
        person.type("( { $WAY echo wrote$((1)); echo status $? over; } & )\n")
        person.read_until(f"status {way.refused} over")
        leave(person, waiting=False)
        assert "wrote1" not in person.shown


def test_terminal_is_as_before(way: Way) -> None:
    """When the command has ended."""
    shown = shown_by(way, "stty -g; $WAY true; stty -g")
    modes = [line for line in shown.splitlines() if line.count(":") > 20]
    assert (len(modes), len(set(modes))) == (2, 1)


def test_terminal_is_as_before_whatever_the_command_set(way: Way) -> None:
    """Its settings were its own terminal's."""
    shown = shown_by(way, "stty -g; $WAY stty raw -echo; stty -g")
    modes = [line for line in shown.splitlines() if line.count(":") > 20]
    assert (len(modes), len(set(modes))) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_terminal_is_as_before_after_a_signal(way: Way, number: int) -> None:
    """To the one who runs it."""
    with way.place.terminal(*way.command, "sh", "-c", "echo go$((1)); exec sleep 100") as person:
        person.read_until("go1")
        wait_until(lambda: not person.echoes())
        person.process.send_signal(number)
        person.finish()
        assert person.echoes()


def test_terminal_is_as_before_after_kill(elevate: Way, sudo: Way) -> None:
    """Nobody can catch it: the broker puts the terminal right. With sudo it stays raw."""
    for way in (elevate, sudo):
        with way.place.terminal(*way.command, "sh", "-c", "echo go$((1)); exec sleep 100") as person:
            person.read_until("go1")
            wait_until(partial(is_raw, person))
            person.process.kill()
            person.process.wait()
            if way is elevate:
                wait_until(person.echoes)
            else:
                assert not person.echoes()


def test_input_from_a_pipe(way: Way) -> None:
    """Beside a terminal: it is the command's input, and the rest is the terminal."""
    shown = shown_by(way, "echo word | $WAY sh -c 'read -r x; echo \"got $x\"; test -t 0 || test -t 1 && echo mixed$((1))'")
    assert "got word\nmixed1\n" in shown


def test_output_into_a_pipe(way: Way) -> None:
    """Beside a terminal."""
    assert "[x]\n" in shown_by(way, "$WAY sh -c 'test -t 1 || echo x' | sed 's/.*/[&]/'")


def test_error_output_into_a_file(way: Way) -> None:
    """Beside a terminal."""
    way.place.as_root("chmod 777 /srv")
    script = "$WAY sh -c 'test -t 1 && ! test -t 2 && echo to file$((1)) >&2' 2> /srv/error; cat /srv/error; rm -f /srv/error"
    assert "to file1\n" in shown_by(way, script)


def test_lines_end_once_beside_a_pipe(elevate: Way, sudo: Way) -> None:
    """What is shown has one carriage return at most; sudo's may have two."""
    for way in (elevate, sudo):
        with way.place.terminal(*way.script("echo x | $WAY sh -c 'cat; echo over$((1))'")) as person:
            person.finish()
            assert "over1" in person.shown
            assert "\r" not in person.shown or way is sudo  # the reader has taken one already


def test_keys_beside_a_piped_input(way: Way) -> None:
    """/dev/tty is the terminal, and the keys are there for who reads it."""
    script = "echo word | $WAY sh -c 'read -r x; echo go$((1)); read -r y < /dev/tty; echo \"$x and $y\"'"
    with way.place.terminal(*way.script(script)) as person:
        person.read_until("go1")
        person.type("key\n")
        person.read_until("word and key")
        assert person.finish() == 0


def test_keys_beside_a_piped_output(way: Way) -> None:
    """The command reads the terminal, and what it prints goes into the pipe."""
    with way.place.terminal(
        *way.script("$WAY sh -c 'echo go$((1)) >&2; read -r x; echo \"got $x\"' | sed 's/.*/[&]/'")
    ) as person:
        person.read_until("go1")
        person.type("key\n")
        person.read_until("[got key]")
        assert person.finish() == 0


def test_neighbour_in_a_pipeline_has_the_keys(way: Way) -> None:
    """As long as the command does not ask for them: a pager is not starved."""
    script = "$WAY sh -c 'echo out; sleep 0.5' | sh -c 'read -r x; echo go$((1)); read -r y < /dev/tty; echo \"$x and $y\"'"
    with way.place.terminal(*way.script(script)) as person:
        person.read_until("go1")
        person.type("key\n")
        person.read_until("out and key")
        assert person.finish() == 0


def test_ctrl_c_ends_a_pipeline(way: Way) -> None:
    """Both ends of it."""
    with way.place.terminal(*way.script("$WAY sh -c 'echo go$((1)) >&2; exec sleep 100' | cat; echo over$((1))")) as person:
        person.read_until("go1")
        person.type("\x03")
        assert person.finish() != 0
        assert "over1" not in person.shown


def test_ctrl_z_stops_a_pipeline(elevate: Way) -> None:
    """And fg goes on with it."""
    with shell(elevate) as person:
        person.type(
            "$WAY sh -c 'echo go$((1)) >&2; while ! test -e /run/stage/on; do sleep 0.02; done; echo wrote$((1))' | cat\n"
        )
        person.read_until("go1")
        person.type("\x1a")
        person.read_until("Stopped")
        elevate.place.as_root("touch /run/stage/on")
        person.type("fg\n")
        person.read_until("wrote1")
        elevate.place.as_root("rm /run/stage/on")
        leave(person)


def test_kind_of_the_terminal_passes(way: Way) -> None:
    """TERM."""
    with way.place.terminal(*way.command, "sh", "-c", 'echo "is $TERM"', env={"TERM": "xterm-256color"}) as person:
        person.read_until("is xterm-256color\n")


@pytest.mark.parametrize("value", ["../../etc/x", "a%b", "/tmp/x"], ids=["up", "percent", "path"])
def test_kind_of_an_odd_form_does_not_pass(way: Way, value: str) -> None:
    """It could lead to a file."""
    with way.place.terminal(*way.command, "sh", "-c", 'echo "is [$TERM]"', env={"TERM": value}) as person:
        person.read_until("is [")
        person.finish()
        assert f"is [{value}]" not in person.shown


def test_kind_that_is_not_known(elevate: Way, sudo: Way) -> None:
    """Left out, and without a terminal always; sudo says unknown."""
    words = ("sh", "-c", 'echo "is [$TERM]"')
    with elevate.place.terminal(*elevate.command, *words, env={"TERM": UNSET}) as person:
        person.read_until("is []")
    assert elevate.out(*words) == "is []"
    assert sudo.out(*words) == "is [unknown]"


def test_much_output_on_a_terminal(way: Way) -> None:
    """All of it, in order."""
    shown = shown_by(way, "$WAY seq 30000").splitlines()
    assert [line for line in shown if line.isdigit()] == [str(number) for number in range(1, 30_001)]


def test_session_on_a_terminal(way: Way) -> None:
    """The command leads a group in the foreground of a session that is not the caller's."""
    script = (
        "own=$(ps -o sid= $$); $WAY sh -c 'ps -o sid=,pgid=,tpgid= $$' | { read -r s p t; echo \"$s $p $t\"; }; echo s $own"
    )
    lines = [line.split() for line in shown_by(way, script).splitlines()]
    session, group, foreground = next(
        line for line in lines if len(line) == 3 and all(word.lstrip("-").isdigit() for word in line)
    )
    assert session != next(line[1] for line in lines if line[:1] == ["s"])
    assert (group != session, foreground) in {(True, group), (True, session), (False, group)}
