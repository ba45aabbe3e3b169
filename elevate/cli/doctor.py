"""``elevate doctor``: what is right, what is missing, what this machine can't do. It only looks."""

import os
import platform
import shutil
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from elevate import wire
from elevate.broker.home import Home
from elevate.broker.settings import Settings
from elevate.cli import installation
from elevate.cli.installation import Finding
from elevate.cli.whose import broker_home
from elevate.errors import ElevateError, NoBrokerError
from elevate.host import facilities
from elevate.library import connect
from elevate.policy import load
from elevate.server.peer import has_peer_pidfd
from elevate.store import schema
from elevate.store.files import read_policy
from elevate.store.reader import LedgerReader

ANSWER_SECONDS = 5.0


def examine() -> list[Finding]:
    """Look at everything."""
    return [*_machine(), *_host(), *installation.examine(), *_folder(), *_within(ANSWER_SECONDS, _broker)]


def _within(seconds: float, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Ask a broker that may never answer: a service manager holds the socket of one that can't start."""
    found: list[Finding] = []
    asking = threading.Thread(target=lambda: found.extend(look()), daemon=True)
    asking.start()
    asking.join(seconds)
    return found or [Finding("broker", "wrong", f"it does not answer within {seconds:g} seconds; see: journalctl -u elevate")]


def _host() -> list[Finding]:
    """Look at what host linux needs, where root's broker uses it or is not made yet."""
    home = broker_home()
    if os.geteuid() != 0 or (home.exists() and not _uses_linux(home)):
        return []
    return [Finding(f"linux: {one.name}", one.state, one.found) for one in facilities.examine()]


def _uses_linux(home: Home) -> bool:
    try:
        return Settings.read(home.settings).host == "linux"
    except ElevateError:
        return False


def _machine() -> list[Finding]:
    kernel = platform.release()
    return [
        Finding("python", "ok", f"{platform.python_version()} at {sys.executable}"),
        Finding("kernel", "ok" if sys.platform == "linux" else "wrong", f"{platform.system()} {kernel}"),
        Finding(
            "pidfd of a peer",
            *(("ok", "the kernel gives it") if has_peer_pidfd() else ("note", "opened and confirmed instead")),
        ),
        Finding("sealed memory", "ok" if hasattr(os, "memfd_create") else "wrong", "for standard input"),
        _exists("/proc/self/stat", "proc", "process facts"),
        _exists("/dev/tty", "terminal device", "prompts"),
        Finding("elevate in PATH", *_found_in_path()),
    ]


def _exists(path: str, name: str, purpose: str) -> Finding:
    return Finding(name, "ok" if Path(path).exists() else "wrong", f"{path}, for {purpose}")


def _found_in_path() -> tuple[str, str]:
    path = shutil.which("elevate")
    return ("ok", path) if path else ("note", "not there: use python -m elevate, or activate its environment")


def _folder() -> list[Finding]:
    home = broker_home()
    if not home.exists():
        return [Finding("broker's folder", "note", f"none at {home.folder}; make one: elevate init")]
    found = home.folder.stat()
    private = found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077
    mode = f"{home.folder}, uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):03o}"
    return [Finding("broker's folder", "ok" if private else "wrong", mode), _settings(home), _policy(home), _ledger(home)]


def _settings(home: Home) -> Finding:
    try:
        Settings.read(home.settings)
    except ElevateError as error:
        return Finding("settings", "wrong", f"{error.message}: the broker does not start with them")
    return Finding("settings", "ok", str(home.settings))


def _policy(home: Home) -> Finding:
    try:
        return Finding("policy", "ok", f"{len(load(read_policy(home.policy)).rules)} rules in {home.policy}")
    except ElevateError as error:
        return Finding("policy", "wrong", error.message)


def _ledger(home: Home) -> Finding:
    if not home.ledger.exists():
        return Finding("ledger", "note", f"none at {home.ledger} yet; the broker makes it")
    try:
        with LedgerReader(home.ledger) as reader, reader.connection:
            why = schema.wrong(reader.rows(schema.QUERY), erasing=bool(reader.meta("erasing")))
    except ElevateError as error:
        return Finding("ledger", "wrong", error.message)
    if why:
        return Finding("ledger", "wrong", f"somebody changed it: {why}; the broker does not start with it")
    return Finding("ledger", "ok", str(home.ledger))


def _broker() -> list[Finding]:
    path, uid = wire.place()
    try:
        with connect() as broker:
            status = broker.status()
    except NoBrokerError as error:
        return [Finding("broker", "note", f"{error.message}; {error.hint}")]
    except ElevateError as error:
        return [Finding("broker", "wrong", error.message)]
    findings = [Finding("broker", "ok", f"{path}, uid {uid}, process {status.get('pid')}, {status.get('policy_rules')} rules")]
    if status.get("emulated"):
        findings.append(Finding("host", "note", f"{status.get('host')}: emulated, no security boundary"))
    if status.get("allow_simulated_gestures"):
        findings.append(Finding("gestures", "note", "simulated gestures are allowed: for tests only"))
    if status.get("pending_restart"):
        findings.append(Finding("settings", "note", "settings.toml has changed; it counts from the next start"))
    return findings
