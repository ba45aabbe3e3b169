"""`elevate demo`: the whole life of one token on a throw-away machine, with nothing set up and nothing asked.

Everything shown is what happened: a real broker in this process, a real wheel that is built here, a real child process that
installs it into the emulated Program Files, the real log.
"""

import getpass
import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from elevate.audit import Outcome, parse, verify_chain
from elevate.audit.chain import Anchor
from elevate.broker import Broker, Grant
from elevate.broker.home import create
from elevate.canonical import Json
from elevate.cli import demo_installer
from elevate.cli.demo_view import Screen
from elevate.errors import DeniedError, HostError, NotEnrolledError, TokenSpentError
from elevate.ports import Assertion, Cancel, Prompter
from elevate.resources import shipped
from elevate.tasks import Task

REASON = "DEMO-1: try the new notes"


@dataclass(slots=True)
class _ShowingPrompter:
    """Shows on the screen what the person would see, then lets the true prompter ask."""

    screen: Screen
    inner: Prompter

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Show the view and pass the question on."""
        self.screen.prompt(view)
        return self.inner.ask(view, user, challenge, cancel=cancel)


def run_demo(*, interactive: bool = False, write: Callable[[str], object] = print) -> int:
    """Play the demo.

    Args:
        interactive: The person at the terminal chooses a PIN and answers the prompt; else a scripted face sensor does.
        write: Takes each line.

    Returns:
        0 where everything went as it must; 1 where a second use was not refused, the denied task was not denied, or the log
        and the forged copy of it were not told apart.
    """
    screen = Screen(write)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elevate-demo-")))
        broker = stack.enter_context(_open(folder / "state", screen, stack, interactive=interactive))
        wheel = _build_wheel(folder)
        screen.machine(broker.status(), wheel)
        grant = _ask(broker, wheel, screen)
        good = _install(grant, screen)
        good &= _second_use(grant, screen)
        good &= _denied(broker, folder, screen)
        if not interactive:  # whoever types has typed enough
            good &= demo_installer.play(broker, folder, screen)
        screen.life([parse(entry) for entry in broker.parts.store.entries_of(grant.request)])
        good &= _verify(broker, screen)
    screen.end(good=good)
    return 0 if good else 1


def _open(folder: Path, screen: Screen, stack: ExitStack, *, interactive: bool) -> Broker:
    if not interactive:
        return Broker.embedded(folder, prompter=lambda broker: _ShowingPrompter(screen, broker.prompter(None)))
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as exc:
        raise NotEnrolledError("there is no terminal to ask at", hint="leave --interactive out") from exc
    stack.callback(os.close, terminal)
    pin = getpass.getpass("Choose a PIN for the demo (at least 6 digits, not a simple row): ").encode()
    create(folder)
    broker = Broker.embedded(folder, prompter=lambda broker: broker.prompter(terminal))
    broker.enrol_owner(pin)
    return broker


def _build_wheel(folder: Path) -> Path:
    source = shipped("demo") / "build_wheel.py"
    spec = importlib.util.spec_from_file_location("elevate_demo_build_wheel", source)
    if spec is None or spec.loader is None:
        raise HostError(f"the demo's files are not there: {source}", hint="install elevate again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    packages = folder / "packages"
    packages.mkdir(mode=0o700)
    wheel: Path = module.build(packages)
    return wheel


def _ask(broker: Broker, wheel: Path, screen: Screen) -> Grant:
    screen.step("An installer asks for admin, for one task")
    grant = broker.elevate(Task.install(str(wheel)), reason=REASON)
    screen.step("The broker signs a token for that task")
    screen.claims(grant.claims)
    return grant


def _install(grant: Grant, screen: Screen) -> bool:
    screen.step("The token is used up, the task runs")
    outcome = grant.run(capture=True)
    screen.outcome(outcome)
    return outcome.exit_status == 0


def _second_use(grant: Grant, screen: Screen) -> bool:
    screen.step("The same token a second time")
    try:
        grant.run(capture=True)
    except TokenSpentError as error:
        screen.error(error)
        return True
    screen.say("NOT refused.")
    return False


def _denied(broker: Broker, folder: Path, screen: Screen) -> bool:
    screen.step("A task that the policy does not allow: a program that anyone could have put there")
    setup = folder / "setup.sh"
    setup.write_text("#!/bin/sh\nid\n")
    setup.chmod(0o700)
    task = Task.run([str(setup), "--quiet"])
    try:
        broker.elevate(task, reason=REASON)
    except DeniedError as error:
        screen.error(error, hint=False)
        screen.say(broker.explain(task).text())
        return True
    screen.say("NOT denied.")
    return False


def _verify(broker: Broker, screen: Screen) -> bool:
    screen.step("The log proves it; a copy with one byte changed does not")
    size, head = broker.parts.store.head()
    anchor = Anchor(size=size, head=head)
    entries = list(broker.parts.store.entries())
    true = verify_chain(entries, anchor)
    screen.verdict("the log", true)
    victim = size // 2
    forged = verify_chain([*entries[:victim], _flip(entries[victim]), *entries[victim + 1 :]], anchor)
    screen.verdict("the copy", forged)
    return true.outcome is Outcome.VERIFIED and (forged.outcome, forged.position) == (Outcome.TAMPERED, victim)


def _flip(entry: bytes) -> bytes:
    middle = len(entry) // 2
    return entry[:middle] + bytes([entry[middle] ^ 1]) + entry[middle + 1 :]
