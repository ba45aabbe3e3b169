"""Several steps under one token over the real socket: the library, and the public Varlink client."""

import asyncio
import base64
from typing import Any

import pytest
import varlink

import elevate
from elevate.errors import BrokerError, DeniedError, TaskInvalidError, TokenSpentError
from elevate.outcome import Progress
from elevate.tasks import MAX_STEPS, MAX_STEPS_INPUT_BYTES, Task
from tests.e2e.daemon import Daemon


def sh(text: str) -> Task:
    return Task.run(["/bin/sh", "-c", text])


def test_steps_run_in_order_and_tell_their_progress(daemon: Daemon) -> None:
    """One grant, one run; each reads its own input; a step's progress comes between its output's."""
    steps = [Task.run(["cat"], stdin=b"one\n"), Task.run(["cat"], stdin=b""), Task.run(["cat"]), sh("echo four >&2; exit 4")]
    told: list[Progress] = []
    task = Task.in_order([*steps, sh("echo never")], undo=[Task.run(["cat"], stdin=b"back\n")])
    with daemon.connect() as broker, broker.elevate(task, reason="INC-4711", interactive=False) as grant:
        outcome = grant.run(capture=True, on_progress=told.append)
        assert (outcome.exit_status, outcome.stdout, outcome.stderr) == (4, b"one\nback\n", b"four\n")
        assert [(one.step, one.ended, one.exit_status, one.undo) for one in told] == [
            *((step, ended, 0 if ended else None, False) for step in (1, 2, 3) for ended in (False, True)),
            *((4, False, None, False), (4, True, 4, False), (6, False, None, True), (6, True, 0, True)),
        ]
        with pytest.raises(TokenSpentError):
            grant.run()
        receipt: Any = broker.receipt(grant.request)
        assert [one["step"] for one in receipt["steps"]] == [1, 2, 3, 4, 6]


def test_a_list_is_as_good_and_one_alone_is_itself(daemon: Daemon) -> None:
    with daemon.connect() as broker:
        with broker.elevate([sh("echo a"), sh("echo b")], interactive=False) as grant:
            assert grant.run(capture=True).stdout == b"a\nb\n"
        with broker.elevate([sh("echo c")], interactive=False) as grant:
            details: Any = grant.claims["authorization_details"]
            assert details[0]["kind"] == "process.run"


def test_from_asyncio_it_is_the_same(daemon: Daemon) -> None:
    """Steps, their input, their progress, and what policy makes of them."""
    told: list[tuple[int, bool]] = []

    async def ask() -> tuple[int | None, bytes, object]:
        async with elevate.connect_async(daemon.socket) as broker:
            steps = [Task.run(["cat"], stdin=b"one\n"), Task.run(["cat"], stdin=b"two\n")]
            found = await broker.explain(steps)
            async with await broker.elevate(steps, interactive=False) as grant:
                outcome = await grant.run(capture=True, on_progress=lambda one: told.append((one.step, one.ended)))
        return outcome.exit_status, outcome.stdout, found["outcome"]

    assert asyncio.run(ask()) == (0, b"one\ntwo\n", "credential")
    assert told == [(1, False), (1, True), (2, False), (2, True)]


def test_large_inputs_and_output_go_through_whole(daemon: Daemon) -> None:
    """What does not fit into a message goes beside it, each part to its own step; output of many steps is not cut."""
    parts = [bytes([65 + number]) * 400_000 for number in range(4)]
    with (
        daemon.connect() as broker,
        broker.elevate([Task.run(["cat"], stdin=one) for one in parts], interactive=False) as grant,
    ):
        assert grant.run(capture=True).stdout == b"".join(parts)


def test_explain_says_each_step(daemon: Daemon) -> None:
    """With the content of a file, too, over the socket."""
    write = Task.write(r"C:\ProgramData\x.ini", b"a=1\n")
    with daemon.connect() as broker:
        found: Any = broker.explain([write, Task.run(["/usr/bin/su"])])
        assert [one["outcome"] for one in found["steps"]] == ["credential", "denied"]
        assert broker.explain(write)["outcome"] == "credential"
        assert str(found["text"]).startswith("denied: step 2 (/usr/bin/su)")


def test_a_denied_step_denies_all(daemon: Daemon) -> None:
    with daemon.connect() as broker, pytest.raises(DeniedError, match=r"step 2 \(/usr/bin/su\)"):
        broker.elevate([sh("exit 0"), Task.run(["/usr/bin/su"])], interactive=False)


def test_a_client_that_leaves_ends_the_step_that_runs_and_lets_the_rest_undo(own: Daemon) -> None:
    """No further step begins; what was agreed to for this case runs."""
    home = own.state / "machine" / "drive_c" / "Users"
    task = Task.in_order(
        [sh("echo x > $HOME/one; sleep 30"), sh("echo x > $HOME/two")],
        undo=[sh("yes | head -n 200000; rm $HOME/one; id > $HOME/undone")],
    )
    with own.connect() as broker:
        grant = broker.elevate(task, interactive=False)

        def leave(progress: Progress) -> None:
            raise KeyboardInterrupt(progress.task)

        with pytest.raises(KeyboardInterrupt):
            grant.run(capture=True, on_progress=leave)
    assert own.stop() == 0
    (account,) = home.glob("ADMIN_*")
    assert sorted(path.name for path in account.iterdir() if path.is_file()) == ["undone"]


def test_47_a_daemon_that_is_killed_between_steps_does_none_of_them_later(own: Daemon) -> None:
    """Not the next one, not those that undo: the outcome is unknown, and says so."""
    task = Task.in_order([sh("echo x > $HOME/one; sleep 60"), sh("echo x > $HOME/two")], undo=[sh("echo x > $HOME/undo")])
    with own.connect() as broker:
        grant = broker.elevate(task, interactive=False)

        def kill(progress: Progress) -> None:
            assert progress.step == 1
            own.kill()

        with pytest.raises(BrokerError):
            grant.run(capture=True, on_progress=kill)
    own.restart()
    with own.connect() as broker, pytest.raises(TaskInvalidError, match="outcome-unknown"):
        broker.receipt(grant.request)
    (account,) = (own.state / "machine" / "drive_c" / "Users").glob("ADMIN_*")
    assert {path.name for path in account.iterdir() if path.is_file()} <= {"one"}


def test_the_public_client_can_ask_for_steps(daemon: Daemon) -> None:
    """With nothing but the interface's own words: states, steps and output come as replies."""
    steps = [{"kind": "process.run", "params": {"argv": ["/bin/sh", "-c", f"echo {word}"], "cwd": "/"}} for word in "ab"]
    with varlink.Client.new_with_address(f"unix:{daemon.socket}") as client, client.open("io.elevate.Broker") as broker:
        replies = list(broker.Run({"kind": "steps", "params": {}, "steps": steps}, "why", _more=True))
    told = [one["step"]["step"] for one in replies if one.get("step")]
    out = b"".join(base64.b64decode(one["data"]) for one in replies if one.get("stream") == "stdout")
    assert (told, out, replies[-1]["outcome"]["exit_status"]) == ([1, 1, 2, 2], b"a\nb\n", 0)
    running = next(number for number, one in enumerate(replies) if one["state"] == "running")
    assert not replies[running].get("step")


ONE = {"kind": "process.run", "params": {"argv": ["id"], "cwd": "/"}}


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "steps", "params": {}},
        {"kind": "steps", "params": {}, "steps": []},
        {"kind": "steps", "params": {"x": 1}, "steps": [ONE]},
        {"kind": "process.run", "params": {"argv": ["id"], "cwd": "/"}, "steps": []},
        {"kind": "steps", "params": {}, "steps": [{"kind": "steps", "params": {}}]},
        {"kind": "steps", "params": {}, "steps": [ONE] * (MAX_STEPS + 1)},
        {"kind": "steps", "params": {}, "undo": 1, "steps": [ONE]},
        {
            "kind": "steps",
            "params": {},
            "steps": [{"kind": "process.run", "params": {"argv": ["cat"], "cwd": "/"}, "input_bytes": 1}],
        },
        {"kind": "steps", "params": {}, "steps": ["x"]},
    ],
)
def test_what_are_no_steps_is_refused(daemon: Daemon, task: dict[str, Any]) -> None:
    """And the connection goes on."""
    with varlink.Client.new_with_address(f"unix:{daemon.socket}") as client, client.open("io.elevate.Broker") as broker:
        with pytest.raises(varlink.VarlinkError) as caught:
            broker.Elevate(task)
        assert caught.value.error() in {"io.elevate.Broker.Failed", "org.varlink.service.InvalidParameter"}
        assert broker.Status()


def test_too_much_input_is_refused_by_the_library() -> None:
    half = Task.run(["cat"], stdin=bytes(MAX_STEPS_INPUT_BYTES // 2 + 1))
    with pytest.raises(TaskInvalidError, match="input is over"):
        Task.in_order([half, half])
