"""``elevate hello``: enrol, list, verify and change the gestures that prove it is you.

A PIN is never typed into this command: the broker's own prompt program reads it on this terminal. Where no broker runs, this
command opens the user's own broker folder itself for as long as it takes.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from elevate.canonical import Json
from elevate.errors import DeclinedError, GestureError, NoBrokerError, TaskInvalidError
from elevate.text import escape
from elevate.wire import Wire, home, place

app = typer.Typer(name="hello", help="Enrol and manage the gestures that prove it is you.", no_args_is_help=True)

MACHINE = "/run/elevate/"

AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
User = Annotated[str, typer.Option("--user", help="Another user's; for root.", show_default=False)]
Gesture = Annotated[str, typer.Argument(help="pin, face, fingerprint or security-key.")]


@app.command()
def enrol(
    gesture: Gesture = "pin",
    *,
    label: Annotated[str, typer.Option("--label", help="A name of your own for it.")] = "",
    user: User = "",
    as_json: AsJson = False,
) -> None:
    """Enrol a PIN, or a further gesture on the proof of the PIN."""
    told = ask("HelloEnrol", {"gesture": gesture, "label": label, "user": user}, terminal=True)
    _show_gestures([told["enrolled"]], as_json=as_json)


@app.command("list")
def list_(*, user: User = "", as_json: AsJson = False) -> None:
    """List the enrolled gestures."""
    told = ask("HelloList", {"user": user})
    _show_gestures(_rows(told["gestures"]), as_json=as_json)


@app.command()
def verify(*, as_json: AsJson = False) -> None:
    """Make a gesture and have it verified; nothing is elevated."""
    told = ask("HelloVerify", {}, terminal=True)["verified"]
    if as_json or not isinstance(told, dict):
        _print_json(told)
        return
    methods = told["amr"]
    shown = ", ".join(map(str, methods)) if isinstance(methods, list) else ""
    typer.echo(f"verified: {told['user']} by {told['method']} ({shown})")


@app.command()
def test(*, as_json: AsJson = False) -> None:  # noqa: PT028 - a command, not a test
    """Show each sensor and key store, and what it can do."""
    devices = _rows(ask("HelloTest", {})["devices"])
    if as_json:
        _print_json(devices)
        return
    for one in devices:
        usable = "usable" if one["usable"] else "not usable"
        typer.echo(f"{one['device']!s:14} {one['kind']!s:10} {one['state']!s:10} {usable:10} {one['note']}".rstrip())


@app.command()
def rename(
    gesture: Gesture, label: Annotated[str, typer.Argument(help="The name.")], *, user: User = "", as_json: AsJson = False
) -> None:
    """Give a gesture a name of your own."""
    told = ask("HelloRename", {"gesture": gesture, "label": label, "user": user})
    _show_gestures([told["enrolled"]], as_json=as_json)


@app.command()
def remove(gesture: Gesture, *, as_json: AsJson = False) -> None:
    """Take a gesture away on the proof of the PIN.

    With the PIN all others go.
    """
    _show_gestures(_rows(ask("HelloRemove", {"gesture": gesture}, terminal=True)["gestures"]), as_json=as_json)


@app.command("change-pin")
def change_pin(
    *,
    proof: Annotated[str, typer.Option("--proof", help="Prove it by this gesture, if the PIN is forgotten.")] = "pin",
    as_json: AsJson = False,
) -> None:
    """Choose another PIN."""
    told = ask("HelloChangePin", {"gesture": proof}, terminal=True)
    _show_gestures([told["enrolled"]], as_json=as_json)


@app.command()
def reset(
    *,
    user: User = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Destroy all gestures and keys of a user.

    On a machine's broker for root.
    """
    if not yes:
        _confirm("destroy all gestures and keys?")
    ask("HelloReset", {"user": user})
    typer.echo("all gestures and keys are destroyed; enrol anew with: elevate hello enrol")


def _confirm(question: str) -> None:
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as exc:
        if sys.stdin.isatty():
            raise
        raise TaskInvalidError("nobody answered; nothing was done", hint="say --yes where nobody can be asked") from exc
    finally:
        if not sys.stdin.isatty():
            typer.echo(err=True)  # what was answered has not ended the line
    if not agreed:
        raise DeclinedError("declined", hint="nothing was destroyed")


@app.command()
def unlock(*, user: User = "", as_json: AsJson = False) -> None:
    """Forget a user's wrong PINs and keep the gestures.

    On a machine's broker for root.
    """
    _show_gestures(_rows(ask("HelloUnlock", {"user": user})["gestures"]), as_json=as_json)


def ask(method: str, parameters: Mapping[str, Json], *, terminal: bool = False) -> dict[str, Json]:
    """Ask the broker; where none runs, open the user's own folder.

    Raises:
        GestureError: There is no terminal.
        ElevateError: What the broker answers.
    """
    given: dict[str, Json] = {name: value for name, value in parameters.items() if value != ""}
    with ExitStack() as stack:
        fd = _terminal(stack) if terminal else None
        where, uid = place()
        try:
            wire = Wire(where, uid)
        except NoBrokerError:
            if where.startswith(MACHINE):
                raise  # gestures of a machine's broker are its own
            return _by_itself(method, given, fd)
        stack.callback(wire.close)
        sent: dict[str, object] = {**given, "terminal_fd": None if fd is None else 0}
        wire.send(method, sent, fds=() if fd is None else (fd,))
        told, _ = wire.receive()
        return told  # type: ignore[return-value] # JSON, as the wire reads it


def _terminal(stack: ExitStack) -> int:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        raise GestureError("there is no terminal to ask on", hint="run it from a terminal") from exc
    stack.callback(os.close, fd)
    return fd


def _by_itself(method: str, parameters: Mapping[str, Json], terminal: int | None) -> dict[str, Json]:
    from pathlib import Path

    from elevate.broker import Broker
    from elevate.broker.enrolling import call, visit
    from elevate.host.processes import read_process

    folder = Path(home(os.getuid())) / ".local/share/elevate"
    with Broker.open(folder) as broker:
        requester = broker.requester(read_process(os.getpid()))
        return call(visit(broker, requester, terminal=terminal), method, parameters)


def _rows(told: Json) -> list[dict[str, Json]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _show_gestures(gestures: "list[dict[str, Json]] | list[Json]", *, as_json: bool) -> None:
    if as_json:
        _print_json(list(gestures))
        return
    if not gestures:
        typer.echo("nothing is enrolled; begin with: elevate hello enrol")
    for one in gestures:
        if isinstance(one, dict):
            typer.echo(_line(one))


def _line(one: Mapping[str, Json]) -> str:
    since = datetime.fromtimestamp(int(str(one["created_at"])), UTC).strftime("%Y-%m-%d")
    notes = [
        str(one["key_store"]),
        "simulated" if one["simulated"] else "",
        "" if one["usable"] else "not usable here",
        "used last" if one["used_last"] else "",
    ]
    label = escape(str(one["label"]))
    return f"{one['gesture']!s:14} since {since}  {', '.join(note for note in notes if note)}  {label}".rstrip()


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
