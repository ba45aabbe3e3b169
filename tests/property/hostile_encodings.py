"""Tokens that say the same in another encoding, or carry another signature."""

import copy
from collections.abc import Callable, Iterator

from elevate.canonical import Json
from elevate.token import mint
from tests.property.hostile_claims import MEMBERS
from tests.tokens import CLAIMS, HEADER, KEY, b64, compact, forge, sign

GOOD = mint(KEY, CLAIMS)
HEADER_PART, PAYLOAD_PART, SIGNATURE_PART = GOOD.split(".")


def encodings() -> Iterator[tuple[str, str]]:
    """Give tokens whose parts are encoded otherwise, by name."""
    for count in (1, 2, 3, 4):
        pad = "=" * count
        yield f"{count} = after the signature", GOOD + pad
        yield f"{count} = after the header, signed so", sign(HEADER_PART + pad, PAYLOAD_PART)
        yield f"{count} = after the payload, signed so", sign(HEADER_PART, PAYLOAD_PART + pad)
    for number, name in enumerate(("header", "payload", "signature")):
        parts = [HEADER_PART, PAYLOAD_PART, SIGNATURE_PART]
        for what, char in (("+", "+"), ("/", "/"), ("!", "!"), ("%3D", "%3D")):
            changed = [*parts]
            changed[number] += char
            yield f"{name} with {what}", ".".join(changed) if number == 2 else sign(changed[0], changed[1])
    for junk in ("!!!!", "\n\n\n\n", "    ", "====", "++++", "\0\0\0\0"):
        yield f"payload with {junk!r} within, signed so", sign(HEADER_PART, PAYLOAD_PART[:8] + junk + PAYLOAD_PART[8:])
        yield f"signature with {junk!r} within", f"{HEADER_PART}.{PAYLOAD_PART}.{SIGNATURE_PART[:8]}{junk}{SIGNATURE_PART[8:]}"
    yield "signature with spare bits set", GOOD[:-1] + _next(GOOD[-1])
    for size in range(3):
        members = _payload(lambda found, size=size: found.update(sub="S" * (4 + size)))  # type: ignore[misc]
        part = b64(compact(members))
        if len(part) % 4:
            yield f"payload with spare bits set, {len(part) % 4}", sign(HEADER_PART, part[:-1] + _next(part[-1]))
    yield "signature in the other alphabet", _other_alphabet()
    yield "payload in hexadecimal", sign(HEADER_PART, compact(MEMBERS).hex())
    yield "payload encoded twice", sign(HEADER_PART, b64(PAYLOAD_PART.encode()))


def _next(char: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(char) + 1]


def _other_alphabet() -> str:
    for position in range(1000):
        members = _payload(lambda found, position=position: found["elv"].update(position=position))  # type: ignore[misc]
        first, second, third = forge(HEADER, members).split(".")
        if "-" in third and "_" in third:
            return f"{first}.{second}.{third.replace('-', '+').replace('_', '/')}"
    raise AssertionError("no signature with both")


def signatures() -> Iterator[tuple[str, str]]:
    """Give tokens whose signature is none of their two parts, by name."""
    raw = KEY.private.sign(f"{HEADER_PART}.{PAYLOAD_PART}".encode())
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(raw[32:], "little")
    for name, other in {
        "empty": b"",
        "63 bytes": raw[:-1],
        "65 bytes": raw + b"\0",
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "halves swapped": raw[32:] + raw[:32],
        "S plus the order of the group": raw[:32] + (scalar + order).to_bytes(32, "little"),
        "R zero": bytes(32) + raw[32:],
        "S zero": raw[:32] + bytes(32),
        "identity point": b"\1" + bytes(63),
        "hexadecimal": raw.hex().encode(),
        "of the payload only": KEY.private.sign(PAYLOAD_PART.encode()),
        "of the raw JSON": KEY.private.sign(compact(HEADER) + b"." + compact(MEMBERS)),
    }.items():
        yield f"signature {name}", f"{HEADER_PART}.{PAYLOAD_PART}.{b64(other)}"
    changed = b64(compact(_payload(lambda members: members.update(sub="S-1-5-18"))))
    yield "payload exchanged below the signature", f"{HEADER_PART}.{changed}.{SIGNATURE_PART}"


def _payload(change: Callable[[dict[str, Json]], object]) -> dict[str, Json]:
    members = copy.deepcopy(MEMBERS)
    change(members)
    return members
