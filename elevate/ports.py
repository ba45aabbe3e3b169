"""The seams: what the broker needs from the world, as Protocols, and the values that cross them.

Rooms implement these; the broker is given them. Tests give simulators of their own (`elevate.testing`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from elevate.canonical import Json
from elevate.lifecycle import State
from elevate.model import AdminIdentity, Ended, InspectedTask, Obligations, Requester, VerifiedGesture, Window
from elevate.tasks import Task

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One reading of both clocks.

    Attributes:
        unix_us: Wall clock, microseconds since 1970.
        mono_ns: Monotonic clock of this boot (CLOCK_BOOTTIME), nanoseconds.
    """

    unix_us: int
    mono_ns: int

    @property
    def unix(self) -> int:
        """Whole Unix seconds."""
        return self.unix_us // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Whether something sets the wall clock by others (NTP, PTP), as the kernel was told.

    Attributes:
        state: ``synchronised``, ``unsynchronised``, or ``unknown`` where the kernel may not be asked.
        error_us: So far the wall clock may be off at most; -1 where that is not known.
    """

    state: str = "unknown"
    error_us: int = -1


class Clock(Protocol):
    """Where time comes from."""

    @property
    def boot_id(self) -> str:
        """The kernel's random boot id."""

    def read(self) -> Instant:
        """Read both clocks once."""

    def sync(self) -> Sync:
        """Say whether the wall clock is set by others."""


class Entropy(Protocol):
    """Where randomness comes from."""

    def token_bytes(self, size: int) -> bytes:
        """Give ``size`` unpredictable bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An audit entry that has no position yet.

    Attributes:
        event: What happened: a state's name, or ``broker-started``, ``policy-changed``, ``second-use`` and so on.
        request: Id of the request; empty where there is none.
        at: When it happened, read by the caller.
        body: The typed rest, as canonical JSON values.
    """

    event: str
    request: str
    at: Instant
    body: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of the ledger: a request and, from `State.ISSUED` on, its only token.

    Attributes:
        request: 32 hexadecimal characters.
        epoch: Boot id, start nonce and ledger generation of the broker that issued; any other epoch is dead.
        jti: Canonical base64url of 16 bytes; empty before issue.
        expires_at: Unix seconds, exclusive.
        deadline_ns: Monotonic nanoseconds of the same boot, exclusive.
        redeem_id: Who won the redemption; empty before it.
        position: Sequence number of the `issued` entry; -1 before issue.
        result: What the end left behind (exit status, receipt), as canonical JSON values.
    """

    request: str
    state: State
    user: str
    uid: int
    session: str
    host: str
    epoch: str
    request_digest: str = ""
    jti: str = ""
    expires_at: int = 0
    deadline_ns: int = 0
    redeem_id: str = ""
    position: int = -1
    result: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One arrow of the lifecycle, asked of the ledger.

    Attributes:
        before: The state that the row must have; any other and nothing changes.
        fields: Columns of `Record` that change with it, by name (not ``request``, ``state`` or ``position``).
        epoch: Where not empty, the row must have this epoch too.
    """

    request: str
    before: State
    after: State
    entry: Draft
    fields: Mapping[str, Json] = field(default_factory=dict)
    epoch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What became of a `Step`.

    Attributes:
        won: This very call changed the row; only then may anything be started.
        record: The row as it is now.
        position: Sequence number of the entry; -1 where nothing changed.
    """

    won: bool
    record: Record
    position: int


class Store(Protocol):
    """The ledger and the log: one file, one writer. Every call returns after its commit is synced, entry included.

    All raise `StoreUnwritableError` where the commit could not be made; then nothing happened.
    """

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        """Insert a row in `State.REQUESTED` with its entry, and take the steps that follow on it, all in one commit.

        Raises:
            TransitionError: As `step`.
            StoreError: As `step`; or there is such a request already.
        """

    def step(self, step: Step, *then: Step) -> Stepped:
        """Compare and set one row, with its entry. When ``after`` is `State.ISSUED`, ``position`` is stored in the row.

        Args:
            step: The arrow.
            then: Those that follow on it, of the same request, in the same commit: all of them happen, or none.

        Returns:
            What became of the last one; where the first found another state, of that, and then none has happened.

        Raises:
            TransitionError: The lifecycle has no such step.
            StoreError: No such request, or one does not follow on the one before it.
        """

    def submit(self, step: Step) -> "Future[Stepped]":
        """As `step`, for callers that do not block."""

    def append(self, entry: Draft) -> int:
        """Write an entry that changes no row; give its position."""

    def record(self, request: str) -> Record | None:
        """Give the row as last committed."""

    def by_jti(self, jti: str) -> Record | None:
        """Give the row of a token as last committed."""

    def unfinished(self) -> list[Record]:
        """Give the rows whose state is not final, oldest first."""

    def entries(self, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """Give the canonical bytes of the entries from position ``start`` on."""

    def entries_of(self, request: str) -> list[bytes]:
        """Give one request's entries in order."""

    def openings_of(self, request: str) -> list[bytes]:
        """Give what the entries of `entries_of` commit to, in the same order; empty where there is nothing, or no more."""

    @property
    def verifier_key(self) -> str:
        """The log's public key in text form."""

    def checkpoint(self) -> str:
        """Sign what is in the log now; give the note (C2SP tlog-checkpoint)."""

    def prove(self, position: int) -> str:
        """Give a proof, checked without the ledger, that an entry is in the log (C2SP tlog-proof).

        Raises:
            AuditError: There is no such entry.
        """

    def head(self) -> tuple[int, str]:
        """Give the number of entries and the hash of the last one, in hexadecimal."""

    @property
    def generation(self) -> str:
        """Random name of this ledger, made with the file; part of every epoch."""

    def close(self) -> None:
        """Finish what is queued and close; twice is the same as once."""


class Inspection(Protocol):
    """A task that was looked at, with the descriptors that were opened and hashed; these will be executed."""

    @property
    def task(self) -> InspectedTask:
        """What was found."""

    def check(self) -> None:
        """Make sure that what was opened still has the hash that was taken: an earlier step may have written to it.

        Raises:
            HostError: It has not.
        """

    def close(self) -> None:
        """Close the descriptors; twice is the same as once."""


class Running(Protocol):
    """A task that was started.

    Attributes:
        pid: Process id of the task's first process; 0 where none could be started.
        stdout: Read end of a pipe; the reader owns it.
        stderr: Read end of a pipe; the reader owns it.
        terminal: The other end of the task's own terminal, which the reader owns; -1 where it has pipes. Where there is one,
            the pipes that it stands for are empty, and reading fails with EIO at its end.
        jobs: Read end of a pipe on which one byte, the signal's number, comes whenever a task with a terminal is stopped; the
            reader owns it; -1 where it has no terminal.
    """

    pid: int
    stdout: int
    stderr: int
    terminal: int
    jobs: int

    def wait(self) -> Ended:
        """Wait until the whole tree has ended, end what is left of it, and check."""

    def cancel(self, signal: int = 15) -> None:
        """Ask the task to end; its tree is killed if it does not."""

    def signal(self, number: int) -> None:
        """Pass a signal to the task, which may do with it what it likes."""


class Prepared(Protocol):
    """What a host has made ready for one start. Nothing of the task has run."""

    def close(self) -> None:
        """Give it up, with all that was made for it; nothing happens where the task was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What one start is asked for, beside the task.

    Attributes:
        identity: What `Host.provision` gave.
        session: A new id; never used before but for the step before this one.
        time_limit_seconds: The tree is ended after this.
        obligations: What the decision demands.
    """

    identity: AdminIdentity
    session: str
    time_limit_seconds: int
    obligations: Obligations = field(default_factory=Obligations)


class Host(Protocol):
    """The machine on which tasks are inspected and run.

    Attributes:
        name: Audience of tokens, as ``emulated:4f1c…``.
        emulated: It is no security boundary, and says so.
        keeps: Obligations that it keeps while the task runs, of those that only a machine can keep.
    """

    name: str
    emulated: bool
    keeps: frozenset[str]

    def user_for(self, uid: int) -> tuple[str, str, tuple[str, ...]]:
        """Give a person's name, SID and groups on this machine.

        Raises:
            DeniedError: This uid is no user here.
        """

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count memory that is about to be taken up for a user, before `inspect`; give what gives it back.

        Raises:
            BusyError: That user, or all, take up too much already.
        """

    def inspect(
        self, task: Task, requester: Requester, payload: int | None = None, *, before: Sequence[InspectedTask] = ()
    ) -> Inspection:
        """Look at a task, or at one step of several: open, resolve, hash.

        Args:
            task: What was asked; it has no steps.
            requester: Who asks.
            payload: Descriptor of a sealed memory file that stands in place of ``task.payload``; the caller keeps it.
            before: What was found of the steps before it. A service that one of these brings need not be there yet; the
                inspection's `check` then says whether it is, as it was agreed to.

        Raises:
            CommandNotFoundError: No such file.
            CommandNotExecutableError: The file can't be executed.
            TaskInvalidError: Anything else that can't be run.
        """

    def provision(self, requester: Requester) -> AdminIdentity:
        """Give the requester's hidden admin account; make it at the first elevation."""

    def prepare(self, inspection: Inspection, mandate: Mandate) -> Prepared | None:
        """Begin to make what `start` needs, without waiting for it.

        Nothing of the task runs, and where `start` does not follow nothing is left.

        Args:
            inspection: As `start`; it may still be started then, and only once.
            mandate: As `start`; its time limit is counted from there.

        Returns:
            What `start` takes as ``ahead``, and who asked for it closes; None where this host makes nothing ahead.

        Raises:
            HostError: As `start`, where that can be told already.
        """

    def start(
        self,
        inspection: Inspection,
        mandate: Mandate,
        *,
        window: Window | None = None,
        streams: tuple[int, int] | None = None,
        ahead: Prepared | None = None,
    ) -> Running:
        """Start the inspected task. The one way to an admin process.

        Args:
            inspection: What `inspect` gave; good for one start.
            mandate: As whom, and what binds it; a host that is a boundary refuses what it can't keep.
            window: A terminal of the task's own; None gives it pipes. A rule must say interactive.
            streams: Standard output and error in place of new pipes, for a step of several; the caller keeps them, and the
                running task has -1 for its own.
            ahead: What `prepare` gave; used where it was made for this very start and still holds.

        Raises:
            HostError: It could not be started; nothing of it runs.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A gesture's proof, in the shape of WebAuthn.

    Attributes:
        credential: Id of the credential, base64url.
        gesture: ``pin``, ``face``, and so on: which protector unlocked the key.
        authenticator_data: rpIdHash, flags, sign counter.
        client_data: JSON with type, challenge and origin.
    """

    credential: str
    gesture: str
    authenticator_data: bytes
    client_data: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a person can prove oneself with now.

    Attributes:
        gestures: Names, the one used last first.
        phrase: The person's own secret phrase, which a true prompt shows; empty where none is set.
        tries_left: Wrong PINs that are left before the lock-out.
        wait_seconds: 0, or how long the PIN is locked.
        pin_phrase: What must be typed before the next PIN, after several wrong ones; empty where nothing must.
    """

    gestures: tuple[str, ...]
    phrase: str = field(default="", repr=False)
    tries_left: int = 0
    wait_seconds: int = 0
    pin_phrase: str = ""


class Hello(Protocol):
    """Proof that the person is there and agrees. ``challenge`` is ``nonce16 || request_digest``, 48 bytes."""

    def offer(self, user: str) -> Offer:
        """Say which gestures the person has.

        Raises:
            NotEnrolledError: None that can be used here.
        """

    def sign(self, user: str, gesture: str, challenge: bytes, *, secret: bytearray | None = None) -> Assertion:
        """Make the gesture: unlock the key with it and sign. A PIN's try is counted and synced before it is checked.

        Args:
            user: Whose key.
            gesture: One of the offered.
            challenge: What is agreed to.
            secret: The PIN; wiped before return. None for a sensor.

        Raises:
            GestureError: Wrong PIN, or the sensor found no match; the message says how many tries are left.
            LockedOutError: The PIN is locked; nothing was checked.
            NotEnrolledError: No such gesture.
        """

    def verify(self, user: str, assertion: Assertion, challenge: bytes) -> VerifiedGesture:
        """Check an assertion as a relying party; a challenge verifies once.

        Raises:
            GestureError: Anything is not as it must be.
        """


class Cancel(Protocol):
    """Tells a waiting step that the client has left."""

    def cancelled(self) -> bool:
        """Say whether to stop."""

    def fileno(self) -> int:
        """Give a descriptor that turns readable when to stop."""


class Prompter(Protocol):
    """Shows what is asked and comes back with a proof."""

    def ask(self, view: "Mapping[str, Json]", user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Ask the person once.

        Raises:
            DeclinedError: The person said no.
            PromptTimedOutError: Nobody answered.
            LockedOutError: Too many wrong tries.
            CancelledError: ``cancel`` fired.
            GestureError: No gesture succeeded.
        """
