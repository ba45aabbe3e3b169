"""``elevate registry``: the emulated machine's registry, out to ``.reg`` files and in again.

For the owner of a broker's folder, beside a running broker or without one. A task uses the machine's own ``reg``.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from elevate.errors import HostError
from elevate.text import escape

app = typer.Typer(help="Export and import the emulated machine's registry.", no_args_is_help=True)

State = Annotated[Path | None, typer.Option("--state", help="Folder of the broker; your own by default.", show_default=False)]
Account = Annotated[str, typer.Option(help="Whose HKCU: a user, or a hidden account.", show_default=False)]


class Root(StrEnum):
    """Which hive."""

    HKLM = "HKLM"
    HKCU = "HKCU"


@app.command()
def export(
    root: Annotated[Root, typer.Argument(help="HKLM, or HKCU with --account.", show_default=False)],
    *,
    account: Account = "",
    output: Annotated[Path | None, typer.Option("-o", help="File; standard output by default.", show_default=False)] = None,
    state: State = None,
) -> None:
    """Write a hive as a .reg file."""
    from elevate.host.machine import Machine
    from elevate.host.windows import hives

    machine = Machine.open(_folder(state))
    try:
        text = hives.export(machine, root.value, account)
    finally:
        machine.close()
    if output is not None:
        output.write_bytes(text.encode("utf-16"))
    else:
        # A value can hold anything; a backslash of a path stays as it is.
        typer.echo("\n".join("\\".join(map(escape, line.split("\\"))) for line in text.splitlines()))


@app.command(name="import")
def load(
    file: Annotated[Path, typer.Argument(help="A .reg file, version 5.", show_default=False)],
    *,
    account: Account = "",
    state: State = None,
) -> None:
    """Make the changes of a .reg file.

    All of them, or none where a line can't be read.
    """
    from elevate.host.machine import Machine
    from elevate.host.windows import hives, regfile

    try:
        data = _read(file, regfile.MAX_BYTES + 1)  # what is longer is refused
    except OSError as exc:
        raise HostError(f"the file can't be read: {exc.strerror}", hint="give a .reg file, or - for standard input") from exc
    machine = Machine.open(_folder(state))
    try:
        count = hives.apply(machine, data, account)
    finally:
        machine.close()
    typer.echo(f"{count} changes made")


def _read(file: Path, most: int) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(most)
    with file.open("rb") as opened:
        return opened.read(most)


def _folder(state: Path | None) -> Path:
    from elevate.server.main import default_state

    folder = (state or default_state()) / "machine"
    if not folder.is_dir():
        raise HostError("no emulated machine is there yet", hint="name the broker's folder with --state, and start it once")
    return folder
