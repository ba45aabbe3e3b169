"""What a stop or a crash left open is ended at the next start, and said in the log."""

from elevate.audit import body
from elevate.broker.home import Home
from elevate.broker.parts import Parts
from elevate.broker.settings import Settings
from elevate.errors import PolicyError
from elevate.lifecycle import State
from elevate.ports import Draft, Instant, Record, Step


def tidy(parts: Parts) -> None:
    """End every unfinished row: before issue it failed, a token of an older epoch is dead, a task's end is unknown."""
    now = parts.clock.read()
    for record in parts.store.unfinished():
        parts.store.step(_ending(record, now))


def pending_restart(home: Home, settings: Settings) -> bool:
    """Say whether settings.toml says something else than what is in force."""
    try:
        return Settings.read(home.settings) != settings
    except PolicyError:
        return True


def pending_settings(home: Home, settings: Settings) -> dict[str, int]:
    """Give Windows' settings that have another value from the next start on; none where the file can't be read."""
    try:
        written = Settings.read(home.settings).windows
    except PolicyError:
        return {}
    return {name: value for name, value in written.items() if value != settings.windows[name]}


def _ending(record: Record, now: Instant) -> Step:
    match record.state:
        case State.REDEEMED | State.RUNNING:
            after, code = State.OUTCOME_UNKNOWN, "outcome-unknown"
        case State.ISSUED:
            after, code = (
                (State.EXPIRED, "token-expired") if now.unix >= record.expires_at else (State.REVOKED, "token-revoked")
            )
        case _:
            after, code = State.FAILED, "broker-stopped"
    why = body.reason(code, f"the broker stopped while the request was {record.state}")
    entry = Draft(event=after, request=record.request, at=now, body=why)
    return Step(request=record.request, before=record.state, after=after, entry=entry)
