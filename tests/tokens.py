"""Good tokens to start from, and the means to make bad ones: any header and payload, signed with the true key."""

import base64
import json
from dataclasses import replace

from elevate.canonical import Json
from elevate.model import ProcessIdentity
from elevate.token import Claims, Expected, TokenKey, new_jti

NOW = 1_800_000_000
KEY = TokenKey.from_seed(bytes(range(32)))
OTHER_KEY = TokenKey.from_seed(bytes(range(1, 33)))
KEYS = {KEY.kid: KEY.public}
PROCESS = ProcessIdentity(uid=1000, pid=4711, start_time=98_765, boot_id="2f1c1e9e-6c58-4b0a-9f0e-0123456789ab")

CLAIMS = Claims(
    iss="urn:elevate:broker:4f1c",
    sub="S-1-5-21-1-2-3-1001",
    aud="emulated:4f1c",
    client_id="/usr/bin/bash",
    iat=NOW,
    exp=NOW + 30,
    jti=new_jti(bytes(range(16))),
    auth_time=NOW - 3,
    amr=("pin", "swk"),
    acr="urn:elevate:acr:pin",
    binding=PROCESS,
    kind="process.run",
    request_digest="ab" * 32,
    display="/usr/bin/id -u",
    steps=("/usr/bin/id -u",),
    request="0123456789abcdef" * 2,
    session="fedcba9876543210" * 2,
    epoch="boot:start:ledger",
    policy="cd" * 32,
    position=41,
)

EXPECTED = Expected(
    iss=CLAIMS.iss, aud=CLAIMS.aud, epoch=CLAIMS.epoch, request_digest=CLAIMS.request_digest, binding=CLAIMS.binding
)

HEADER: dict[str, Json] = {"alg": "Ed25519", "kid": KEY.kid, "typ": "elevate+jwt"}


def claims(**changes: object) -> Claims:
    """Give the good claims with some of them changed."""
    return replace(CLAIMS, **changes)  # type: ignore[arg-type]


def compact(value: object) -> bytes:
    """Give JSON as our own canonical form has it, also of what our encoder would refuse."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def b64(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(first: str, second: str, key: TokenKey = KEY) -> str:
    """Put a true signature below any two parts."""
    return f"{first}.{second}.{b64(key.private.sign(f'{first}.{second}'.encode()))}"


def forge(header: object, payload: object, key: TokenKey = KEY) -> str:
    """Sign any header and payload; bytes stand as they are, other values as compact JSON."""
    parts = [value if isinstance(value, bytes) else compact(value) for value in (header, payload)]
    return sign(b64(parts[0]), b64(parts[1]), key)
