"""Rows 7 to 12 and 32: files that change under the broker's eyes, mounted by a user against the root daemon."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from elevate.host.sealed import seal
from tests.attacks.real import rules
from tests.attacks.real.arena import Arena
from tests.attacks.real.sides import Elevate, Naive, Side, elevate, naive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]


def script(name: str, text: str) -> str:
    """Write a script over what is there, into the same file; give its absolute path."""
    path = Path(name)
    path.write_text(text)
    path.chmod(0o755)
    return str(path.absolute())


def empty(connect: Connect) -> str:
    """Ask for a command with no word at all."""
    side = connect()
    more = {"path": script("tool", rules.GOOD)} if isinstance(side, Naive) else {}
    return side.run([], **more).out


def test_07_empty_argv(arena: Arena) -> None:
    """There is no such task."""
    assert arena.act(empty, elevate) == ""


def test_07_naive_empty_argv(arena: Arena) -> None:
    """There it runs."""
    assert arena.act(empty, naive) == "good\n"


def swaps(connect: Connect) -> str:
    """Turn a link elsewhere after the check."""
    script("good", rules.GOOD)
    script("evil", rules.EVIL)
    link = Path("link")
    link.unlink(missing_ok=True)
    link.symlink_to("good")
    side = connect()
    held = side.ask([str(link.absolute())])
    link.unlink()
    link.symlink_to("evil")
    return side.use(held).out


def test_08_link_swapped_after_the_check(arena: Arena) -> None:
    """What was hashed runs."""
    assert arena.act(swaps, elevate) == "good\n"


def test_08_naive_link_swapped_after_the_check(arena: Arena) -> None:
    """There what the link leads to by then."""
    assert arena.act(swaps, naive) == "evil\n"


def rewrites(connect: Connect) -> str:
    """Write over the same file after the check."""
    path = script("tool", rules.GOOD)
    side = connect()
    held = side.ask([path])
    script("tool", rules.EVIL)
    return side.use(held).out


def test_09_file_rewritten_after_the_hash(arena: Arena) -> None:
    """A sealed copy of what was hashed runs."""
    assert arena.act(rewrites, elevate) == "good\n"


def test_09_naive_file_rewritten_after_the_hash(arena: Arena) -> None:
    """There the new bytes."""
    assert arena.act(rewrites, naive) == "evil\n"


def falls_back(connect: Connect) -> str:
    """Make a script such that its descriptor can't be executed by the time, and its path can."""
    interpreter = Path("interpreter")
    interpreter.unlink(missing_ok=True)
    interpreter.symlink_to("/bin/sh")
    side = connect()
    own = {} if isinstance(side, Elevate) else {"policy": rules.allow_all()}
    held = side.ask([script("tool", rules.with_interpreter(Path.cwd()))], **own)
    assert not held.refused
    interpreter.unlink()
    Path("tool").unlink()
    script("tool", rules.EVIL)
    return side.use(held).out


def test_10_no_way_back_to_the_path(arena: Arena) -> None:
    """Nothing runs then."""
    assert arena.act(falls_back, elevate) == ""


def test_10_naive_no_way_back_to_the_path(arena: Arena) -> None:
    """There the path does."""
    assert arena.act(falls_back, naive) == "evil\n"


@pytest.fixture
def victim() -> Iterator[str]:
    path = Path(f"/etc/elevate-victim-{os.getpid()}")
    path.write_text("kept")
    yield str(path)
    path.unlink(missing_ok=True)


def writes_through(connect: Connect, victim: str, *, hard: bool) -> None:
    """Have a file written at a place where a link was planted."""
    link = Path("link")
    link.unlink(missing_ok=True)
    (link.hardlink_to if hard else link.symlink_to)(victim)
    side = connect()
    if isinstance(side, Naive):
        side.call("write", path=str(link.absolute()), data="evil", cwd="/")
    elif isinstance(side, Elevate):
        task = {"kind": "file.write", "params": {"path": str(link.absolute()), "cwd": "/"}}
        side.use(side.elevate(task, (seal(b"evil"),), payload_fd=0))


def test_11_link_in_place_of_a_file(arena: Arena, victim: str) -> None:
    """Nothing is written through it."""
    arena.act(lambda: writes_through(elevate, victim, hard=False))
    assert Path(victim).read_text() == "kept"


def test_11_naive_link_in_place_of_a_file(arena: Arena, victim: str) -> None:
    """There the victim is."""
    arena.act(lambda: writes_through(naive, victim, hard=False))
    assert Path(victim).read_text() == "evil"


def plants(*folders: str) -> list[str]:
    """Try to put a link in place of what a broker keeps: log, receipt, profile, socket; give the places that took it."""
    taken = []
    for folder in folders:
        for name in ("log", "ledger.sqlite", "receipts", "policy", "broker.sock", "settings.toml", "profile"):
            place = Path(folder) / name
            try:
                place.unlink(missing_ok=True)
                place.symlink_to("/etc/passwd")
            except OSError:
                continue
            taken.append(folder)
            place.unlink()
    return taken


def test_11_link_in_place_of_the_log(arena: Arena) -> None:
    """No folder of the daemon's takes one: state, accounts, homes and socket."""
    home = f"/var/lib/elevate-admin/ADMIN_{arena.users['alice'].pw_name}"
    folders = [str(arena.state), str(arena.state / "accounts"), "/run/elevate", "/var/lib/elevate-admin", home]
    assert arena.act(plants, *folders) == []


def test_11_naive_link_in_place_of_the_log(arena: Arena) -> None:
    """There the log itself can be made to lead elsewhere, and is written to."""
    log, target = arena.naive / "log", arena.place("mallory") / "target"

    def swap() -> None:
        target.touch()
        log.unlink()
        log.symlink_to(target)

    arena.act(swap, user="mallory")
    arena.act(lambda: naive().run(["/usr/bin/id"]).out)
    assert "runs" in target.read_text()
    log.unlink()
    log.touch()
    log.chmod(0o666)


def shown(connect: Connect) -> list[str]:
    """Learn where a task's home and scratch are."""
    done = connect().run(["/usr/bin/bash", "-c", "echo $HOME; echo ${TMPDIR:-$HOME}"])
    return done.lines


def prepares(connect: Connect) -> str:
    """Make the next session's folders in advance, with a start file in them; give what the next task finds there."""
    for folder in shown(connect):
        try:
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / ".profile").write_text("echo planted\n")
        except OSError:
            continue
    return connect().run(["/usr/bin/bash", "-l", "-c", "ls -A $HOME ${TMPDIR:-$HOME}"]).out


def test_12_session_folder_made_in_advance(arena: Arena) -> None:
    """The home is closed to the user, and what lies in the user's /tmp is not in the task's."""
    told = arena.act(prepares, elevate)
    assert ".profile" not in told
    assert "planted" not in told
    Path("/tmp/.profile").unlink(missing_ok=True)


def test_12_naive_session_folder_made_in_advance(arena: Arena) -> None:
    """There it is taken up, and the start file is executed as root."""

    def prepared() -> str:
        session = "/run/naive/session-of-tomorrow"
        Path(session).mkdir()
        (Path(session) / ".profile").write_text("echo planted; id -u\n")
        return naive().run(["/usr/bin/bash", "-l", "-c", "true"], session=session).out

    assert arena.act(prepared).split() == ["planted", "0"]


def poisons(connect: Connect) -> str:
    """Let one task leave a start file for the next."""
    connect().run(["/usr/bin/bash", "-c", "echo 'echo poisoned' > $HOME/.profile"])
    return connect().run(["/usr/bin/bash", "-l", "-c", "true"]).out


def test_32_profile_of_the_next_task(arena: Arena) -> None:
    """Each has a home of its own."""
    assert arena.act(poisons, elevate) == ""


def test_32_naive_profile_of_the_next_task(arena: Arena) -> None:
    """There the profile lasts."""
    assert "poisoned" in arena.act(poisons, naive)
