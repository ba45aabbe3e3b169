"""``elevate account``: the hidden admin accounts of host linux, each with the user to whom it belongs. For root."""

import os
from pathlib import Path
from typing import Annotated

import typer

from elevate.broker.home import Home
from elevate.cli.show import AsJson, print_json
from elevate.cli.whose import MACHINE, broker_home
from elevate.errors import HostError, NoBrokerError
from elevate.host.accounts import Accounts
from elevate.host.folders import Folder
from elevate.host.launcher import Launcher
from elevate.host.linux import HOMES
from elevate.text import escape

app = typer.Typer(help="See and remove the hidden admin accounts of host linux.", no_args_is_help=True)

State = Annotated[Path | None, typer.Option("--state", help="The broker's folder; by default the machine's.")]


@app.command("list")
def show(*, state: State = None, as_json: AsJson = False) -> None:
    """List the pairs: user and hidden account."""
    with Launcher() as launcher, _folder(state) as folder:
        pairs = Accounts(folder, HOMES, launcher).pairs()
    if as_json:
        rows = [{"user": one.user, "uid": one.user_uid, "account": one.name, "account_uid": one.uid} for one in pairs]
        print_json({"accounts": [dict(row) for row in rows]})
        return
    for one in pairs:
        typer.echo(f"{escape(one.user)} ({one.user_uid})  {escape(one.name)} ({one.uid})")
    if not pairs:
        typer.echo("none yet: an account is made at a user's first elevation")


@app.command()
def remove(user: Annotated[str, typer.Argument(help="The user to whom the account belongs.")], *, state: State = None) -> None:
    """Remove a user's hidden account.

    The next elevation makes a new one.
    """
    with Launcher() as launcher, _folder(state) as folder:
        Accounts(folder, HOMES, launcher).remove(user)
    typer.echo(f"removed the admin account of {escape(user)}")


def remove_all(home: Home) -> None:
    """Remove every hidden account of a broker's; one that was changed since it was made stays, and is named."""
    if not home.accounts.is_dir():
        return
    with Launcher() as launcher, Folder.open(home.accounts) as folder:
        accounts = Accounts(folder, HOMES, launcher)
        for one in accounts.pairs():
            try:
                accounts.remove(one.user)
                typer.echo(f"removed the admin account of {escape(one.user)}")
            except HostError as error:
                typer.echo(f"{escape(one.name)} stays: {error.message}")


def _folder(state: Path | None) -> Folder:
    """Open the list of pairs.

    Raises:
        NoBrokerError: No broker for host linux was made there.
        HostError: It is another user's.
    """
    if state is None and os.geteuid() != 0 and MACHINE.exists():
        raise HostError("the hidden accounts of this machine are for root to see", hint="as root: elevate account list")
    path = (Home(state) if state else broker_home()).accounts
    try:
        return Folder.open(path)
    except FileNotFoundError as exc:
        raise NoBrokerError(f"no host linux was opened in {path.parent}", hint="give the broker's folder with --state") from exc
    except OSError as exc:
        raise HostError("the list of accounts can't be read", hint="ask as root", detail=str(exc)) from exc
