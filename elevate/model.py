"""The values that pass between the rooms: who asks, what was found, what was agreed, how it ended. All frozen, all checked.

Two digests bind them. `InspectedTask.digest` covers what would run; `request_digest` covers that, who asks, why, and what the
policy made of it. Prompt, gesture, token and run all carry the second one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from elevate import canonical
from elevate.errors import HostError, PolicyError, TaskInvalidError
from elevate.tasks import MAX_TIME_LIMIT_SECONDS, Task
from elevate.text import shell_words

DIGEST_CHARS = 64
MAX_TOKEN_SECONDS = 120
BROUGHT = "brought"
"""The fact of a `service.control` that names the step of the same row which brings the service."""
MODE_BEFORE = "mode_before"
"""The fact of a `file.write` that tells the permission bits of the file that is there."""
NEW_FILE_MODE = 0o644
MEDIUM_INTEGRITY, HIGH_INTEGRITY = 8192, 12288
"""Windows' integrity levels: of whoever asks, and of the hidden account's task."""
STRENGTHS = ("any", "pin", "biometric", "hardware")
"""How strong a gesture can be, weakest first."""

_HEX = frozenset("0123456789abcdef")


class Fact(StrEnum):
    """What is known of an attribute that has no value."""

    ABSENT = "absent"
    """Looked for and known not to be there, as the signer of an unsigned program."""
    UNDETERMINED = "undetermined"
    """Could not be found out: an allow does not match, a deny and a require do."""


FactValue: TypeAlias = str | int | bool | Fact


class Outcome(StrEnum):
    """What a decision asks of the person before a token is issued."""

    CONSENT = "consent"
    CREDENTIAL = "credential"
    APPROVAL = "approval"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process, so that a later one with the same number is another.

    Attributes:
        start_time: Clock ticks since boot (field 22 of /proc/PID/stat).
        boot_id: The kernel's random boot id.
    """

    uid: int
    pid: int
    start_time: int
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks, from kernel facts only.

    Attributes:
        groups: Names, sorted.
        chain: The process and its parents, nearest first, as they are shown: ``"bash (4711)"``.
        remote: The session came over a network.
        service: Name of the service identity that root pinned to this uid and executable; empty for people.
        audit_uid: Who logged in, by the kernel's audit; -1 where nobody did.
        executable_sha256: Of the program that asks, in hexadecimal; empty where it was not taken.
    """

    user: str
    sid: str
    groups: tuple[str, ...]
    machine: str
    process: ProcessIdentity
    executable: str = ""
    chain: tuple[str, ...] = ()
    remote: bool = False
    service: str = ""
    audit_uid: int = -1
    executable_sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse names that have no Unicode text: they could be neither hashed nor shown nor logged."""
        named = (self.user, self.sid, *self.groups, self.machine, self.executable, *self.chain, self.service)
        if not _is_unicode(named):
            raise HostError("the requesting process has a name that is not Unicode text")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """The file that was opened: resolved real path, SHA-256 in hexadecimal, size in bytes.

    A target that is not there yet has an empty digest and no size.
    """

    path: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Refuse what is no digest and size."""
        if (self.sha256, self.size) != ("", 0):
            _check_hashed(self.sha256, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that travel beside a task, by their SHA-256 in hexadecimal and their size in bytes."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Refuse what is no digest and size."""
        _check_hashed(self.sha256, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedTask:
    """What the host found: exactly this would run.

    Attributes:
        task: What was asked, without its payload's bytes.
        argv: What will be executed; the first word is the real path. Empty where no program of the task's is started.
        file: The program, the package, or the target; None where there is none.
        cwd: Real path of the working directory.
        payload: Digest and size of standard input or content.
        facts: Attributes for the policy, by name, in name order.
        steps: What was found of each step, where the task is several; all else is empty then.
    """

    task: Task
    argv: tuple[str, ...]
    cwd: str
    file: FileFact | None = None
    payload: Blob | None = None
    facts: tuple[tuple[str, FactValue], ...] = ()
    steps: tuple["InspectedTask", ...] = ()
    _digest: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what two readers could read in two ways, or no digest covers."""
        if self.task.steps != tuple(step.task for step in self.steps):
            raise HostError("what was found is not of the steps that were asked")
        if len(dict(self.facts)) != len(self.facts):
            raise HostError("a fact is given twice")
        if self.task.payload is not None:
            raise HostError("the input's bytes are not part of an inspected task; its digest is")
        paths = (*self.argv, self.cwd, self.file.path if self.file else "")
        if not _is_unicode((*paths, *(value for _, value in self.facts if isinstance(value, str)))):
            raise TaskInvalidError("a path of this task is not Unicode text", hint="rename the file or folder")

    def canonical(self) -> dict[str, object]:
        """Give the form that is hashed; fields are only ever appended."""
        several = {"steps": [step.digest for step in self.steps], "undo": self.task.undo} if self.steps else {}
        titled = {"title": self.task.title} if self.task.own else {}
        return {
            **several,
            **titled,
            "v": 1,
            "kind": self.task.kind,
            "params": dict(self.task.params),
            "argv": self.argv,
            "cwd": self.cwd,
            "file": _members(self.file) if self.file else None,
            "payload": _members(self.payload) if self.payload else None,
            "facts": {name: [value.value] if isinstance(value, Fact) else value for name, value in self.facts},
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal; taken once, of what can't change any more."""
        if not self._digest:
            object.__setattr__(self, "_digest", canonical.digest(self.canonical()))
        return self._digest


def environment_of(task: InspectedTask) -> str:
    """Give the additions to the environment as a shell has them before a command; they are part of what is agreed to."""
    pairs = dict(task.task.params).get("env", ())
    return shell_words(tuple(f"{pair[0]}={pair[1]}" for pair in pairs)) if isinstance(pairs, tuple) else ""


def run_as_of(task: InspectedTask) -> str:
    """Give the other user as whom the task runs, with number and groups; empty where it runs as the admin account."""
    facts = dict(task.facts)
    if "run_as" not in facts:
        return ""
    return f"{facts['run_as']} (uid {facts['run_as_uid']}; groups {facts['run_as_groups']})"


def brought_of(task: InspectedTask) -> str:
    """Give which step of the same row brings what the task is on; empty where it is there already."""
    return str(dict(task.facts).get(BROUGHT, ""))


def mode_of(task: InspectedTask) -> str:
    """Give the permission bits of a file that is to be written, in octal; empty for any other task.

    They are those that were asked for, else those of the file that is there.
    """
    if task.task.kind != "file.write":
        return ""
    there = dict(task.facts).get(MODE_BEFORE, NEW_FILE_MODE)
    mode = dict(task.task.params).get("mode", there)
    return f"{mode if isinstance(mode, int) else NEW_FILE_MODE:04o}"


def mode_before(task: InspectedTask) -> str:
    """Give the permission bits of the file that is there and will be written anew, in octal; empty where none is."""
    mode = dict(task.facts).get(MODE_BEFORE)
    return f"{mode:04o}" if isinstance(mode, int) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligations:
    """What a decision demands besides the gesture; the defaults demand nothing.

    Attributes:
        token_seconds: Life of the token, 1 to 120.
        time_limit_seconds: The task is ended after this; 0 leaves the task's own limit.
        min_strength: ``any``, ``pin``, ``biometric`` or ``hardware``.
        env: Names that the requester may add to the environment.
        extra: Further obligations by name, in name order (identity, capabilities, network, paths).
    """

    reason_required: bool = False
    token_seconds: int = 30
    time_limit_seconds: int = 0
    min_strength: str = "any"
    env: tuple[str, ...] = ()
    extra: tuple[tuple[str, str | int | bool | tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is out of bounds or said twice."""
        if not 1 <= self.token_seconds <= MAX_TOKEN_SECONDS:
            raise PolicyError(f"a token lives 1 to {MAX_TOKEN_SECONDS} seconds, not {self.token_seconds}")
        if not 0 <= self.time_limit_seconds <= MAX_TIME_LIMIT_SECONDS:
            raise PolicyError(f"a time limit is at most {MAX_TIME_LIMIT_SECONDS} seconds, not {self.time_limit_seconds}")
        if self.min_strength not in STRENGTHS:
            raise PolicyError(f"the strength of a gesture is one of {', '.join(STRENGTHS)}")
        if len(dict(self.extra)) != len(self.extra):
            raise PolicyError("an obligation is given twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The task qualifies once ``outcome`` and ``obligations`` are met.

    Attributes:
        rules: Ids of the rules that decided, sorted.
        steps: What was decided of each step, where the task is several. Each step's own obligations bind its own process;
            what is asked of the person is the strictest of all, and stands here.
    """

    outcome: Outcome
    rules: tuple[str, ...]
    obligations: Obligations = field(default_factory=Obligations)
    steps: tuple["Allow", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The task does not qualify.

    Attributes:
        rules: Ids of the deny rules that matched, sorted; empty for a deny by default.
        message: For the user, from the rule.
    """

    rules: tuple[str, ...]
    message: str = ""


Decision: TypeAlias = Allow | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Everything that one request digest covers."""

    task: InspectedTask
    requester: Requester
    session: str
    reason: str
    host: str
    decision: Allow
    policy_digest: str
    nonce: bytes = field(repr=False)
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a reason that has no Unicode text, and steps of which not each was decided.

        The digest is taken here, once, of what can't change any more.
        """
        if not _is_unicode((self.reason,)):
            raise TaskInvalidError("the reason is not Unicode text")
        if len(self.decision.steps) != len(self.task.steps):
            raise PolicyError("a decision is about each step of a task")
        object.__setattr__(self, "digest", bytes.fromhex(canonical.digest(self.canonical())))

    def canonical(self) -> Mapping[str, object]:
        """Give the form that is hashed; fields are only ever appended.

        The requester is in it with everything that the prompt shows or the policy reads.
        """
        return {
            "v": 1,
            "task": self.task.digest,
            "requester": {**_members(self.requester), "process": _members(self.requester.process)},
            "session": self.session,
            "reason": self.reason,
            "host": self.host,
            **_decided(self.decision),
            "policy": self.policy_digest,
            "nonce": self.nonce.hex(),
        }

    @property
    def steps(self) -> tuple[tuple[InspectedTask, Allow], ...]:
        """What is done, in order, each with what was decided of it; the task itself where it is one."""
        if not self.task.steps:
            return ((self.task, self.decision),)
        return tuple(zip(self.task.steps, self.decision.steps, strict=True))


def request_digest(agreement: Agreement) -> bytes:
    """Give the 32 bytes that prompt, gesture, token and run all check."""
    return agreement.digest


def _is_unicode(texts: Iterable[str]) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _members(value: object) -> dict[str, object]:
    """Give the fields of a frozen value as they are: `asdict` copies what can't change."""
    return {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]  # all have them


def _check_hashed(sha256: str, size: int) -> None:
    if len(sha256) != DIGEST_CHARS or not _HEX.issuperset(sha256) or size < 0:
        raise HostError("a file's digest is 64 hexadecimal characters, and its size is not negative")


def _decided(decision: Allow) -> dict[str, object]:
    several = {"steps": [_decided(step) for step in decision.steps]} if decision.steps else {}
    return several | {
        "outcome": decision.outcome.value,
        "rules": decision.rules,
        "obligations": _obligations(decision.obligations),
    }


def _obligations(obligations: Obligations) -> dict[str, object]:
    return {**_members(obligations), "extra": dict(obligations.extra)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedGesture:
    """A gesture that was checked against this request's digest.

    Attributes:
        method: ``pin``, ``face``, ``fingerprint``, ``security-key``, ``consent`` or ``none`` (a service identity).
        amr: Authentication methods as in RFC 8176, with ``swk`` or ``hwk``, and ``simulated`` for a scripted sensor.
        acr: ``urn:elevate:acr:`` and the strength.
        auth_time: Unix seconds.
        assertion: What was signed and the signature, for later checking.
    """

    method: str
    amr: tuple[str, ...]
    acr: str
    credential: str
    auth_time: int
    simulated: bool = False
    assertion: Mapping[str, str] = field(default_factory=dict)


class Window(NamedTuple):
    """The person's terminal, for a task that has one of its own where a rule says interactive.

    Attributes:
        term: Name of the terminal's kind, as ``TERM`` has it; empty where it is not known.
        streams: Which of standard input, output and error are on it; the others are pipes, and input is what was declared.
    """

    rows: int
    columns: int
    term: str = ""
    streams: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminIdentity:
    """The hidden account in whose name a task runs (Windows: system-managed administrator account)."""

    name: str
    sid: str
    uid: int
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One thing that a task wrote: ``created``, ``changed`` or ``removed``; SHA-256 where it is a file that is there."""

    path: str
    change: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a task ended.

    Attributes:
        exit_status: 0 to 255; None where a signal ended it.
        signal: Its number; None where it exited.
        timed_out: The time limit ended it.
        leftover: Processes that were still there after clean-up; 0 unless clean-up failed.
        written: What it wrote, as far as the host watches.
        watched: The folders that were watched.
        duration_ms: From start to end.
        step: Which step of several this was, from 1; 0 for a task that is one.
        problem: Why it could not be started; empty where it was.
        steps: How each step ended that was begun, in that order; a step that failed is followed only by those that undo.
    """

    exit_status: int | None
    signal: int | None = None
    timed_out: bool = False
    leftover: int = 0
    written: tuple[Written, ...] = ()
    watched: tuple[str, ...] = ()
    duration_ms: int = 0
    step: int = 0
    problem: str = ""
    steps: tuple["Ended", ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether what comes next may begin: it exited with 0, and nothing of it is left."""
        return self.exit_status == 0 and not (self.timed_out or self.leftover or self.problem)
