"""The demo's installer in `elevate demo`: eight steps, one agreement, one token."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from elevate.broker import Broker
from elevate.cli.demo_view import Screen
from elevate.errors import ElevateError, HostError
from elevate.resources import shipped

VERSION = "1.2.0"


def play(broker: Broker, folder: Path, screen: Screen) -> bool:
    """Let the installer install and remove its product; say whether it did."""
    screen.step("An installer with eight steps asks once; it brings a rule for itself, by its SHA-256")
    _allow(broker)
    setup = _load()
    product = setup.Setup(broker, folder / "user", reason="DEMO-1")
    try:
        receipt = product.install(VERSION)
        for line in product.progress:
            screen.say(line)
        screen.say(
            f"{len(receipt.written)} writes in the name of {receipt.identity}; {len(receipt.undo)} ways back in the receipt"
        )
        product.uninstall()
    except (ElevateError, setup.SetupError) as error:
        screen.say(f"NOT installed: {error}")
        return False
    screen.say("removed again, by what it had noted")
    return True


def _allow(broker: Broker) -> None:
    digest = hashlib.sha256((shipped("demo/installer") / "steps.py").read_bytes()).hexdigest()
    rule = (shipped("demo/installer") / "policy.toml").read_text().replace('"SHA256"', f'"{digest}"')
    file = broker.home.policy / "contoso-notes.toml"
    file.write_text(rule)
    file.chmod(0o600)
    broker.reload_policy()


def _load() -> ModuleType:
    source = shipped("demo/installer") / "setup.py"
    spec = importlib.util.spec_from_file_location("elevate_demo_setup", source)
    if spec is None or spec.loader is None:
        raise HostError(f"the demo's files are not there: {source}", hint="install elevate again")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
