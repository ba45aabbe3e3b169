"""One call that a worker runs: who asks, with what, and how it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from elevate.canonical import Json
from elevate.lifecycle import State, is_final
from elevate.model import Requester
from elevate.server.connection import Connection
from elevate.server.interface import Parameters, Request
from elevate.server.surface import Surface
from elevate.server.terminal import Mode


@dataclass(slots=True)
class Call:
    """One call that a worker runs."""

    broker: Surface
    connection: Connection
    request: Request
    parameters: Parameters
    fds: list[int]
    terminal: int | None = None  # of the person who asks; set once it has been looked at
    mode: Mode | None = None  # of that terminal, as it was then
    brief: bool = False  # the caller wants to hear of the task only, not of the request's states

    def requester(self) -> Requester:
        """Say who asks, read from the kernel now."""
        return self.broker.requester(self.connection.peer.facts())

    def descriptor(self, name: str) -> int | None:
        """Give the descriptor that a member names; None where there is none."""
        index = self.parameters.number(name, least=0, most=len(self.fds) - 1)
        return None if index is None else self.fds[index]

    def progress(self, parameters: dict[str, Json], fds: tuple[int, ...] = ()) -> None:
        """Send one reply that others follow, where the caller wants such."""
        if self.request.more:
            self.connection.tell(parameters, continues=True, fds=fds)

    def state(self, request: str, state: State) -> None:
        """Tell how far a request has come; what is running is told with its output."""
        if self.brief:
            return
        call_over = state in {State.REDEEMED, State.RUNNING} or is_final(state)
        if not call_over:
            self.progress({"state": state.value, "request": request})

    def answer(self, parameters: Mapping[str, Json], fds: tuple[int, ...] = ()) -> None:
        """Send the last reply."""
        if not self.request.oneway:
            self.connection.tell(dict(parameters), fds=fds)
