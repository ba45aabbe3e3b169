"""What a broker goes by, and what the log says of it: its start, its settings, its policy, and whom it shuts out."""

import os
from contextlib import suppress
from dataclasses import asdict

from elevate import __version__, canonical
from elevate.audit import body
from elevate.audit.body import Body
from elevate.broker import entries, recovery, started
from elevate.broker.home import Home
from elevate.broker.parts import Parts
from elevate.broker.reading import Reading
from elevate.broker.settings import Settings
from elevate.canonical import Json
from elevate.errors import ElevateError, PolicyError
from elevate.hello import SoftwareHello
from elevate.model import Requester
from elevate.ports import Draft
from elevate.store.reader import LedgerReader

MAX_PROBLEM_CHARS = 4096


class Ruled(Reading):
    """A broker's start, its policy and its settings, each change with its entry."""

    def __init__(self, parts: Parts, *, home: Home, hello: SoftwareHello) -> None:
        super().__init__(parts, ledger=home.ledger)
        self.home = home
        self._pending: Body = {}
        hello.vault.on_lock = lambda user, found: self._shut_out(user, found.locked, found.wait_seconds)
        parts.turns.on_pause = lambda user, seconds: self._shut_out(user, "prompts", seconds)

    def reload_policy(self, requester: Requester | None = None) -> dict[str, Json]:
        """Read the policy folder again; the log says who asked for it, where somebody did, and what waits in the settings.

        Raises:
            PolicyError: The new policy is bad; the one in force stays, and the log says so.
        """
        by = {} if requester is None else body.actor(requester, brief=True)
        with self.parts.policy.changing:
            self._note_pending(by)
            before = self.parts.policy.current.digest
            try:
                candidate = self.parts.policy.read()
            except PolicyError as error:
                self._note("policy-refused", entries.failed(error) | body.setting("policy", before) | by)
                raise
            self.parts.policy.announce(candidate)
            try:
                # INVARIANT: no log, no right. A policy gives rights only once the log has it.
                self._note("policy-changed", body.setting("policy", candidate.digest) | by)
            except BaseException:
                self.parts.policy.take(None)
                raise
            self.parts.policy.take(candidate)
        return {"before": before, "policy": candidate.digest, "rules": len(candidate.rules)}

    def _note_pending(self, by: Body) -> None:
        """Say which settings have another value from the next start on; once for each such change."""
        try:
            written = started.settings_part(Settings.read(self.home.settings))
            pending = started.settings_changed(started.settings_part(self.parts.settings), written)
            event = "settings-pending"
        except PolicyError as error:
            pending, event = entries.failed(error), "settings-refused"
        if pending and pending != self._pending:
            self._note(event, pending | by)
        self._pending = pending

    def _start(self) -> None:
        parts, policy = self.parts, self.parts.policy
        settings = started.settings_part(parts.settings)  # they count from a start on, so a change shows in its entries
        with LedgerReader(self.home.ledger) as reader:
            changes = started.since_last(reader, settings, policy.current.digest)
            clock = started.clock_part(reader.last_of(), parts.clock)
        recovery.tidy(parts)
        digest = canonical.digest(asdict(parts.settings))
        begun: Body = {"broker": {"version": __version__, "epoch": parts.epoch, "key": parts.key.kid, "settings": digest}}
        self._note(started.STARTED, begun | body.setting("policy", policy.current.digest) | settings | clock | self._self())
        for event, members in changes:
            self._note(event, members)
        if policy.problem:
            refused = body.reason("policy-invalid", policy.problem[:MAX_PROBLEM_CHARS])
            self._note("policy-refused", refused | body.setting("policy", policy.current.digest))

    def _self(self) -> Body:
        """Say which process this broker is, and which ones started it."""
        try:
            return body.actor(self._me())
        except ElevateError:  # a uid that the machine does not know
            return {"actor": {"uid": os.getuid(), "pid": os.getpid()}}

    def _shut_out(self, user: str, layer: str, wait_seconds: int) -> None:
        # It holds whether or not it can be written.
        with suppress(ElevateError):
            self._note("prompts-paused" if layer == "prompts" else "pin-locked", body.lockout(user, layer, wait_seconds))

    def _note(self, event: str, members: Body) -> None:
        self.parts.store.append(Draft(event=event, request="", at=self.parts.clock.read(), body=members))
