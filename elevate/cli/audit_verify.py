"""``elevate audit verify``: is the log what was written."""

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elevate.audit import Outcome, Tampering, Verdict
from elevate.audit.notes import Checkpoint, Note, VerifierKey, decimal
from elevate.cli.audit_common import Json, State, as_json, json_line, ledger_path, note_in, read_kept
from elevate.errors import AuditError
from elevate.store.reader import LedgerReader

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.sharedctypes import Synchronized

    from elevate.audit.verify import Known
    from elevate.store.checking import Part, Plan

SHARES = 32
"""A long log is divided into so many, for two processes."""
MORE_RUNS = 3
"""A log that is pruned while it is verified is verified again so often."""
BAR_SECONDS = 0.2
ALONE = 20_000
"""A shorter log is checked by one process."""
ROOT_CHARS = 64


def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|SIZE:ROOT", help="A checkpoint or proof that was kept outside; may be given again."),
    ] = None,
    *,
    log_key: Annotated[str, typer.Option("--key", help="The log's first key as init printed it.")] = "",
    since: Annotated[int, typer.Option(min=0, help="Go on here: entries before it were verified earlier.")] = 0,
    index: Annotated[bool, typer.Option("--index", help="Check the search index, too.")] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """Check the whole log. Exit status: 0 verified, 1 tampered, 2 incomplete."""
    from elevate.store.checking import Plan

    known = [read_anchor(text) for text in anchor or ()]
    plan = Plan(ledger_path(state), since=since, known=known, key=VerifierKey.parse(log_key) if log_key else None)
    verdict = run(plan)
    if verdict.outcome is not Outcome.TAMPERED:
        verdict = with_index(plan.path, verdict) if index else without_index(plan.path, verdict)
    sys.stdout.write(json_line(asdict(verdict)) if as_json(json=json) else verdict_text(verdict))
    raise typer.Exit(verdict.exit_code)


def with_index(path: Path, verdict: Verdict) -> Verdict:
    """Give the verdict after a look at the search index, which could hide entries."""
    from elevate.store.searching import index_agrees

    with LedgerReader(path) as reader:
        if index_agrees(reader):
            return verdict
    why = "the search index does not say what the log says; remove its file, and it is made again"
    return replace(verdict, outcome=Outcome.TAMPERED, kind=Tampering.INDEX, position=0, size=0, message=why)


def without_index(path: Path, verdict: Verdict) -> Verdict:
    """Give the verdict with what it does not say: reading the whole log again for the index takes ten times as long."""
    from elevate.store.searching import index_path

    if not index_path(path).exists():
        return verdict
    return replace(verdict, message=f"{verdict.message}; the search index was not checked, which --index does")


def read_anchor(text: str) -> "Known":
    """Read what was kept outside: a checkpoint, a proof, or ``SIZE:ROOT``.

    Raises:
        AuditError: It is none of these.
    """
    from elevate.audit.verify import Known

    size, _, root = text.partition(":")
    if decimal(size) >= 0 and len(root) == ROOT_CHARS and not set(root) - set("0123456789abcdef"):
        return Known(size=int(size), root=bytes.fromhex(root), source="the anchor")
    try:
        content = read_kept(Path(text))
    except AuditError as exc:
        if not isinstance(exc.__cause__, FileNotFoundError):
            raise
        raise AuditError(f"an anchor is a file or SIZE:ROOT, not {text!r}", hint="verify --json prints size and root") from exc
    checkpoint = Checkpoint.parse(Note.parse(note_in(content)).text)
    return Known(size=checkpoint.size, root=checkpoint.root, source=Path(text).name)


def run(plan: "Plan") -> Verdict:
    """Check a log, and once more where entries were pruned meanwhile, so that what was to be read was gone."""
    verdict = _check(plan)
    for _ in range(MORE_RUNS):
        anew = plan.again() if verdict.outcome is Outcome.TAMPERED else None
        if anew is None:
            break
        plan, verdict = anew, _check(anew)
    return verdict


def _check(plan: "Plan") -> Verdict:
    """Check a log, a long one with several processes, and show how far it is where somebody looks on.

    The log is divided into more shares than processes; each takes the next when it is done, so that none waits for the other.
    """
    import multiprocessing

    context = multiprocessing.get_context("fork")
    shared = plan.size - plan.start > ALONE
    parts = plan.ranges(SHARES if shared else 1)
    work = _Work(plan, parts, context.Value("q", 0), context.Value("q", 0))
    bar = _Bar(plan.size - plan.start)
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_help, args=(work, theirs)) if shared else None
    if worker:
        worker.start()
    theirs.close()
    try:
        found = work.take(lambda: bar.show(work.checked.value))
        if worker:
            found |= _receive(ours, lambda: bar.show(work.checked.value))
    finally:
        work.stop()
        ours.close()
        if worker:
            worker.join()
        bar.end()
    return plan.verdict([found[part] for part in sorted(found)])


class _Work:
    """The shares of one verification, of which every process takes the next."""

    def __init__(
        self, plan: "Plan", parts: Sequence[tuple[int, int]], taken: "Synchronized[int]", checked: "Synchronized[int]"
    ) -> None:
        self._plan = plan
        self._parts = parts
        self._taken = taken
        self.checked = checked

    def take(self, tell: Callable[[], None]) -> "dict[int, Part]":
        """Check shares until all are taken."""

        def advance(count: int) -> None:
            with self.checked.get_lock():
                self.checked.value += count
            tell()

        found = {}
        while (part := self._next()) < len(self._parts):
            found[part] = self._plan.check(part, self._parts, advance)
        return found

    def stop(self) -> None:
        """Let every process end with the share that it has."""
        with self._taken.get_lock():
            self._taken.value = len(self._parts)

    def _next(self) -> int:
        with self._taken.get_lock():
            self._taken.value += 1
            return self._taken.value - 1


def _help(work: _Work, answer: "Connection[dict[int, Part] | str, None]") -> None:
    # Ctrl-C reaches both; the process that was started says what there is to say, and stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found: dict[int, Part] | str
    try:
        found = work.take(lambda: None)
    except Exception as exc:  # noqa: BLE001 - the other process must hear of whatever it was
        found = str(exc)
    with suppress(BrokenPipeError):  # the other process has met an error of its own
        answer.send(found)


def _receive(answer: "Connection[None, dict[int, Part] | str]", tell: Callable[[], None]) -> "dict[int, Part]":
    try:
        while not answer.poll(BAR_SECONDS):
            tell()
        found = answer.recv()
        tell()
    except EOFError as exc:
        raise AuditError("a part of the check ended early") from exc
    if isinstance(found, str):
        raise AuditError(f"a part of the check failed: {found}")
    return found


class _Bar:
    """A line on standard error, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._shown = -1
        self._on = sys.stderr.isatty() and total > ALONE

    def show(self, done: int) -> None:
        """Show that so many are done."""
        percent = min(done * 100 // self._total, 100)
        if self._on and percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\r{'█' * (percent // 4):25} {percent:3} %")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the line."""
        if self._on:
            sys.stderr.write("\r" + " " * 32 + "\r")


def verdict_text(verdict: Verdict) -> str:
    """Give the verdict for people."""
    text = f"{verdict.outcome.value}: {verdict.message}\n"
    if verdict.root:
        text += f"root: {verdict.size}:{verdict.root}\n"
    return text
