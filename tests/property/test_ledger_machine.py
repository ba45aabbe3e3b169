"""Whatever happens in whatever order, the ledger agrees with a small model.

Issue, wait, redeem, crash, restart, revoke, sweep and replay, driven by hypothesis. A crash is a copy of the files as they are
at that moment, which is then opened: what a killed process leaves behind.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from elevate.audit import parse, verify_chain
from elevate.lifecycle import TRANSITIONS, State
from elevate.ports import Draft, Step
from elevate.store import SqliteStore
from elevate.testing import NANOSECONDS, ManualClock, SeededEntropy
from tests.ledgers import request_id, row

LIFE_SECONDS = 30
ENDED = {State.EXPIRED, State.REVOKED, State.DESTROYED}


class LedgerMachine(RuleBasedStateMachine):
    """The broker's use of a ledger, in miniature; ``model`` is what must be so."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="machine-"))
        self.clock = ManualClock()
        self.starts = 0
        self.model: dict[str, State] = {}
        self.redeemed_by: dict[str, str] = {}
        self.entries = 0
        self.store = self.open(self.folder())

    def folder(self) -> Path:
        folder = self.root / str(self.starts)
        folder.mkdir(mode=0o700)
        return folder

    def open(self, folder: Path) -> SqliteStore:
        self.starts += 1
        return SqliteStore(folder / "ledger", entropy=SeededEntropy(self.starts))

    @property
    def epoch(self) -> str:
        return f"boot.{self.starts}"

    def draft(self, event: str, request: str) -> Draft:
        self.entries += 1
        return Draft(event=event, request=request, at=self.clock.read())

    def move(self, request: str, before: State, after: State, **fields: str | int) -> bool:
        """Ask for one step; it wins exactly where the model says so, and only then has an entry."""
        known = self.store.record(request)
        assert known is not None
        epoch = self.epoch if after is State.REDEEMED else ""
        expected = self.model[request] is before and (not epoch or known.epoch == epoch)
        entry = self.draft(after.value, request)
        step = Step(request=request, before=before, after=after, entry=entry, fields=fields, epoch=epoch)
        stepped = self.store.step(step)
        assert stepped.won is expected
        if stepped.won:
            self.model[request] = after
        else:
            self.entries -= 1
        return stepped.won

    def alive(self, request: str) -> bool:
        found, now = self.store.record(request), self.clock.read()
        return found is not None and now.unix < found.expires_at and now.mono_ns < found.deadline_ns

    @rule(target=tokens)
    def issue(self) -> str:
        request = request_id(len(self.model))
        self.store.open_request(row(request, epoch=self.epoch), self.draft("requested", request))
        self.model[request] = State.REQUESTED
        now = self.clock.read()
        end = {"expires_at": now.unix + LIFE_SECONDS, "deadline_ns": now.mono_ns + LIFE_SECONDS * NANOSECONDS}
        assert self.move(request, State.REQUESTED, State.ISSUED, jti=request, **end)
        return request

    @rule(redeem_id=st.sampled_from(["a", "b"]))
    def issue_and_redeem(self, redeem_id: str) -> None:
        request = request_id(len(self.model))
        self.store.open_request(row(request, epoch=self.epoch), self.draft("requested", request))
        issue, redeem = self.draft("issued", request), self.draft("redeemed", request)
        steps = (
            Step(request=request, before=State.REQUESTED, after=State.ISSUED, entry=issue, epoch=self.epoch),
            Step(
                request=request,
                before=State.ISSUED,
                after=State.REDEEMED,
                entry=redeem,
                fields={"redeem_id": redeem_id},
                epoch=self.epoch,
            ),
        )
        assert self.store.step(*steps).won
        self.model[request], self.redeemed_by[request] = State.REDEEMED, redeem_id

    @rule(seconds=st.integers(0, LIFE_SECONDS))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.integers(-3600, 0))
    def step_clock_back(self, seconds: int) -> None:
        self.clock.step_wall(seconds)

    @rule(token=tokens, redeem_id=st.sampled_from(["a", "b"]))
    def redeem(self, token: str, redeem_id: str) -> None:
        if self.alive(token) and self.move(token, State.ISSUED, State.REDEEMED, redeem_id=redeem_id):
            assert token not in self.redeemed_by
            self.redeemed_by[token] = redeem_id

    @rule(token=tokens)
    def revoke(self, token: str) -> None:
        self.move(token, State.ISSUED, State.REVOKED)

    @rule(token=tokens)
    def finish(self, token: str) -> None:
        self.move(token, State.REDEEMED, State.DESTROYED)

    @rule()
    def sweep(self) -> None:
        for found in self.store.unfinished():
            if found.state is State.ISSUED and not self.alive(found.request):
                assert self.move(found.request, State.ISSUED, State.EXPIRED)

    @rule()
    def restart(self) -> None:
        path = self.store.path
        self.store.close()
        self.store = self.open(path.parent)

    @precondition(lambda self: self.model)
    @rule()
    def crash(self) -> None:
        old, folder = self.store, self.folder()
        for suffix in ("", "-wal", "-key"):
            shutil.copy(old.path.with_name(old.path.name + suffix), folder)
        self.store = self.open(folder)
        old.close()

    @invariant()
    def rows_are_as_modelled(self) -> None:
        for request, state in self.model.items():
            found = self.store.record(request)
            assert found is not None
            assert found.state is state
            assert found.redeem_id == self.redeemed_by.get(request, "")
        assert {found.request for found in self.store.unfinished()} == {
            request for request, state in self.model.items() if state in TRANSITIONS
        }

    @invariant()
    def the_log_is_whole(self) -> None:
        assert verify_chain(self.store.entries()).size == self.entries == self.store.head()[0]
        for request in self.model:
            events = [parse(data).event for data in self.store.entries_of(request)]
            assert events[-1] == self.model[request].value
            assert len(events) == len(set(events))

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
