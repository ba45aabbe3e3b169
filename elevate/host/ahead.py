"""What both hosts make ahead for a start, which is used for exactly that start: see `elevate.ports.Host.prepare`."""

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from elevate.host.inspection import HostInspection
from elevate.host.running import TreeRunning
from elevate.model import AdminIdentity, Obligations

Looked = TypeVar("Looked", bound=HostInspection)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Looked]):
    """What one start was asked for."""

    inspection: Looked
    identity: AdminIdentity
    session: str
    time_limit_seconds: int
    obligations: Obligations

    def same(self, other: "Wanted[Looked]") -> bool:
        """Say whether another one is for this very inspection, and the same in all else."""
        # SECURITY: identity, not equality: the descriptors that were opened and hashed are in the inspection.
        return self.inspection is other.inspection and replace(self, inspection=other.inspection) == other


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

    wanted: Wanted[Looked]
    tree: Tree

    def holds(self, wanted: Wanted[Looked]) -> bool:
        """Say whether it is for this start, and the machine's mounts are as they were."""
        return self.wanted.same(wanted) and self.tree.fresh()

    def close(self) -> None:
        """Give it up."""
        self.tree.close()
