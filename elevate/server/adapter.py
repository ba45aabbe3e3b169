"""The real broker behind the socket: its values as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from elevate.broker import Ask, Broker, Cancellation, Grant, Terms, enrolling
from elevate.broker.desk import Redeemed
from elevate.canonical import Json
from elevate.host.processes import ProcessFacts
from elevate.kinds import KindSpec
from elevate.lifecycle import State
from elevate.model import ProcessIdentity, Requester, Window
from elevate.outcome import Outcome, Progress
from elevate.policy import purpose
from elevate.ports import Running
from elevate.tasks import Task


def _outcome(outcome: Outcome) -> dict[str, Json]:
    return {
        "exit_status": outcome.exit_status,
        "signal": outcome.signal,
        "timed_out": outcome.timed_out,
        "receipt": dict(outcome.receipt),
    }


@dataclass(frozen=True, slots=True)
class SocketGrant:
    """A `elevate.broker.Grant` whose values cross the socket."""

    inner: Grant

    @property
    def request(self) -> str:
        """Id of the request."""
        return self.inner.request

    @property
    def expires_at(self) -> int:
        """Unix seconds, exclusive."""
        return self.inner.claims.exp

    @property
    def claims(self) -> Mapping[str, Json]:
        """The token's claims; the token itself stays in the broker."""
        return self.inner.claims.to_json()

    def start(
        self,
        redeem_id: str,
        presenter: ProcessIdentity,
        *,
        window: Window | None = None,
        on_progress: Callable[[Progress], object] = lambda _: None,
    ) -> Running:
        """Redeem, and start the task."""
        return self.inner.start(redeem_id, presenter, window=window, on_progress=on_progress, awaited=True)

    def go(self, *, window: Window | None = None, on_progress: Callable[[Progress], object] = lambda _: None) -> Running:
        """Start the task of a grant that was redeemed as it was issued."""
        return self.inner.go(window=window, on_progress=on_progress)

    def finish(self, running: Running) -> Mapping[str, Json]:
        """Wait for the task's end and give its outcome."""
        return _outcome(self.inner.finish(running))

    def release(self) -> None:
        """Take an unused token back."""
        self.inner.release()

    def token(self) -> str:
        """Give the text of a token that is for a helper."""
        return self.inner.handed_out()


@dataclass(frozen=True, slots=True)
class SocketRedeemed:
    """A `elevate.broker.desk.Redeemed` whose values cross the socket."""

    inner: Redeemed

    @property
    def request(self) -> str:
        """Id of the request."""
        return self.inner.request

    def told(self) -> Mapping[str, Json]:
        """Give what the helper is to do."""
        return self.inner.told()

    def open_input(self) -> int | None:
        """Give a descriptor of the input that was agreed to."""
        return self.inner.open_input()

    def listen(self, tell: Callable[[], object]) -> None:
        """Have a cancellation told."""
        self.inner.run.listen(tell)

    def finish(self, exit_status: int) -> Mapping[str, Json]:
        """Take the helper's report and give the outcome."""
        return _outcome(self.inner.finish(exit_status))

    def leave(self) -> None:
        """The helper has left."""
        self.inner.run.leave()


class BrokerSurface:
    """Implements `elevate.server.surface.Surface` over a `elevate.broker.Broker`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.logbook = broker.logbook
        self.care = broker.care

    def requester(self, facts: ProcessFacts) -> Requester:
        """Say who a process stands for."""
        return self._broker.requester(facts)

    def elevate(
        self, ask: Ask, *, terminal: int | None, cancel: Cancellation, on_state: Callable[[str, State], None]
    ) -> SocketGrant:
        """Inspect, decide, prompt, issue."""
        terms = Terms(prompter=lambda: self._broker.prompter(terminal), cancel=cancel, listener=on_state)
        return SocketGrant(self._broker.request(ask, terms))

    def explain(self, task: Task, requester: Requester, *, payload: int | None = None) -> Mapping[str, Json]:
        """Say what policy makes of a task."""
        found = self._broker.explain(task, requester, payload=payload)
        return found.json() | {"text": found.text()}

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count memory that a call of this user's is about to take up; give what gives it back."""
        return self._broker.parts.host.hold(uid, size)

    def kinds(self) -> Mapping[str, KindSpec]:
        """Give the kinds of task that this machine has."""
        return self._broker.kinds()

    def rules(self, requester: Requester) -> list[Json]:
        """Give the rules that are for the requester, the order of their ids."""
        found = (rule for rule in self._broker.parts.policy.current.rules if rule.who.holds(requester))
        return [
            {"id": rule.id, "effect": rule.effect.value, "task": purpose(rule), "why": rule.why}
            for rule in sorted(found, key=lambda one: one.id)
        ]

    def cancel(self, request: str, requester: Requester) -> None:
        """Cancel an open request of the requester's own."""
        self._broker.cancel(request, requester)

    def revoke(self, jti: str, requester: Requester) -> None:
        """Take back a token of the requester's own."""
        self._broker.revoke(jti, requester)

    def receipt(self, request: str, requester: Requester) -> Mapping[str, Json]:
        """Say what a request of the requester's own left behind."""
        return self._broker.receipt(request, requester)

    def hello(
        self,
        method: str,
        parameters: Mapping[str, Json],
        requester: Requester,
        *,
        terminal: int | None,
        cancel: Cancellation,
    ) -> Mapping[str, Json]:
        """Answer one of the methods that manage gestures."""
        visit = enrolling.visit(self._broker, requester, terminal=terminal, cancel=cancel)
        return enrolling.call(visit, method, parameters)

    def status(self) -> Mapping[str, Json]:
        """Say how the broker is."""
        return self._broker.status()

    def reload_policy(self, requester: Requester | None = None) -> Mapping[str, Json]:
        """Load the policy again."""
        return self._broker.reload_policy(requester)

    def keys(self) -> Mapping[str, Json]:
        """Give what a helper verifies tokens with."""
        return self._broker.desk.keys()

    def redeem(self, token: str, redeem_id: str, facts: ProcessFacts) -> SocketRedeemed:
        """Use a token that was handed to a helper."""
        return SocketRedeemed(self._broker.desk.redeem(token, redeem_id, facts))
