"""The machine's broker against sudo, doas and pkexec: root's daemon, an ordinary user, runs in turns. Needs root.

Whatever is changed for it, users, sudo's and doas' files, is changed in a place that goes with it; see `tests.stage`.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tests import stage
from tests.bench.figure import Figure


@cache
def _scene(name: str) -> Mapping[str, Any]:
    if reason := stage.missing():
        print(f"bench: error: {reason}", file=sys.stderr)
        raise SystemExit(1)
    return stage.play("tests.bench.scenes", name)


def run_vs_sudo() -> Figure:
    """``elevate run -- true`` with a face, in times of ``sudo -n``."""
    return _against("run_vs_sudo", "sudo", "sudo -n")


def run_vs_sudo_password() -> Figure:
    """``elevate run -- true`` with a face, in times of sudo with a password."""
    return _against("run_vs_sudo_password", "sudo_password", "sudo with a password")


def _against(name: str, peer: str, called: str) -> Figure:
    found = _scene("ways")
    others = ", ".join(f"{way} {found[way]:.1f}" for way in found if way not in {"asked", "asked_idle", "load"})
    text = f"1 is {called}; ms: {others}; load {found['load']:.1f}"
    if peer not in found:
        return Figure(name=name, value=found["elevate"], unit="ms", peer=f"{called} is not there; {text}")
    return Figure(name=name, value=found["elevate"] / found[peer], unit="times", peer=text, peer_value=1.0)


def broker_share() -> Figure:
    """From connect to the outcome, less `true` alone: what the broker adds; the greater of at once and after an idle second."""
    found = _scene("ways")
    own = {"at once": found["asked"] - found["true"], "after an idle second": found["asked_idle"] - found["true"]}
    text = ", ".join(f"{when} {value:.1f}" for when, value in own.items())
    return Figure(name="broker_share", value=max(own.values()), unit="ms", peer=f"{text}; load {found['load']:.1f}")


def client_share() -> Figure:
    """``elevate run`` against a broker that answers at once, less the bare interpreter: what the client adds."""
    found = _scene("client")
    text = f"elevate {found['elevate']:.2f}, python {found['python']:.2f}; load {found['load']:.1f}"
    return Figure(name="client_share", value=found["elevate"] - found["python"], unit="ms", peer=text)


def run_10000_rules() -> Figure:
    """``elevate run -- true`` with ten thousand rules, in times of the same with one; sudo and doas beside it."""
    found = _scene("rules")
    few, many = found["few"], found["many"]
    text = ", ".join(f"{way} {few[way]:.1f} to {many[way]:.1f} ms" for way in few)
    ratio = many["elevate"] / few["elevate"]
    sudo = many["sudo"] / few["sudo"] if "sudo" in few else None
    return Figure(name="run_10000_rules", value=ratio, unit="times one", peer=f"sudo; {text}", peer_value=sudo)


def run_parallel_4() -> Figure:
    """Elevations a second by four library clients on open connections, beside four loops of ``sudo -n``."""
    found = _scene("parallel")
    return Figure(
        name="run_parallel_4", value=found["elevate"], unit="per second", peer="4 sudo -n", peer_value=found.get("sudo")
    )


def daemon_memory() -> Figure:
    """Resident memory of the idle daemon with a hundred rules."""
    found = _scene("memory")
    text = f"launchers beside it, shared pages in part: {found['launchers']:.1f} MB"
    return Figure(name="daemon_memory", value=found["daemon"], unit="MB", peer=text)


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "broker_share": broker_share,
    "client_share": client_share,
    "daemon_memory": daemon_memory,
    "run_10000_rules": run_10000_rules,
    "run_parallel_4": run_parallel_4,
    "run_vs_sudo": run_vs_sudo,
    "run_vs_sudo_password": run_vs_sudo_password,
}
