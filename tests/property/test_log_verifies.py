"""Whatever is done to a log, in whatever order, and of whatever size it is: it verifies, whole, in parts, from anywhere on."""

import shutil
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from elevate.audit import Outcome, Verdict
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import check
from elevate.audit.verify import Known
from elevate.errors import AuditError
from elevate.ports import Step
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.testing import SeededEntropy
from tests.biglog import USERS, life, write_lives
from tests.ledgers import AT, draft, request_id, row

STEP_US = 2_000_000
ONCE = 64
"""So many entries are read at once."""


class LogMachine(RuleBasedStateMachine):
    """A log that is written, closed, pruned, erased from and handed over to new keys."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="log-"))
        self.opened = 0
        self.requests = 0
        self.anchors: list[Known] = []
        self.unfinished: list[Step] = []
        self.store = self.open()

    def open(self) -> SqliteStore:
        self.opened += 1
        return SqliteStore(self.folder / "ledger.sqlite", entropy=SeededEntropy(self.opened))

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 120))
    def requests_come_and_end(self, count: int) -> None:
        numbers = range(self.requests, self.requests + count)
        self.store._writer.run(partial(write_lives, numbers=numbers, step_us=STEP_US))
        self.requests += count

    @rule(steps=st.integers(1, 3))
    def one_has_not_ended(self, steps: int) -> None:
        asked, *others = life(self.requests, step_us=STEP_US)
        assert not isinstance(asked, Step)
        self.store.open_request(row(asked.request, user=USERS[self.requests * 7 % len(USERS)]), asked)
        done = [one for one in others[: steps - 1] if isinstance(one, Step)]
        for one in done:
            self.store.step(one)
        self.unfinished += [one for one in others[len(done) :] if isinstance(one, Step)]
        self.requests += 1

    @rule()
    def all_end(self) -> None:
        for one in self.unfinished:
            self.store.step(one)
        self.unfinished.clear()

    @rule(count=st.integers(1, 70), number=st.integers(0, 1000))
    def something_is_noted(self, count: int, number: int) -> None:
        request = request_id(number % self.requests) if self.requests and number % 2 else ""
        for _ in range(count):
            self.store.append(draft("note", request))

    @rule()
    def what_is_read_at_once_is_full(self) -> None:
        while self.store.head()[0] % ONCE:
            self.store.append(draft("note", ""))

    @rule()
    def a_checkpoint_is_kept(self) -> None:
        checkpoint = Checkpoint.parse(Note.parse(self.store.checkpoint()).text)
        self.anchors.append(Known(size=checkpoint.size, root=checkpoint.root, source="kept"))

    @rule()
    def it_is_opened_anew(self) -> None:
        self.store.close()
        self.store = self.open()

    @rule(user=st.sampled_from(USERS))
    def a_person_is_erased(self, user: str) -> None:
        with suppress(AuditError):  # nobody of that name is there, or a request has not ended
            self.store.erase(user, AT)

    @rule(before=st.integers(0, 1500))
    def it_is_pruned(self, before: int) -> None:
        self.store.prune(before, AT)

    @rule()
    def the_key_is_rotated(self) -> None:
        self.store.rotate_key(AT)

    @rule(position=st.integers(0, 2000))
    def one_entry_is_proven(self, position: int) -> None:
        try:
            proof = self.store.prove(position)
        except AuditError:
            return  # it is not there, or not any more
        assert check(proof, VerifierKey.parse(self.store.verifier_key)).entry.seq == position

    @rule(since=st.integers(0, 2000))
    def it_verifies_from_anywhere_on(self, since: int) -> None:
        self.verify(since, 1)

    @invariant()
    def it_verifies(self) -> None:
        self.verify(0, 1)
        self.verify(0, 3)

    def verify(self, since: int, parts: int) -> None:
        plan = Plan(self.store.path, known=self.anchors, since=since)
        ranges = plan.ranges(parts)
        verdict: Verdict = plan.verdict([plan.check(number, ranges, lambda _: None) for number in range(len(ranges))])
        assert verdict.outcome is not Outcome.TAMPERED, verdict


TestLogVerifies = LogMachine.TestCase
TestLogVerifies.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
