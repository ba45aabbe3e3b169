"""Which broker's folder a command means that names none."""

import os
from pathlib import Path

from elevate import wire
from elevate.broker.home import MACHINE, Home

__all__ = ["MACHINE", "broker_home"]


def broker_home() -> Home:
    """Give the machine's broker, for root and where there is one, else the caller's own."""
    machine = Home(MACHINE)
    return machine if os.geteuid() == 0 and machine.exists() else Home(Path(wire.home(os.getuid())) / ".local/share/elevate")
