"""What `elevate demo` writes, line by line."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from elevate.audit import Entry, Verdict
from elevate.canonical import Json
from elevate.errors import ElevateError
from elevate.outcome import Outcome
from elevate.token import Claims

MAX_SHOWN = 100
MAX_FILES = 8
_MICRO = 1_000_000


class Screen:
    """Writes the demo's lines.

    Args:
        write: Takes each line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._steps = 0

    def say(self, text: str) -> None:
        """Write some lines, moved in."""
        for line in text.splitlines():
            self._write(f"   {line}")

    def step(self, title: str) -> None:
        """Begin the next part."""
        self._steps += 1
        self._write("")
        self._write(f"{self._steps}. {title}")

    def machine(self, status: Mapping[str, Json], wheel: Path) -> None:
        """Say what there is to begin with."""
        self.step("A throw-away machine with a policy and a user who is enrolled")
        self.say(f"host      {status['host']} (emulated: no security boundary)")
        self.say(f"policy    {status['policy_rules']} rules, digest {str(status['policy'])[:16]}…")
        self.say(f"package   {wheel.name}, built just now")

    def prompt(self, view: Mapping[str, Json]) -> None:
        """Show the prompt as the broker composed it."""
        requester = view["requester"]
        user = requester["user"] if isinstance(requester, dict) else ""
        steps = [step for step in _list(view.get("steps")) if isinstance(step, dict)]
        what = [
            ("undo" if step["undo"] else f"{number}.", _short(str(step["display"]))) for number, step in enumerate(steps, 1)
        ]
        file = [("file", view["path"]), ("sha256", view["sha256"]), ("publisher", view["publisher"])]
        rows = (
            ("", f"{view['title']}  [{view['class']}]  {view['host_note']}"),
            *(what or file),
            ("for", user),
            ("reason", view["reason"]),
            ("rule", ", ".join(str(rule) for rule in _list(view["rules"]))),
            ("agree by", ", ".join(str(gesture) for gesture in _list(view["gestures"]))),
        )
        self.say("┌─ elevate asks ──────────────────────────────")
        for name, value in rows:
            self.say(f"│ {name:<10}{value}")
        self.say("└─────────────────────────────────────────────")

    def claims(self, claims: Claims) -> None:
        """Show what the token says."""
        rows = {
            "jti": claims.jti,
            "aud": claims.aud,
            "exp": f"{claims.exp} ({claims.exp - claims.iat} s after it was issued)",
            "amr": ", ".join(claims.amr),
            "task": f"{claims.kind}: {claims.display}",
            "digest": claims.request_digest,
            "bound to": f"process {getattr(claims.binding, 'pid', claims.binding)} of this boot",
            "log entry": str(claims.position),
        }
        for name, value in rows.items():
            self.say(f"{name:<10}{value}")

    def outcome(self, outcome: Outcome) -> None:
        """Show the task's output and its receipt."""
        for line in outcome.stdout.decode(errors="replace").splitlines():
            self.say("".join(char if char.isprintable() else "?" for char in line))
        receipt = outcome.receipt
        identity = receipt["identity"]
        name = identity["name"] if isinstance(identity, dict) else ""
        self.say(f"exit status {outcome.exit_status}, ran as {name} in session {str(receipt['session'])[:8]}…, wrote:")
        written = _list(receipt["written"])
        for one in written[:MAX_FILES]:
            if isinstance(one, dict):
                path = str(one["path"]).partition("/drive_c/")[2]
                self.say(f"  {one['change']:<8} C:\\{path.replace('/', chr(92))}")
        if len(written) > MAX_FILES:
            self.say(f"  and {len(written) - MAX_FILES} more")

    def error(self, error: ElevateError, *, hint: bool = True) -> None:
        """Show a refusal as the command line does."""
        self.say(f"elevate: error: {error.message}")
        if hint:
            self.say(f"elevate: hint: {error.hint}")

    def life(self, entries: Sequence[Entry]) -> None:
        """Show one token's life from the log."""
        self.step("The token's life, from the log")
        start = entries[0].unix_us
        for entry in entries:
            self.say(f"{(entry.unix_us - start) / 1000:9.1f} ms  entry {entry.seq:<3} {entry.event}")

    def verdict(self, what: str, verdict: Verdict) -> None:
        """Show what a verification found."""
        where = "" if verdict.kind is None else f", first bad entry {verdict.position} ({verdict.kind})"
        self.say(f"{what:<9} {verdict.outcome}: {verdict.size} entries are good{where}")

    def end(self, *, good: bool) -> None:
        """Say how it went."""
        self._write("")
        self._write(
            "One task, once. The machine, its admin account and its log are gone again."
            if good
            else "The demo did not go as it must."
        )


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
