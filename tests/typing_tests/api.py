"""The public API as a type checker of somebody else's sees it; nothing here is run."""

from collections.abc import Iterator, Mapping
from typing import assert_type

import elevate
from elevate.canonical import Json
from elevate.errors import DeclinedError
from elevate.helper import Verifier, fetch_keys, read_token, redeem
from elevate.planning import Planned
from elevate.testing import ManualClock


def tasks() -> list[elevate.Task]:
    """Every builder gives a task."""
    return [
        elevate.Task.run(["true"], stdin=b"", env={"LANG": "C"}),
        elevate.Task.install("notes.whl"),
        elevate.Task.remove("notes"),
        elevate.Task.service("Spooler", "restart"),
        elevate.Task.setting(r"HKLM\SOFTWARE\Contoso", "Theme", 1),
        elevate.Task.write("/etc/notes.conf", b"x", mode=0o644),
        elevate.Task.write("/etc/notes.conf", b"x"),
    ]


def over_the_socket() -> int | None:
    """Ask the machine's broker."""
    with elevate.connect() as broker:
        assert_type(broker, elevate.Connection)
        assert_type(elevate.plan(broker, tasks()), tuple[Planned, ...])
        with broker.elevate(elevate.Task.run(["true"]), reason="INC-4711") as grant:
            outcome = grant.run(capture=True)
        assert_type(broker.search("user:alice since:24h"), Iterator[dict[str, Json]])
    assert_type(outcome, elevate.Outcome)
    assert_type(outcome.receipt, Mapping[str, Json])
    assert_type(outcome.stdout, bytes)
    return outcome.exit_status


def in_steps() -> elevate.Receipt:
    """Several tasks under one token, with what undoes them, their progress and the receipt."""
    told: list[elevate.Progress] = []
    task = elevate.Task.in_order(tasks(), undo=[elevate.Task.remove("notes")])
    with elevate.connect() as broker:
        assert_type(broker.explain(tasks()), dict[str, Json])
        broker.elevate(tasks()).release()
        with broker.elevate(task) as grant:
            outcome = grant.run(on_progress=told.append)
        receipt = elevate.Receipt.read(outcome.receipt)
        assert_type(receipt.steps[0].exit_status, int | None)
        assert_type(receipt.written[0].path, str)
        assert_type((receipt.written[0].mode, receipt.undo[0].mode, receipt.problem), tuple[str, str, str])
        assert_type(receipt.undo[0].task, elevate.Task | None)
        broker.elevate(receipt.undo_tasks()).release()
    return receipt


def embedded() -> int | None:
    """Bring a broker along."""
    with elevate.Broker.embedded(clock=ManualClock()) as broker:
        elevate.plan(broker, tasks())
        try:
            return broker.elevate(elevate.Task.run(["true"])).run().exit_status
        except DeclinedError as error:
            assert_type(error.windows_code, int)
            assert_type(error.hint, str)
            return None
        except elevate.ElevateError as error:
            return error.exit_code


async def asynchronous() -> int | None:
    """Ask the machine's broker from asyncio."""
    async with elevate.connect_async() as broker:
        assert_type(broker, elevate.AsyncConnection)
        assert_type(await broker.explain(elevate.Task.run(["true"])), dict[str, Json])
        async with await broker.elevate(elevate.Task.run(["true"]), reason="INC-4711") as grant:
            assert_type(grant, elevate.AsyncGrant)
            outcome = await grant.run(capture=True, on_progress=print)
    assert_type(outcome, elevate.Outcome)
    return outcome.exit_status


async def to_a_helper() -> None:
    """Hand a task to somebody's privileged helper."""
    task = elevate.Task.run(["true"])
    with elevate.connect() as broker, broker.hand_over(task, helper="contoso-updater") as token:
        assert_type(token, elevate.HandOver)
        assert_type(token.fileno(), int)
    with await elevate.connect_async().hand_over(task, helper="contoso-updater") as again:
        assert_type(again.request, str)


def own_kinds() -> elevate.Task:
    """Ask for one of the machine's own kinds."""
    with elevate.connect() as broker:
        kinds = broker.kinds()
        assert_type(kinds, dict[str, elevate.KindSpec])
        return elevate.Task.of("acme.flush-cache", kinds, zone="eu", depth=1)


def packages() -> None:
    """Install for the user alone, and remove it again."""
    assert_type(elevate.install("notes.whl", scope="user"), elevate.Receipt)
    assert_type(elevate.uninstall("notes"), elevate.Receipt)


def as_a_helper() -> int | None:
    """Be such a helper."""
    token = read_token()
    claims = Verifier(fetch_keys(), audience="helper:contoso-updater").verify(token)
    assert_type(claims.jti, str)
    with redeem(token) as task:
        assert_type(task.argv, tuple[str, ...])
        assert_type(task.task, Mapping[str, Json])
        assert_type((task.stdin, task.fileno(), task.cancelled(wait_seconds=1)), tuple[int, int, bool])
        return task.finish(0).exit_status


assert_type(elevate.is_protected(), bool)
assert_type(elevate.invoking_user(), str | None)
