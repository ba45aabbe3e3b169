"""One installer through the lab: read it, run it, judge what was seen, report."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from elevate.errors import LabError
from elevate.host.windows.authenticode import Verdict
from elevate.host.windows.reading import Examined, examine
from elevate.lab.judging import judge
from elevate.lab.observing import SILENT, Observation, Plan, observe
from elevate.lab.report import Report
from elevate.lab.wine import Stage, Template, Wine

MAX_INSTALLER_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to run an installer.

    Attributes:
        silent: Words that make it ask nothing; None takes those that its maker's tool knows.
        drives: The person's mapped drives, letter to folder.
        environment: Variables of the person's session.
        roots: Certificates (DER) that are trusted; with none a good signature's root is not asked for.
        seconds: Time for each run.
    """

    silent: tuple[str, ...] | None = None
    drives: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    roots: Sequence[bytes] = ()
    seconds: int = 120


class Lab:
    """A template and two stages, for one installer after another.

    Args:
        cache: Folder of the template; made where it is not there (some 700 MB).
        work: Folder of the stages.

    Raises:
        LabError: Wine is not there or can't be set up.
    """

    def __init__(self, cache: Path, work: Path) -> None:
        self.wine = Wine.find()
        self._template = Template(self.wine, cache)
        self._stages = (Stage(self._template, work / "first"), Stage(self._template, work / "second"))

    def check(self, installer: Path, wishes: Wishes, *, now: int) -> Report:
        """Check one installer.

        Raises:
            LabError: The file can't be read.
        """
        examined = look(installer, wishes.roots, now=now)
        facts = describe(examined)
        if reason := _obstacle(self.wine, examined):
            return Report(installer=installer.name, facts=facts, reason=reason)
        plan = Plan(
            installer=installer,
            silent=_silent(examined, wishes),
            drives=wishes.drives,
            environment=wishes.environment,
            seconds=wishes.seconds,
        )
        seen = observe(examined if wishes.roots else _unasked(examined), plan, self._stages, self._template.noise)
        return Report(installer=installer.name, facts=facts, findings=judge(seen), reason=_unheard(seen, plan))


def check(installer: Path, wishes: Wishes, *, cache: Path, now: int) -> Report:
    """Check one installer with stages of its own, which go afterwards.

    Raises:
        LabError: Wine is not there, or the file can't be read.
    """
    examined = look(installer, wishes.roots, now=now)
    if reason := _obstacle(Wine.find(), examined):
        return Report(installer=installer.name, facts=describe(examined), reason=reason)
    with tempfile.TemporaryDirectory(prefix="elevate-lab-") as work:
        return Lab(cache, Path(work)).check(installer, wishes, now=now)


def _obstacle(wine: Wine, examined: Examined) -> str:
    if examined.traits.bits == 32 and not wine.runs_32_bits:  # noqa: PLR2004 - bits
        return "it is a 32-bit program, and this Wine runs 64 bits only (install wine32, or build a 64-bit installer)"
    return ""


def look(installer: Path, roots: Sequence[bytes], *, now: int) -> Examined:
    """Read an installer without running it.

    Raises:
        LabError: It is none, or it can't be read, or a library is missing.
    """
    try:
        if installer.stat().st_size > MAX_INSTALLER_BYTES:
            raise LabError("the installer is too large")
        return examine(str(installer), installer.name, roots, now=now)
    except (OSError, ValueError, TypeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise LabError(f"the installer can't be read: {why}", hint="give a Windows .exe or .msi file") from exc
    except ImportError as exc:
        raise LabError("the lab's libraries are missing", hint="pip install 'elevate-broker[lab]'") from exc


def describe(examined: Examined) -> tuple[tuple[str, str], ...]:
    """Give what was read, for showing."""
    traits, signed = examined.traits, examined.signed
    shown = {
        "kind": f"{traits.kind}, {traits.bits} bits" if traits.bits else traits.kind,
        "product": f"{examined.product} {traits.version}".strip(),
        "built with": examined.judged.maker,
        "manifest": (traits.level or "no level") if traits.kind == "pe" else "",
        "signature": f"{signed.verdict} {signed.publisher}".strip(),
    }
    return tuple((name, value) for name, value in shown.items() if value)


def _silent(examined: Examined, wishes: Wishes) -> tuple[str, ...]:
    if wishes.silent is not None:
        return wishes.silent
    return ("/qn", "/norestart") if examined.traits.kind == "msi" else SILENT.get(examined.judged.maker, ("/S",))


def _unasked(examined: Examined) -> Examined:
    """Where no roots were given, a good signature is not held against one."""
    if examined.signed.verdict is not Verdict.UNTRUSTED:
        return examined
    return replace(examined, signed=replace(examined.signed, verdict=Verdict.SIGNED))


def _unheard(seen: Observation, plan: Plan) -> str:
    """Say why the runs tell nothing."""
    if seen.before.exit_status is None:
        return f"it did not end within {plan.seconds} seconds; it may wait for an answer (see --silent)"
    if seen.before.exit_status != 0 and seen.protected.exit_status != 0:
        return f"it failed without protection already (exit status {seen.before.exit_status})"
    return ""
