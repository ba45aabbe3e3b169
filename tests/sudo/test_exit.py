"""Exit status, output and input of the command."""

import pytest

from tests.sudo.place import Way

pytestmark = pytest.mark.root


@pytest.mark.parametrize("status", [0, 1, 42, 255], ids=["zero", "one", "other", "largest"])
def test_status_passes(way: Way, status: int) -> None:
    """The command's own."""
    assert way.run("sh", "-c", f"exit {status}").status == status


def test_output_passes(way: Way) -> None:
    """What the command prints, and nothing else."""
    assert way.run("echo", "hello") == (0, "hello\n", "")


def test_error_output_passes_apart(way: Way) -> None:
    """Standard error stays standard error."""
    assert way.run("sh", "-c", "echo oh >&2") == (0, "", "oh\n")


def test_input_passes(way: Way) -> None:
    """What is piped in is the command's standard input."""
    assert way.run("cat", given="one\ntwo\n") == (0, "one\ntwo\n", "")


def test_input_of_many_bytes_passes(way: Way) -> None:
    """More than a pipe holds."""
    assert way.run("wc", "-c", given="x" * 300_000).out.strip() == "300000"


def test_output_of_many_bytes_passes(way: Way) -> None:
    """More than a pipe holds, in order."""
    assert way.out("seq", "60000").splitlines() == [str(number) for number in range(1, 60_001)]


def test_output_that_is_no_text_passes(way: Way) -> None:
    """Every byte as it is."""
    assert way.out("printf", r"\001\377\n").encode("utf-8", "surrogateescape") == b"\x01\xff"


def test_closed_input_is_empty(way: Way) -> None:
    """Nothing to read is the end of the file."""
    assert way.run("cat") == (0, "", "")


def test_reader_that_leaves_ends_the_command(way: Way) -> None:
    """As in any pipeline."""
    done = way.shell("$WAY yes | head -n 1")
    assert (done.status, done.out) == (0, "y\n")


def test_command_that_a_signal_ends_is_told_as_such(way: Way) -> None:
    """The caller sees the same signal: a shell counts 128 and its number."""
    assert way.shell("$WAY sh -c 'kill -TERM $$'; echo $?").out == "143\n"


def test_kill_is_told_as_such(way: Way) -> None:
    """Also the signal that nobody can catch."""
    assert way.shell("$WAY sh -c 'kill -KILL $$'; echo $?").out == "137\n"


def test_own_failure_has_a_status_of_its_own(elevate: Way, sudo: Way) -> None:
    """1 could be the command's; 126 and 127 are what shells say where nothing ran."""
    words = ("-u", "nobody-at-all", "true")
    assert elevate.run(*words).status in {125, 126}
    assert sudo.run(*words).status == 1
