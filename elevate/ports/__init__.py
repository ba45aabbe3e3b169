"""The seams: what the broker needs from the world, as Protocols, and the values that cross them.

Rooms implement these; the broker is given them. Tests give simulators of their own (`elevate.testing`).
"""

from elevate.ports.hello import Assertion, Cancel, Hello, Offer, Prompter
from elevate.ports.host import Host, Inspection, Mandate, Prepared, Running
from elevate.ports.store import Draft, Record, Step, Stepped, Store
from elevate.ports.world import Clock, Entropy, Instant, Sync

__all__ = [
    "Assertion",
    "Cancel",
    "Clock",
    "Draft",
    "Entropy",
    "Hello",
    "Host",
    "Inspection",
    "Instant",
    "Mandate",
    "Offer",
    "Prepared",
    "Prompter",
    "Record",
    "Running",
    "Step",
    "Stepped",
    "Store",
    "Sync",
]
