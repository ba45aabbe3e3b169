"""What a start writes down: the settings it counts with, what changed since the start before, and how the clocks stand.

The log is what is compared with. Numbers and switches stand in the entry, texts and lists only by a committed digest: they may
name people. A setting that a newer elevate brings has not changed.
"""

from collections.abc import Mapping
from dataclasses import asdict

from elevate import canonical
from elevate.audit import body
from elevate.audit.body import Body
from elevate.audit.entry import Entry
from elevate.audit.view import member
from elevate.broker.settings import Settings
from elevate.canonical import Json
from elevate.ports import Clock
from elevate.store.reader import LedgerReader

STARTED, CHANGED = "broker-started", "policy-changed"


def settings_part(settings: Settings) -> Body:
    """Give all settings as an entry keeps them."""
    flat = _flat("", asdict(settings))
    plain = {name: value for name, value in flat.items() if isinstance(value, int)}
    return {"settings": {"plain": {**plain}, "digests": {name: canonical.digest(flat[name]) for name in flat.keys() - plain}}}


def settings_changed(before: Mapping[str, Json], after: Mapping[str, Json]) -> Body:
    """Name what differs between two of `settings_part`, with the values of what is a number; empty where nothing does."""
    old, new = (_known(one) for one in (before, after))
    changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    if not changed:
        return {}
    was, now = ({name: one[name] for name in changed if isinstance(one[name], int)} for one in (old, new))
    return {"settings": {"changed": [*changed], "before": {**was}, "after": {**now}}}


def since_last(reader: LedgerReader, settings: Body, policy: str) -> list[tuple[str, Body]]:
    """Give the entries that say what changed while no broker ran.

    Args:
        reader: The ledger, as the stop before left it.
        settings: Of this start, from `settings_part`.
        policy: Digest of the policy in force.
    """
    last = reader.last_of(STARTED)
    if last is None:
        return []
    found: list[tuple[str, Body]] = []
    if changed := settings_changed(last.body, settings):
        found.append(("settings-changed", changed))
    reloaded = reader.last_of(CHANGED, after=last.seq)
    known = member((reloaded or last).body, "setting", "digest")
    if known not in {None, policy}:
        found.append((CHANGED, body.setting("policy", policy) | body.reason(CHANGED, "it changed while no broker ran")))
    return found


def clock_part(last: Entry | None, clock: Clock) -> Body:
    """Say how the clocks stand against the last entry: within a boot how far they went apart, else whether time went back."""
    now = clock.read()
    if last is None:
        return body.clock(0, clock.sync())
    gone = now.unix_us - last.unix_us
    drift = gone - (now.mono_ns // 1000 - last.mono_us) if last.boot == clock.boot_id else min(gone, 0)
    return body.clock(drift, clock.sync())


def _flat(prefix: str, value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: one for key, item in value.items() for name, one in _flat(f"{prefix}.{key}" if prefix else key, item).items()}


def _known(part: Mapping[str, Json]) -> dict[str, Json]:
    plain, digests = member(part, "settings", "plain"), member(part, "settings", "digests")
    return {**(plain if isinstance(plain, dict) else {}), **(digests if isinstance(digests, dict) else {})}
