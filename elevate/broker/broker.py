"""The broker: opens its parts, tidies what a crash left, takes requests, and answers what may be asked about them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Self

from elevate import __version__, canonical
from elevate.audit import body
from elevate.broker import recovery, windows
from elevate.broker.cancel import Cancellation, Joined
from elevate.broker.deciding import explain
from elevate.broker.desk import Desk
from elevate.broker.elevation import Ask, Terms, elevate
from elevate.broker.grant import Grant
from elevate.broker.home import Home, create
from elevate.broker.opened import OpenRequests
from elevate.broker.opening import open_parts
from elevate.broker.parts import Parts
from elevate.broker.patience import Patience
from elevate.broker.prompting import SensorPrompter, TerminalPrompter
from elevate.broker.records import concerns
from elevate.broker.ruled import Ruled
from elevate.broker.several import inspect
from elevate.canonical import Json
from elevate.errors import ElevateError, NotEnrolledError, TaskInvalidError
from elevate.hello import Proof, SoftwareHello
from elevate.host.launcher import Launcher
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.model import Requester
from elevate.policy import Explanation, Explanations, Question
from elevate.ports import Cancel, Clock, Entropy, Prompter
from elevate.tasks import Task, as_one

MAX_PROBLEM_CHARS = 4096


class Broker(Ruled):
    """One running broker. Make it with `open` or `embedded`; close it when done.

    Attributes:
        parts: What it is made of.
        hello: The person's gestures.
        launcher: Starts tasks and prompts.
        patience: With those whose requests are refused again and again.
        desk: Where helpers redeem what was handed out to them.
    """

    def __init__(self, parts: Parts, *, home: Home, hello: SoftwareHello, launcher: Launcher, cleanup: ExitStack) -> None:
        super().__init__(parts, home=home, hello=hello)
        self.hello = hello
        self.launcher = launcher
        self._cleanup = cleanup
        self.patience = Patience(parts.clock)
        self._opened = OpenRequests(self.patience)
        self.desk = Desk(parts, self._opened)
        self._default_prompter: Callable[[], Prompter] | None = None
        self._start()

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

    def elevate(self, task: Task | Sequence[Task], *, reason: str = "", cancel: Cancel | None = None) -> Grant:
        """Ask as this process; the embedded broker's way. Several tasks are done in order, under one token.

        Raises:
            ElevateError: As `elevate.broker.elevation.elevate`.
        """
        requester = self.requester(read_process(os.getpid()))
        own = Cancellation()
        terms = Terms(prompter=self._default_prompter or (lambda: self.prompter(None)), cancel=cancel or own)
        try:
            return self.request(Ask(task=as_one(task), requester=requester, reason=reason), terms)
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
                self._opened.open(name, uid, own)
            terms.listener(name, state)

        with self._opened.admitted(uid), closing(Joined(terms.cancel)) as own:
            grant: Grant | None = None
            try:
                grant = elevate(self.parts, ask, Terms(prompter=terms.prompter, cancel=own, listener=listener))
                self._opened.granted(request, uid, own, grant)
            except BaseException:
                if grant is not None:  # a signal came in between, and nobody has it
                    with suppress(ElevateError):
                        grant.close()
                self._opened.forget(request)
                if self.patience.refused(uid, size_bytes=len(canonical.encode(ask.task.display()))):
                    self._note("requests-limited", body.actor(ask.requester, brief=True))
                raise
        return grant

    def prompter(self, terminal: int | None) -> Prompter:
        """Make the prompt for a request: on its terminal, or with the sensors alone where it has none.

        Raises:
            NotEnrolledError: A real host has nowhere to show the request.
        """
        if terminal is not None:
            return TerminalPrompter(self.hello, self.launcher, terminal)
        # SECURITY: a touch or a glance by somebody who was shown nothing agrees to nothing; scripts on a test machine may.
        if not (self.parts.host.emulated or self.parts.settings.allow_simulated_gestures):
            raise NotEnrolledError("there is no terminal to show the request on", hint="run it from a terminal")
        return SensorPrompter(self.hello)

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

    def explain(
        self,
        task: Task | Sequence[Task],
        requester: Requester | None = None,
        *,
        payload: int | None = None,
        reason: str = "",
    ) -> Explanation | Explanations:
        """Say what the policy makes of a task, or several, without asking anyone; for this process with no requester given."""
        requester = requester or self.requester(read_process(os.getpid()))
        with self._opened.admitted(requester.process.uid):
            return self._explained(as_one(task), requester, payload, reason)

    def _explained(self, task: Task, requester: Requester, payload: int | None, reason: str) -> Explanation | Explanations:
        inspection = inspect(self.parts.host, task, requester, payload)
        try:
            question = Question(requester=requester, task=inspection.task, now=self.parts.clock.read(), reason=reason)
            return explain(self.parts, question)
        finally:
            inspection.close()

    def cancel(self, request: str, requester: Requester) -> None:
        """Stop one's own request wherever it stands.

        Raises:
            TaskInvalidError: No such open request of this user.
        """
        opened = self._opened.find(request)
        if opened is None or not concerns(requester, opened.uid):
            raise TaskInvalidError("no open request of yours has this id", hint="see: elevate audit tail")
        opened.stop(body.actor(requester, brief=True))
        if opened.grant is not None:
            opened.grant.release()

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
            "open_requests": len(self._opened),
            "open_prompts": self.parts.turns.open_prompts(),
            "token_key": self.parts.key.kid,
            "pid": os.getpid(),
        }

    def close(self) -> None:
        """Cancel what is open, take back what is unused, and close; twice is the same as once."""
        if self._opened.close():
            with self._cleanup:
                with suppress(ElevateError):
                    self.logbook.close()
                self._note("broker-stopped", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
