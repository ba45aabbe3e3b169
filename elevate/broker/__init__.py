"""The story of one elevation, and the broker that tells it."""

from elevate.broker.broker import Broker
from elevate.broker.cancel import Cancellation
from elevate.broker.elevation import Ask, Terms
from elevate.broker.grant import Grant
from elevate.outcome import Outcome

__all__ = ["Ask", "Broker", "Cancellation", "Grant", "Outcome", "Terms"]
