"""One person's visit to the enrolment desk: who has come, to which terminal, whose turn it is, and what is written down.

The prompts of a visit wait in the same queue as those of the person's elevations, so nobody is asked two things at once.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from elevate.audit import body
from elevate.broker.broker import Broker
from elevate.broker.cancel import Cancellation
from elevate.broker.terminal import OpenPrompt, Starter
from elevate.broker.turns import Turns
from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, DeniedError, GestureError, PromptTimedOutError, TaskInvalidError
from elevate.hello import SoftwareHello
from elevate.model import Requester
from elevate.ports import Cancel, Draft, Entropy

MAX_TEXT = 256
Parameters = Mapping[str, Json]
Note = Callable[[str, Mapping[str, Json]], None]


def text(parameters: Parameters, name: str) -> str:
    """Give a short text among what came over the socket; empty where it is not there.

    Raises:
        TaskInvalidError: Something else stands there.
    """
    value = parameters.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TaskInvalidError(f"the parameter {name} is a short text")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who has come, and with what.

    Attributes:
        requester: By the kernel's word.
        owner_uid: The uid that the broker runs as; it and root may name another user.
        turns: The queue in which the requester's elevations wait for their prompts, too.
        terminal: Descriptor of the caller's terminal; None where there is none.
        note: Writes an audit entry, or raises; nothing is changed that is not written down first.
    """

    hello: SoftwareHello
    launcher: Starter
    entropy: Entropy
    requester: Requester
    owner_uid: int
    turns: Turns
    terminal: int | None = None
    cancel: Cancel = field(default_factory=Cancellation)
    note: Note

    @property
    def is_root(self) -> bool:
        """Whether root has come; for a user's own broker its owner counts as that."""
        return self.requester.process.uid in {0, self.owner_uid}

    def user(self, parameters: Parameters) -> str:
        """Give whose gestures are meant.

        Raises:
            DeniedError: Somebody else's, and this is not root.
        """
        named = text(parameters, "user")
        if named and named != self.requester.user and not self.is_root:
            raise DeniedError("only root may manage another user's gestures")
        return named or self.requester.user

    @contextmanager
    def turn(self) -> Iterator[int]:
        """Hold the requester's only prompt; gives the caller's terminal.

        Raises:
            GestureError: There is no terminal.
            BusyError: Too many wait already, or too many went unanswered.
        """
        if self.terminal is None:
            raise GestureError("there is no terminal to ask on", hint="run it from a terminal")
        user = self.requester.user
        with self.turns.take(user, self.cancel):
            try:
                yield self.terminal
            except (DeclinedError, PromptTimedOutError, GestureError, CancelledError) as error:
                self.turns.refused(user, left=isinstance(error, CancelledError))
                raise
            self.turns.answered(user)

    @contextmanager
    def prompt(self) -> Iterator[OpenPrompt]:
        """Open the prompt program on the caller's terminal, when it is the requester's turn."""
        with self.turn() as terminal, OpenPrompt(self.launcher, terminal, self.cancel) as opened:
            yield opened

    def written(self, action: str, user: str, gesture: str) -> None:
        """Write down what is about to be changed."""
        self.note(f"hello-{action}", {"user": user, "gesture": gesture})


def visit(broker: Broker, requester: Requester, *, terminal: int | None, cancel: Cancel | None = None) -> Visit:
    """Let someone in at a broker's desk.

    Args:
        broker: Whose.
        requester: By the kernel's word.
        terminal: Descriptor of the caller's terminal, checked to be one; the caller of this keeps it.
        cancel: Fires when the client leaves.
    """
    uid = requester.process.uid
    broker.patience.check(uid)

    def note(event: str, members: Mapping[str, Json]) -> None:
        # What is refused after it was written down fills the log as a refused request does.
        broker.patience.refused(uid)
        entry = body.actor(requester) | {"gesture": dict(members)}
        broker.parts.store.append(Draft(event=event, request="", at=broker.parts.clock.read(), body=entry))

    return Visit(
        hello=broker.hello,
        launcher=broker.launcher,
        entropy=broker.parts.entropy,
        requester=requester,
        owner_uid=os.getuid(),
        turns=broker.parts.turns,
        terminal=terminal,
        cancel=cancel or Cancellation(),
        note=note,
    )
