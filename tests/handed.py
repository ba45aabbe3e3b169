"""A broker whose rules hand tasks to a pinned helper: this very program, as this user."""

import os
from pathlib import Path

from elevate.broker import Ask, Broker, Cancellation, Grant, Terms
from elevate.broker.home import Home
from elevate.host.processes import ProcessFacts, read_process
from elevate.ports import Clock
from elevate.tasks import Task
from tests.unit.policy.build import rule

HELPER = "contoso-updater"
AUDIENCE = f"helper:{HELPER}"
TRUE = Task.run(["/usr/bin/true"])
PROGRAM = os.path.realpath("/proc/self/exe")
THEN = f'{{ helper = "{HELPER}" }}'


def pinned(name: str = HELPER, *, uid: int | None = None, executable: str = PROGRAM, sha256: str = "") -> str:
    """Give the settings that pin a helper."""
    lines = [f"[helpers.{name}]", f"uid = {os.getuid() if uid is None else uid}", f'executable = "{executable}"']
    return "\n".join([*lines, *([f'sha256 = "{sha256}"'] if sha256 else []), ""])


def prepare(state: Path, *, settings: str = "", then: str = THEN) -> None:
    """Write settings and the one rule into a broker's folder that is there."""
    home = Home(state)
    with home.settings.open("a") as file:
        file.write("\n" + (settings or pinned()))
    for path in home.policy.iterdir():
        path.unlink()
    place = home.policy / "rules.toml"
    place.write_text(rule("handed", task='{ kind = "process.run" }', then=then))
    place.chmod(0o600)


def embedded(state: Path, *, settings: str = "", then: str = THEN, clock: Clock | None = None) -> Broker:
    """Open a broker inside this process."""
    with Broker.embedded(state):
        pass
    prepare(state, settings=settings, then=then)
    return Broker.embedded(state, clock=clock)


def me() -> ProcessFacts:
    """Read this process."""
    return read_process(os.getpid())


def hand_over(broker: Broker, task: Task = TRUE, audience: str = AUDIENCE) -> Grant:
    """Ask as this process for a task that a helper carries out."""
    cancel = Cancellation()
    terms = Terms(prompter=lambda: broker.prompter(None), cancel=cancel)
    try:
        return broker.request(Ask(task=task, requester=broker.requester(me()), audience=audience), terms)
    finally:
        cancel.close()
