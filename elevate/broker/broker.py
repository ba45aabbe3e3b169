"""The broker: opens its parts, tidies what a crash left, takes requests, and answers what may be asked about them."""

import hmac
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from elevate import __version__
from elevate.audit import body
from elevate.audit import parse as parse_entry
from elevate.audit.body import Body
from elevate.broker import entries, recovery, windows
from elevate.broker.cancel import Cancellation
from elevate.broker.elevation import Ask, Terms, elevate
from elevate.broker.grant import Grant
from elevate.broker.home import Home, create
from elevate.broker.opening import open_parts
from elevate.broker.parts import Parts
from elevate.broker.patience import Patience
from elevate.broker.prompting import SensorPrompter, TerminalPrompter
from elevate.canonical import Json
from elevate.errors import BrokerError, BusyError, ElevateError, PolicyError, TaskInvalidError, TokenSpentError
from elevate.hello import Proof, SoftwareHello
from elevate.host.launcher import Launcher
from elevate.host.processes import ProcessFacts, read_process
from elevate.lifecycle import State
from elevate.model import Requester
from elevate.policy import Explanation, Question
from elevate.ports import Cancel, Clock, Draft, Entropy, Prompter, Record, Step
from elevate.tasks import Task

MAX_LIVE_PER_UID = 16
MAX_PROBLEM_CHARS = 4096
CLOSE_SECONDS = 10
"""How long closing waits for requests that were told to stop."""


@dataclass(slots=True)
class _Live:
    uid: int
    cancel: Cancel
    grant: Grant | None = None


class Broker:
    """One running broker. Make it with `open` or `embedded`; close it when done.

    Attributes:
        parts: What it is made of.
        hello: The person's gestures.
        launcher: Starts tasks and prompts.
        patience: With those whose requests are refused again and again.
    """

    def __init__(self, parts: Parts, *, home: Home, hello: SoftwareHello, launcher: Launcher, cleanup: ExitStack) -> None:
        self.parts = parts
        self.home = home
        self.hello = hello
        self.launcher = launcher
        self._cleanup = cleanup
        self._live: dict[str, _Live] = {}
        self._asking: dict[int, int] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self.patience = Patience(parts.clock)
        self._closed = False
        self._default_prompter: Callable[[], Prompter] | None = None
        recovery.tidy(parts)
        started: Body = {"broker": {"version": __version__, "epoch": parts.epoch, "key": parts.key.kid}}
        self._note("broker-started", started | body.setting("policy", parts.policy.current.digest))
        if parts.policy.problem:
            refused = body.reason("policy-invalid", parts.policy.problem[:MAX_PROBLEM_CHARS])
            self._note("policy-refused", refused | body.setting("policy", parts.policy.current.digest))

    @classmethod
    def open(cls, folder: Path, *, clock: Clock | None = None, entropy: Entropy | None = None, keyring: bool = False) -> Self:
        """Open the broker that lives in ``folder``; ``keyring`` as for `embedded`.

        Raises:
            BrokerError: There is none, it is open elsewhere, or a part of it can't be used.
            PolicyError: Its policy or settings can't be read.
        """
        with ExitStack() as stack:
            home = Home(folder)
            parts, hello, launcher = open_parts(home, stack, clock=clock, entropy=entropy, keyring=keyring)
            return cls(parts, home=home, hello=hello, launcher=launcher, cleanup=stack.pop_all())

    @classmethod
    def embedded(  # noqa: PLR0913 - each is a choice of its own, by name
        cls,
        folder: Path | None = None,
        *,
        policy: str = "developer-workstation",
        pin: bytes = b"",
        prompter: Callable[["Broker"], Prompter] | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        keyring: bool = False,
    ) -> Self:
        """Open a broker inside this process, on an emulated machine of its own.

        Args:
            folder: Kept if given, and made if nothing is there; else a temporary one that goes with the broker.
            policy: Name of a shipped policy set, for a folder that is made.
            pin: Of this process's user, for a folder that is made; a random one if not given. A scripted face is enrolled too.
            prompter: Makes each prompt; else the scripted sensor answers.
            clock: Instead of the machine's own.
            entropy: Instead of the machine's own.
            keyring: Device secrets are in the person's own keyring where it has a real backend; such a folder is for this
                process's own brokers only, the daemon never looks there.
        """
        with ExitStack() as stack:
            if folder is None:
                folder = Path(tempfile.mkdtemp(prefix="elevate-"))
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            fresh = not Home(folder).exists()
            if fresh:
                create(folder, policy=policy, simulated=True)
            broker = cls.open(folder, clock=clock, entropy=entropy, keyring=keyring)
            if fresh:
                broker.enrol_owner(pin)
            stack.push(broker._cleanup.pop_all().__exit__)  # noqa: SLF001 - our own
            broker._cleanup = stack.pop_all()  # noqa: SLF001 - our own
        if prompter is not None:
            broker._default_prompter = lambda: prompter(broker)  # noqa: SLF001 - our own
        return broker

    def elevate(self, task: Task, *, reason: str = "", cancel: Cancel | None = None) -> Grant:
        """Ask as this process; the embedded broker's way.

        Raises:
            ElevateError: As `elevate.broker.elevation.elevate`.
        """
        requester = self.requester(read_process(os.getpid()))
        own = Cancellation()
        terms = Terms(prompter=self._default_prompter or (lambda: self.prompter(None)), cancel=cancel or own)
        try:
            return self.request(Ask(task=task, requester=requester, reason=reason), terms)
        finally:
            own.close()  # with the grant there is nothing left to wait for

    def request(self, ask: Ask, terms: Terms) -> Grant:
        """Take one request to its grant.

        Raises:
            BusyError: This uid has too many open requests.
            ElevateError: As `elevate.broker.elevation.elevate`.
        """
        uid = ask.requester.process.uid
        request = ""

        def listener(name: str, state: State) -> None:
            nonlocal request
            request = name
            if state is State.REQUESTED:
                self._live[name] = _Live(uid, terms.cancel)
            terms.listener(name, state)

        with self._admitted(uid):
            try:
                grant = elevate(self.parts, ask, Terms(prompter=terms.prompter, cancel=terms.cancel, listener=listener))
            except BaseException:
                self._live.pop(request, None)
                if self.patience.refused(uid):
                    self._note("requests-limited", {"actor": {"uid": uid}})
                raise
            grant.on_end = lambda: self._live.pop(request, None)
            self._live[request] = _Live(uid, terms.cancel, grant)
        return grant

    def prompter(self, terminal: int | None) -> Prompter:
        """Make the prompt for a request: on its terminal, or with the sensors alone where it has none."""
        if terminal is None:
            return SensorPrompter(self.hello)
        return TerminalPrompter(self.hello, self.launcher, terminal)

    def enrol_owner(self, pin: bytes = b"") -> None:
        """Enrol this process's user with a PIN, a random one if not given, and with every sensor that is there.

        Raises:
            HelloError: The user is enrolled already, or the PIN breaks a rule.
        """
        user, _sid, _groups = self.parts.host.user_for(os.getuid())
        pin = pin or str(10**8 + int.from_bytes(self.parts.entropy.token_bytes(6)) % 10**8).encode()
        self.hello.enrol_pin(user, bytearray(pin))
        for gesture in self.hello.vault.sensors:
            self.hello.enrol(user, gesture, Proof(gesture="pin", secret=bytearray(pin)))

    def requester(self, facts: ProcessFacts) -> Requester:
        """Name who asks, from kernel facts and the machine's own list of users."""
        user, sid, groups = self.parts.host.user_for(facts.process.uid)
        return Requester(
            user=user,
            sid=sid,
            groups=groups,
            machine=self.parts.host.name,
            process=facts.process,
            executable=facts.executable,
            chain=facts.chain,
            remote=facts.remote,
            service=self.parts.policy.current.service_of(uid=facts.process.uid, executable=facts.executable),
        )

    def explain(
        self, task: Task, requester: Requester | None = None, *, payload: int | None = None, reason: str = ""
    ) -> Explanation:
        """Say what the policy makes of a task, without asking anyone; for this process where no requester is given."""
        requester = requester or self.requester(read_process(os.getpid()))
        with self._admitted(requester.process.uid):
            return self._explained(task, requester, payload, reason)

    def _explained(self, task: Task, requester: Requester, payload: int | None, reason: str) -> Explanation:
        inspection = self.parts.host.inspect(task, requester, payload)
        try:
            question = Question(requester=requester, task=inspection.task, now=self.parts.clock.read(), reason=reason)
            return self.parts.policy.current.explain(question)
        finally:
            inspection.close()

    def cancel(self, request: str, requester: Requester) -> None:
        """Stop one's own request wherever it stands.

        Raises:
            TaskInvalidError: No such open request of this user.
        """
        live = self._live.get(request)
        if live is None or not _may(requester, live.uid):
            raise TaskInvalidError("no open request of yours has this id", hint="see: elevate audit tail")
        self._stop([live])
        if live.grant is not None:
            live.grant.release()

    def revoke(self, jti: str, requester: Requester) -> None:
        """Take a token back that was not used yet.

        Raises:
            TaskInvalidError: No such token of this user, or it is gone already.
        """
        record = self.parts.store.by_jti(jti) if jti else None
        if record is None or not _may(requester, record.uid):
            raise TaskInvalidError("no token of yours has this id", hint="see: elevate audit tail")
        entry = Draft(
            event=State.REVOKED,
            request=record.request,
            at=self.parts.clock.read(),
            body=body.reason("token-revoked", f"taken back by {requester.user}"),
        )
        step = Step(request=record.request, before=State.ISSUED, after=State.REVOKED, entry=entry)
        stepped = self.parts.store.step(step)
        if not stepped.won:
            raise TaskInvalidError(f"the token is {stepped.record.state} already")

    def record(self, request: str, requester: Requester) -> Record:
        """Give one request's row to whom it concerns.

        Raises:
            TaskInvalidError: No such request of this user.
        """
        record = self.parts.store.record(request)
        if record is None or not _may(requester, record.uid):
            raise TaskInvalidError("no request of yours has this id", hint="see: elevate audit tail")
        return record

    def became(self, request: str, redeem_id: str, requester: Requester) -> dict[str, Json]:
        """Say again what became of a redemption to the call that won it; nothing is started.

        Raises:
            TaskInvalidError: No such request of this user.
            TokenSpentError: Another call redeemed it, or none did.
        """
        record = self.record(request, requester)
        if not record.redeem_id or not hmac.compare_digest(record.redeem_id, redeem_id):
            raise TokenSpentError("this call did not redeem the token", detail=f"asked again about {request}")
        return {"state": record.state.value, "result": dict(record.result)}

    def receipt(self, request: str, requester: Requester) -> dict[str, Json]:
        """Give the receipt of a task that has ended, with a signed proof that its last entry is in the log.

        Raises:
            TaskInvalidError: No such request of this user, or its task has not ended.
        """
        record = self.record(request, requester)
        if not record.result:
            raise TaskInvalidError(f"there is no receipt: the request is {record.state}")
        last = parse_entry(self.parts.store.entries_of(request)[-1])
        return {**record.result, "proof": self.parts.store.prove(last.seq)}

    def status(self) -> dict[str, Json]:
        """Say how the broker stands."""
        size, head = self.parts.store.head()
        return {
            "version": __version__,
            "host": self.parts.host.name,
            "emulated": self.parts.host.emulated,
            "security_boundary": not self.parts.host.emulated,
            "protected": self.parts.settings.protected,
            "inert": windows.inert(self.parts.settings.windows),
            "settings": dict(self.parts.settings.windows),
            "pending_settings": dict(recovery.pending_settings(self.home, self.parts.settings)),
            "pending_restart": recovery.pending_restart(self.home, self.parts.settings),
            "allow_simulated_gestures": self.parts.settings.allow_simulated_gestures,
            "policy": self.parts.policy.current.digest,
            "policy_problem": self.parts.policy.problem,
            "policy_rules": len(self.parts.policy.current.rules),
            "log_size": size,
            "log_head": head,
            "open_requests": len(self._live),
            "open_prompts": self.parts.turns.open_prompts(),
            "token_key": self.parts.key.kid,
            "pid": os.getpid(),
        }

    def reload_policy(self) -> dict[str, Json]:
        """Read the policy folder again.

        Raises:
            PolicyError: The new policy is bad; the one in force stays, and the log says so.
        """
        with self.parts.policy.changing:
            before = self.parts.policy.current.digest
            try:
                candidate = self.parts.policy.read()
            except PolicyError as error:
                self._note("policy-refused", entries.failed(error) | body.setting("policy", before))
                raise
            self.parts.policy.announce(candidate)
            try:
                # INVARIANT: no log, no right. A policy gives rights only once the log has it.
                self._note("policy-changed", body.setting("policy", candidate.digest))
            except BaseException:
                self.parts.policy.take(None)
                raise
            self.parts.policy.take(candidate)
        return {"before": before, "policy": candidate.digest, "rules": len(candidate.rules)}

    def close(self) -> None:
        """Cancel what is open, take back what is unused, and close; twice is the same as once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stop(list(self._live.values()))
            self._idle.wait_for(lambda: not any(self._asking.values()), CLOSE_SECONDS)
        for live in list(self._live.values()):
            if live.grant is not None:
                # One that can't be ended is ended, and said, at the next start.
                with suppress(ElevateError):
                    live.grant.close()
        with self._cleanup:
            self._note("broker-stopped", {})

    def _stop(self, open_requests: list[_Live]) -> None:
        for live in open_requests:
            if isinstance(live.cancel, Cancellation):
                live.cancel.cancel()
            if live.grant is not None:
                live.grant.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def _admitted(self, uid: int) -> Iterator[None]:
        self._sweep(uid)
        self.patience.check(uid)
        with self._lock:
            if self._closed:
                raise BrokerError("the broker is stopping", hint="start it again: elevate serve")
            held = sum(live.uid == uid and live.grant is not None for live in list(self._live.values()))
            if self._asking.get(uid, 0) + held >= MAX_LIVE_PER_UID:
                raise BusyError(f"{MAX_LIVE_PER_UID} requests of this user are open already")
            self._asking[uid] = self._asking.get(uid, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._asking[uid] -= 1
                self._idle.notify_all()

    def _sweep(self, uid: int) -> None:
        """End the tokens of one user that nobody used in time."""
        for live in list(self._live.values()):
            if live.uid == uid and live.grant is not None and live.grant.overdue():
                live.grant.release()

    def _note(self, event: str, members: Body) -> None:
        self.parts.store.append(Draft(event=event, request="", at=self.parts.clock.read(), body=members))


def _may(requester: Requester, uid: int) -> bool:
    # SECURITY: others learn nothing, not even that it exists; root and the broker's own user see all.
    return requester.process.uid in {uid, 0, os.getuid()}
