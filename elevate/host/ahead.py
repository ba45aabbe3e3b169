"""What both hosts make ahead for a start, which is used for exactly that start: see `elevate.ports.Host.prepare`."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from elevate.host.inspection import HostInspection
from elevate.host.running import TreeRunning
from elevate.ports import Mandate

Looked = TypeVar("Looked", bound=HostInspection)


class Tree(Protocol):
    """A tree that waits for its byte, as `elevate.host.running.TreePrepared`."""

    def fresh(self) -> bool:
        """Say whether the machine's mounts are as they were."""

    def go(self) -> TreeRunning:
        """Let the task begin."""

    def close(self) -> None:
        """Give it up."""


@dataclass(frozen=True, slots=True)
class MadeAhead(Generic[Looked]):
    """What was made ahead, and for what."""

    inspection: Looked
    mandate: Mandate
    tree: Tree

    def holds(self, inspection: Looked, mandate: Mandate) -> bool:
        """Say whether it is for this very start, and the machine's mounts are as they were."""
        # SECURITY: identity, not equality: the descriptors that were opened and hashed are in the inspection.
        return self.inspection is inspection and self.mandate == mandate and self.tree.fresh()

    def close(self) -> None:
        """Give it up."""
        self.tree.close()
