"""Rows 13 to 16, 47 and 48: what a token is good for, mounted by a user against the root daemon."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from elevate import canonical
from elevate.errors import ElevateError
from elevate.wire import Wire, place
from tests.attacks.real.arena import Arena, aside
from tests.attacks.real.sides import Elevate, Held, Naive, Side, elevate, finished, naive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
ID = ["/usr/bin/id", "-u"]


def replays(connect: Connect) -> list[str]:
    """Use one token twice; give what the second use brought."""
    side = connect()
    held = side.ask(ID)
    assert side.use(held).status == 0
    second = side.use(held)
    return [second.out, second.refused.partition(":")[0]]


def test_13_replay(arena: Arena) -> None:
    """It is spent."""
    assert arena.act(replays, elevate) == ["", "token-spent"]


def replays_later(carry: Path) -> list[str]:
    """Use what was given to an earlier process: by the request's id, and by the token's."""
    held = json.loads(carry.read_text())
    names = (held["request"], held["claims"]["jti"])
    return [elevate().use(Held(held), request=name).refused.partition(":")[0] for name in names]


def carries(carry: Path) -> None:
    held = elevate().ask(ID)
    carry.write_text(json.dumps(held.what))


def test_13_replay_after_a_restart(arena: Arena) -> None:
    """A token of before the restart is nothing, used or not."""
    carry = arena.place() / "carried"
    arena.act(carries, carry)
    arena.stop("elevate")
    arena.start()
    assert arena.act(replays_later, carry) == ["denied", "denied"]


def test_13_naive_replay_after_a_restart(arena: Arena) -> None:
    """There what was used lives in memory only."""

    def replayed() -> list[str]:
        side = naive()
        held = side.ask(ID)
        side.use(held)
        before = side.use(held).refused
        side.call("restart")
        return [before, side.use(held).out]

    assert arena.act(replayed) == ["PermissionError: spent", "0\n"]


def races(connect: Connect) -> int:
    """Use one token eight times at once; say how often it ran."""
    side = connect()
    held = side.ask(ID)
    if isinstance(side, Elevate):
        return races_on(side, held)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(side.use(held).out)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(out == "0\n" for out in found)


def races_on(side: Elevate, held: Held) -> int:
    """All calls in one message, and others on connections of their own."""
    request = held.what["request"]
    others = [Wire(*place()) for _ in range(4)]
    frames = b"".join(
        canonical.encode(
            {"method": "io.elevate.Broker.Redeem", "parameters": {"request": request, "redeem_id": f"{n:032}"}, "more": True}
        )
        + b"\0"
        for n in range(8)
    )
    for other in others:
        other.socket.sendall(frames)
    side.wire.socket.sendall(frames)
    ran = 0
    for wire in (side.wire, *others):
        ran += sum(answers(wire) for _ in range(8))
    return ran


def answers(wire: Wire) -> int:
    """Read one call's replies; say whether a task ran."""
    replies = []
    while True:
        try:
            told, more = wire.receive()
        except ElevateError:
            return 0
        replies.append(dict(told))
        if not more:
            return int(finished(replies).status == 0)


def test_14_the_same_token_at_once(arena: Arena) -> None:
    """One wins."""
    assert arena.act(races, elevate) == 1


def test_14_naive_the_same_token_at_once(arena: Arena) -> None:
    """There several do."""
    assert arena.act(races, naive) > 1


def steals(connect: Connect) -> str:
    """Let a child, a process of the same user, use what its parent was given; over a connection of its own and the parent's."""
    side = connect()
    held = side.ask(ID)

    def thief(write: int) -> None:
        os.write(write, "".join(attempt(one, held) for one in (connect(), side)).encode() or b"-")

    with aside(thief) as read:
        return os.read(read, 4096).decode()


def attempt(side: Side, held: Held) -> str:
    try:
        return side.use(held).out
    except ElevateError:
        return ""


def test_15_token_of_another_process(arena: Arena) -> None:
    """It is the one process's, and its connection's."""
    assert arena.act(steals, elevate) == "-"


def test_15_naive_token_of_another_process(arena: Arena) -> None:
    """There whoever has it may use it."""
    assert "0\n" in arena.act(steals, naive)


def watches(connect: Connect) -> bool:
    """While a task runs, look for the token in all that everybody can read of processes."""
    side = connect()
    held = side.ask(["/usr/bin/bash", "-c", "echo; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '"])
    secret = held.what.get("token") or held.what["claims"]["jti"]
    env = {"TOKEN": secret} if isinstance(side, Naive) else {}
    seen = side.use(held, **({"env": env} if env else {})).out
    return secret in seen + "".join(command_lines())


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().decode(errors="replace")


def test_15_token_in_argv_or_environment(arena: Arena) -> None:
    """It is in neither."""
    assert not arena.act(watches, elevate)


def test_15_naive_token_in_argv_or_environment(arena: Arena) -> None:
    """There the helper got it in its environment."""
    assert arena.act(watches, naive)


def changes(connect: Connect) -> list[str]:
    """Use a token for one task with another task, and with one argument changed."""
    found = []
    for argv in (["/usr/bin/id", "-u", "root"], ["/usr/bin/nproc"]):
        side = connect()
        held = side.ask(ID)
        task = {"kind": "process.run", "params": {"argv": argv, "cwd": "/"}}
        more = {"task": task} if isinstance(side, Elevate) else {"argv": argv, "path": argv[0]}
        told = side.use(held, **more)
        found.append(told.out or told.refused.partition(":")[0])
    return found


def test_16_another_task(arena: Arena) -> None:
    """What runs is not said again."""
    assert arena.act(changes, elevate) == ["task-invalid"] * 2


def test_16_naive_another_task(arena: Arena) -> None:
    """There the caller says it again."""
    assert arena.act(changes, naive) == ["0\n", f"{os.sysconf('SC_NPROCESSORS_ONLN')}\n"]


def retries(connect: Connect) -> int:
    """Ask twice with one redeem id, and once with another; say how often it ran."""
    side = connect()
    held = side.ask(ID)
    return sum(side.use(held, redeem_id=name * 32).status == 0 for name in ("a", "a", "b"))


def test_47_redeem_id_asked_again(arena: Arena) -> None:
    """It starts once."""
    assert arena.act(retries, elevate) == 1


def test_47_naive_redeem_id_asked_again(arena: Arena) -> None:
    """There another id is another start."""
    assert arena.act(retries, naive) == 2


def test_48_policy_changed_after_the_prompt(arena: Arena) -> None:
    """What was agreed to under one policy does not run under another."""
    rule = arena.state / "policy" / "later.toml"
    text = 'format = 1\n[[rule]]\nid = "later"\neffect = "deny"\ntask = { kind = "process.run", path = "/usr/bin/id" }\n'

    def denied() -> str:
        side = elevate()
        held = side.ask(ID)
        Path("go").write_text("")
        while not Path("went").exists():
            os.sched_yield()
        return side.use(held).refused.partition(":")[0]

    def change() -> None:
        while not (arena.place() / "go").exists():
            os.sched_yield()
        rule.write_text(text)
        rule.chmod(0o600)
        arena.reload()
        (arena.place() / "went").touch()

    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert arena.act(denied) == "policy-changed"
    finally:
        changing.join()
        rule.unlink(missing_ok=True)
        arena.reload()


def test_48_naive_policy_changed_after_the_prompt(arena: Arena) -> None:
    """There the token is all that counts; and the log has another name than the one who asked."""
    rules = arena.naive / "policy" / "rules.json"
    before = rules.read_text()

    def ran() -> str:
        side = naive()
        held = side.ask(ID)
        rules.write_text('{"allow": [], "deny": [], "run_as": []}')
        return side.use(held, user="somebody-else").out

    try:
        assert arena.act(ran) == "0\n"
        assert "somebody-else started it" in (arena.naive / "log").read_text()
    finally:
        rules.write_text(before)


def renames() -> list[str]:
    """Say who one is, why, and under what, between prompt and run."""
    told = []
    for name in ("user", "requester", "reason", "policy", "request_digest", "session", "host"):
        side = elevate()
        told.append(side.use(side.ask(ID), **{name: "root"}).refused.partition(":")[0])
    return told


def test_48_requester_reason_or_identity_said_again(arena: Arena) -> None:
    """No such parameter is taken."""
    assert arena.act(renames) == ["task-invalid"] * 7


def test_48_naive_requester_reason_or_identity_said_again(arena: Arena) -> None:
    """There the command, its name and the log's name are."""
    told = arena.act(lambda: naive().run(ID, user="eve").out)
    assert (told, "eve started it" in (arena.naive / "log").read_text()) == ("0\n", True)
