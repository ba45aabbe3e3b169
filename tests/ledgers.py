"""What tests of ledger and log are made of: requests, drafts and steps with nothing in them that matters elsewhere."""

import hashlib
from collections.abc import Mapping

from elevate.audit import Origin, Sealed, seal
from elevate.canonical import Json
from elevate.lifecycle import State
from elevate.ports import Draft, Instant, Record, Step
from elevate.testing import SeededEntropy

AT = Instant(unix_us=1_700_000_000_000_000, mono_ns=5_000_000_000)
EPOCH = "boot.nonce.generation"


def sealed(entry: Draft, position: int, previous: str) -> Sealed:
    """An entry with its place, salted from its position alone."""
    return seal(entry, position, previous, origin=Origin(broker="b"), draw=SeededEntropy(position).token_bytes)


def request_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def draft(event: str, request: str = "", **body: Json) -> Draft:
    return Draft(event=event, request=request, at=AT, body=body)


def row(request: str, *, user: str = "alice", epoch: str = EPOCH) -> Record:
    return Record(request=request, state=State.REQUESTED, user=user, uid=1000, session="s1", host="emulated:1", epoch=epoch)


def step(request: str, before: State, after: State, *, epoch: str = "", fields: Mapping[str, Json] | None = None) -> Step:
    entry = draft(after.value, request, actor={"user": "alice"})
    return Step(request=request, before=before, after=after, entry=entry, fields=fields or {}, epoch=epoch)


def issue(request: str, *, expires_at: int = 1_700_000_030) -> Step:
    fields: dict[str, Json] = {"jti": request, "expires_at": expires_at, "deadline_ns": 35_000_000_000}
    entry = draft("issued", request, actor={"user": "alice"}, token={"jti": request})
    return Step(request=request, before=State.REQUESTED, after=State.ISSUED, entry=entry, fields=fields)


def redeem(request: str, redeem_id: str = "r1", *, epoch: str = EPOCH) -> Step:
    return step(request, State.ISSUED, State.REDEEMED, epoch=epoch, fields={"redeem_id": redeem_id})
