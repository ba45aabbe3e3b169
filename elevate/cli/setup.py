"""Making a broker's place, looking at what is there, and the demo."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from elevate import wire
from elevate.broker import Broker
from elevate.broker.home import DEFAULT_POLICY, Home, create
from elevate.broker.system import SystemEntropy
from elevate.cli import service
from elevate.cli.completion import completion
from elevate.cli.doctor import examine
from elevate.cli.edit import edit
from elevate.cli.show import AsJson, print_json
from elevate.errors import BrokerError, HostError, NoBrokerError
from elevate.policy import load
from elevate.server.main import default_state
from elevate.store import SqliteStore
from elevate.store.files import read_policy
from elevate.text import escape

State = Annotated[Path | None, typer.Option("--state", help="Folder of the broker.", show_default="~/.local/share/elevate")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(doctor)
    app.command()(demo)
    app.command()(edit)
    app.command()(completion)
    app.command("install-service")(service.install)
    app.command("uninstall-service")(service.uninstall)


def init(
    *,
    state: State = None,
    policy: Annotated[str, typer.Option(help="Which shipped policy set to start with.")] = DEFAULT_POLICY,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="For tests: a scripted face, enrolled at once, answers every prompt.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the broker's folder, log included.")] = False,
) -> None:
    """Make a broker of your own.

    That is its folder, a policy, and an emulated machine.
    """
    folder = state or default_state()
    if remove:
        _remove(folder)
        return
    home = create(folder.absolute(), policy=policy, simulated=simulated)
    if simulated:
        with Broker.open(home.folder) as broker:
            broker.enrol_owner()
    rules = load(read_policy(home.policy)).rules
    typer.echo(f"made {escape(str(home.folder))} with the policy {policy}\n")
    typer.echo("what it allows, each task once and after your agreement:")
    for rule in rules:
        if rule.effect.value == "allow":
            typer.echo(f"  {rule.id}: {rule.why}")
    typer.echo("what it never allows:")
    for rule in rules:
        if rule.effect.value == "deny":
            typer.echo(f"  {rule.id}: {rule.why}")
    typer.echo(_KEY.format(key=_log_key(home)))
    typer.echo(_NEXT.format(policy=escape(str(home.policy))))
    typer.echo(_SIMULATED if simulated else _ENROL)
    typer.echo(f"      {_serve(state):<23} start the broker\n      elevate run -- id       the first task")


_KEY = """
the log's first key is
  {key}
  keep a copy away from this machine: with it the log can be told from a forged one
  (elevate audit verify --key KEY; elevate audit key prints it again)"""
_NEXT = """
to allow more: put a rule into a file in {policy},
  then: elevate policy check {policy} && elevate policy reload
  a refused command prints the rule that would allow it"""
_ENROL = "next: elevate hello enrol     choose a PIN"
_SIMULATED = "a scripted face answers every prompt, and every token says so: for tests only\nnext:"


def _log_key(home: Home) -> str:
    """Make the ledger, and give the key that its log is signed with."""
    store = SqliteStore(home.ledger, entropy=SystemEntropy())
    try:
        return store.verifier_key
    finally:
        store.close()


def _serve(state: Path | None) -> str:
    return "elevate serve" if state is None else f"elevate serve --state {escape(str(state))}"


def _remove(folder: Path) -> None:
    if not Home(folder).exists():
        raise NoBrokerError(f"no broker's folder is there: {folder}", hint="name it with --state")
    if folder.lstat().st_uid != os.getuid():
        raise HostError(f"the folder {folder} is not yours", hint="ask its owner")
    if folder == default_state() and _is_served():
        raise BrokerError("the broker is running", hint="stop it first: kill its process, as elevate status shows it")
    shutil.rmtree(folder)
    typer.echo(f"removed {escape(str(folder))}")


def _is_served() -> bool:
    try:
        wire.Wire(*wire.place()).close()
    except NoBrokerError:
        return False
    return True


def doctor(*, as_json: AsJson = False) -> None:
    """Look at the installation and the machine.

    The exit status is 1 where something is wrong.
    """
    findings = examine()
    if as_json:
        print_json([{"name": one.name, "state": one.state, "found": one.found} for one in findings])
    else:
        for one in findings:
            typer.echo(f"{one.state:5} {one.name}: {escape(one.found)}")
    raise typer.Exit(1 if any(one.state == "wrong" for one in findings) else 0)


def demo(
    *, interactive: Annotated[bool, typer.Option("--interactive", help="You choose a PIN and answer the prompt.")] = False
) -> None:
    """Show the whole life of one token.

    On a throw-away machine; nothing is set up or left behind.
    """
    from elevate.cli.demo import run_demo

    raise typer.Exit(run_demo(interactive=interactive, write=typer.echo))
