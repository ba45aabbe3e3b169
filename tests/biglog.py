"""A long log, made fast: real requests through the real ledger, thousands in one commit."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from elevate.audit import body
from elevate.lifecycle import State
from elevate.model import AdminIdentity, Ended, ProcessIdentity, Requester, VerifiedGesture
from elevate.ports import Draft, Instant, Step
from elevate.store import SqliteStore
from elevate.store.sqlite_ledger import Ledger
from elevate.testing import SeededEntropy
from tests.ledgers import EPOCH, request_id, row

USERS = ("alice", "bob", "carol", "dan", "erin")
BEGIN_US = 1_790_000_000_000_000
LIFE = 4
BATCH = 500
DAY_US = 86_400_000_000


def requester(user: str) -> Requester:
    number = USERS.index(user)
    return Requester(
        user=user,
        sid=f"S-1-5-21-1-2-3-{1001 + number}",
        groups=("developers",),
        machine="machine",
        process=ProcessIdentity(uid=1000 + number, pid=4711, start_time=99, boot_id="b"),
        executable="/usr/bin/bash",
        chain=("bash (4711)",),
    )


def life(number: int, *, step_us: int) -> Iterator[Step | Draft]:
    """One request: asked, then denied or issued, used and ended."""
    request, user = request_id(number), USERS[number * 7 % len(USERS)]
    at = Instant(unix_us=BEGIN_US + number * step_us, mono_ns=10**12 + number * step_us * 1000)
    who = body.actor(requester(user), session="s1")
    task: body.Body = {
        "task": {"kind": "process.run", "display": f"/usr/bin/apt-get install tool-{number % 40}", "digest": "d" * 64}
    }
    yield Draft(event="requested", request=request, at=at, body=who | task)
    decided: body.Body = {"decision": {"outcome": "credential", "rules": [f"rule-{number % 12}"], "policy": "p" * 64}}
    moved = partial(_step, request, at)
    if number % 10 == 3:
        yield moved(State.REQUESTED, State.DENIED, decided | body.reason("denied", "no rule allows it"))
        return
    gesture = VerifiedGesture(method="pin", amr=("pin", "swk"), acr="urn:elevate:acr:pin", credential="c", auth_time=1)
    token = body.token(request, expires_at=1, audience="emulated:1", epoch=EPOCH, binding=requester(user).process)
    yield moved(State.REQUESTED, State.ISSUED, decided | token | body.authentication(gesture), jti=request)
    yield moved(State.ISSUED, State.REDEEMED, {"token": {"jti": request, "redeem_id": "r"}}, redeem_id="r")
    ran = body.process(AdminIdentity(name=f"ADMIN_{user}", sid="S-1-5-1", uid=1, home="/"), pid=7, ended=Ended(exit_status=0))
    yield moved(State.REDEEMED, State.DESTROYED, ran)


def make_log(path: Path, entries: int, *, step_us: int = 2_000_000) -> SqliteStore:
    """Make a ledger of about so many entries; the caller closes it."""
    store = SqliteStore(path, entropy=SeededEntropy(7))
    lives = entries // LIFE
    for first in range(0, lives, BATCH):
        numbers = range(first, min(first + BATCH, lives))
        store._writer.submit(partial(write_lives, numbers=numbers, step_us=step_us)).result()
    return store


def write_lives(ledger: Ledger, *, numbers: range, step_us: int) -> None:
    for number in numbers:
        ledger.log.sign_when_due()
        for one in life(number, step_us=step_us):
            if isinstance(one, Step):
                ledger.step(one)
            else:
                user = USERS[number * 7 % len(USERS)]
                ledger.open_request(row(one.request, user=user), one)


def _step(request: str, at: Instant, before: State, after: State, parts: body.Body, **fields: str) -> Step:
    entry = Draft(event=after.value, request=request, at=at, body=parts)
    return Step(request=request, before=before, after=after, entry=entry, fields=dict(fields))
