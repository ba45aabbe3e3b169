"""sudo's ways with ``elevate run``: kept where they can be, and explained where they can't."""

import os

import pytest

from tests.e2e.daemon import PIN, Daemon
from tests.transcripts.terminal import Terminal


def said(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    status, out, err = daemon.run(*words)
    return status, out.decode(), err.decode()


def test_k_has_nothing_to_forget(daemon: Daemon) -> None:
    """Nothing is ever cached."""
    expected = "elevate keeps no rights and no time stamp: there is nothing to forget\n"
    for option in ("-k", "-K", "--reset-timestamp", "--remove-timestamp"):
        assert said(daemon, option) == (0, expected, "")
    assert said(daemon, "-k", "echo", "ran") == (0, "ran\n", "")


def test_l_prints_the_rules_for_the_caller(daemon: Daemon) -> None:
    """One line a rule."""
    status, out, err = said(daemon, "-l")
    assert (status, err) == (0, "")
    assert "allow   run-system-programs: " in out
    assert "deny    no-lasting-shell: " in out


def test_l_with_a_command_answers_by_its_status(daemon: Daemon) -> None:
    """0 where it would be allowed after a prompt, 1 where not; nothing runs and nobody is asked."""
    status, out, _ = said(daemon, "-l", "id", "-u")
    assert (status, out.splitlines()[0]) == (0, "allowed after credential: id -u")
    status, out, _ = said(daemon, "-l", "sh")
    assert (status, out.splitlines()[0]) == (1, "denied: sh")


def test_v_verifies_a_gesture_and_elevates_nothing(daemon: Daemon) -> None:
    """The broker's prompt, the PIN, and no task."""
    with daemon.connect() as broker:
        before = broker.status()["open_requests"]
    with Terminal(daemon.argv("-v")) as person:
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        assert person.finish() == 0
    with daemon.connect() as broker:
        assert broker.status()["open_requests"] == before
    assert said(daemon, "-v")[0] == 126


def test_u_root_is_the_admin_account_and_the_emulated_machine_has_no_others(daemon: Daemon) -> None:
    """The rule says the identity, not the caller; host linux knows other users."""
    for words in (("-u", "root"), ("-uroot",), ("--user=root",), ("-u", "#0"), ("-g", "root")):
        assert said(daemon, *words, "printenv", "USERNAME")[1].startswith("ADMIN_")
    for words in (("-u", "nobody"), ("-u", "#-1"), ("-u", "#4294967295"), ("--user=",), ("-g", "video")):
        status, out, err = said(daemon, *words, "id")
        assert (status, out) == (126, "")
        assert err.startswith(
            (
                "elevate: error: this machine runs tasks as the admin account only\n",
                "elevate: error: there is no user or group without",
            )
        )


def test_variables_go_along_where_a_rule_allows_them(daemon: Daemon) -> None:
    """VAR=value and --preserve-env: what the rule names passes, what no rule can name is refused."""
    assert said(daemon, "LANG=C.UTF-8", "TZ=UTC", "sh", "-c", 'echo "$LANG $TZ"') == (0, "C.UTF-8 UTC\n", "")
    env = {**os.environ, "TERM": "vt100", "OTHER": "x"}
    status, out, err = daemon.run("--preserve-env=TERM,NOT_SET", "printenv", "TERM", env=env)
    assert (status, out, err) == (0, b"vt100\n", b"")
    for words in (("OTHER=x",), ("LD_PRELOAD=/tmp/x.so",), ("PATH=/tmp",)):
        status, out, err = daemon.run(*words, "env", env=env)
        assert (status, out) != (0, b""), err
        assert b"x.so" not in out
        assert status in {125, 126}


def test_word_with_equals_after_the_command_is_an_argument(daemon: Daemon) -> None:
    """Only words before the command are additions."""
    assert said(daemon, "echo", "A=b") == (0, "A=b\n", "")
    assert said(daemon, "--", "echo", "-l") == (0, "-l\n", "")


@pytest.mark.parametrize("option", ["-E", "--preserve-env", "-i", "--login", "-s", "--shell"])
def test_ways_that_there_are_not_are_explained(daemon: Daemon, option: str) -> None:
    """One error that says why, one hint, nothing runs."""
    status, out, err = said(daemon, option, "id")
    assert (status, out, len(err.splitlines())) == (126, "", 2)


@pytest.mark.parametrize("option", ["-R", "-C", "-D", "-T", "-b", "-p", "-H", "-P", "--chroot=/", "--host=x", "--bell"])
def test_18_no_option_chooses_host_root_or_folder(daemon: Daemon, option: str) -> None:
    """They are not options here."""
    status, out, err = said(daemon, option, "id")
    assert (status, out) == (125, "")
    assert err.startswith(
        ("elevate: error: unknown option --host", f"elevate: error: there is no option {option.partition('=')[0]}, ")
    )


@pytest.mark.parametrize("option", ["-A", "--askpass", "-S", "--stdin", "-N", "--no-update"])
def test_ways_to_type_less_do_no_harm(daemon: Daemon, option: str) -> None:
    """Where nothing has to be typed they change nothing."""
    assert said(daemon, option, "echo", "x") == (0, "x\n", "")


@pytest.mark.parametrize("option", ["-S", "--stdin", "-nS"])
def test_pin_is_never_piped(daemon: Daemon, option: str) -> None:
    """Refused before a byte is read, even where a sensor would agree: what is piped in may be a secret, and is no input."""
    status, out, err = daemon.run(option, "cat", given=b"274913\n")
    assert (status, out, len(err.splitlines())) == (126, b"", 2)


def test_flags_may_be_joined(daemon: Daemon) -> None:
    """As ``-nk``."""
    assert said(daemon, "-nk", "echo", "x") == (0, "x\n", "")
