"""Tokens that must be refused, by name. Where a signature can be true it is: only the profile stands before the right."""

import hashlib
import hmac
import json
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from elevate.token import jwks
from tests.property.hostile_claims import MEMBERS, claims
from tests.property.hostile_encodings import GOOD, HEADER_PART, PAYLOAD_PART, SIGNATURE_PART, encodings, signatures
from tests.tokens import HEADER, KEY, NOW, OTHER_KEY, b64, compact, forge

PUBLIC = KEY.public.public_bytes_raw()

_HUGE = "a" * 20_000


def corpus() -> dict[str, str]:
    """Give every hostile token by name."""
    parts = (_algorithms, _types_and_kids, _foreign_headers, _spellings, _forms, encodings, signatures, claims, _nested)
    found: dict[str, str] = {}
    for part in parts:
        for name, token in part():
            assert name not in found, name
            found[name] = token
    return found


def _header(**changes: object) -> dict[str, object]:
    return {name: value for name, value in {**HEADER, **changes}.items() if value is not ...}


def _hmac(header: object, secret: bytes) -> str:
    signed = f"{b64(compact(header))}.{PAYLOAD_PART}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _algorithms() -> Iterator[tuple[str, str]]:
    for alg in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "EdDSA",
        "ed25519",
        "ED25519",
        "Ed448",
        "HS256",
        "ES256",
        "RS256",
        "Ed25519 ",
    ):
        yield f"alg {alg!r}, true signature", forge(_header(alg=alg), MEMBERS)
    for alg in ("none", "NONE"):
        yield f"alg {alg} without a signature", f"{b64(compact(_header(alg=alg)))}.{PAYLOAD_PART}."
    pem = b"-----BEGIN PUBLIC KEY-----\n" + b64(PUBLIC).encode() + b"\n-----END PUBLIC KEY-----\n"
    for name, secret in (
        ("raw", PUBLIC),
        ("pem", pem),
        ("jwk", compact(jwks(KEY)["keys"])),
        ("kid", KEY.kid.encode()),
        ("empty", b""),
    ):
        yield f"HS256 with the public key as {name}", _hmac(_header(alg="HS256"), secret)
    signed = f"{b64(compact(_header(alg='ES256')))}.{PAYLOAD_PART}"
    ecdsa = ec.derive_private_key(7, ec.SECP256R1()).sign(signed.encode(), ec.ECDSA(SHA256()))
    yield "ES256 with a key of its own", f"{signed}.{b64(ecdsa)}"
    for name, value in (("missing", ...), ("null", None), ("a list", ["Ed25519"]), ("a number", 1), ("an object", {})):
        yield f"alg {name}", forge(_header(alg=value), MEMBERS)


def _types_and_kids() -> Iterator[tuple[str, str]]:
    for typ in (
        "JWT",
        "jwt",
        "at+jwt",
        "ELEVATE+JWT",
        "application/elevate+jwt",
        "elevate+jwt ",
        "",
        "elevate+jwt;v=1",
        "dpop+jwt",
    ):
        yield f"typ {typ!r}", forge(_header(typ=typ), MEMBERS)
    for name, value in (("missing", ...), ("null", None), ("a list", ["elevate+jwt"])):
        yield f"typ {name}", forge(_header(typ=value), MEMBERS)
    kids = (
        "",
        "0",
        KEY.kid[:-1],
        KEY.kid + "=",
        KEY.kid.lower(),
        "../../key",
        "/dev/null",
        "' OR 1=1 --",
        "http://evil/key",
        _HUGE,
    )
    for number, kid in enumerate(kids):
        yield f"kid {number}, {kid[:12]!r}", forge(_header(kid=kid), MEMBERS)
    others: dict[str, object] = {"missing": ..., "null": None, "a list": [KEY.kid], "a number": 0, "an object": {KEY.kid: 1}}
    for name, other in others.items():
        yield f"kid {name}", forge(_header(kid=other), MEMBERS)
    yield "foreign key under its own kid", forge(_header(kid=OTHER_KEY.kid), MEMBERS, OTHER_KEY)
    yield "foreign key under our kid", forge(HEADER, MEMBERS, OTHER_KEY)
    yield "our key under a foreign kid", forge(_header(kid=OTHER_KEY.kid), MEMBERS)


def _foreign_headers() -> Iterator[tuple[str, str]]:
    own = {**OTHER_KEY_JWK, "kid": KEY.kid}
    extras: dict[str, object] = {
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/cert",
        "jwk": own,
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "crit": ["exp"],
        "b64": True,
        "zip": "DEF",
        "enc": "A256GCM",
        "cty": "JWT",
        "nonce": "x",
        "epk": own,
        "p2c": 10**9,
        "iss": MEMBERS["iss"],
        "ALG": "Ed25519",
        "": "",
        "__proto__": {},
        "é": 1,
    }
    for name, value in extras.items():
        yield f"header with {name!r}", forge(_header(**{name: value}), MEMBERS)
    yield "header with crit of none", forge(_header(crit=[]), MEMBERS)
    yield "header with crit of b64", forge(_header(crit=["b64"], b64=True), MEMBERS)
    yield "header jwk, signed with that key", forge(_header(jwk=own), MEMBERS, OTHER_KEY)
    detached = compact(_header(b64=False, crit=["b64"]))
    raw = b64(detached).encode() + b"." + compact(MEMBERS)
    yield "payload not encoded (RFC 7797)", f"{b64(detached)}.{compact(MEMBERS).decode()}.{b64(KEY.private.sign(raw))}"
    yield "payload detached", f"{HEADER_PART}..{SIGNATURE_PART}"


OTHER_KEY_JWK: dict[str, object] = {"kty": "OKP", "crv": "Ed25519", "x": b64(OTHER_KEY.public.public_bytes_raw())}


def _spellings() -> Iterator[tuple[str, str]]:
    header, payload = compact(HEADER), compact(MEMBERS)
    for name, twice in {
        "alg first": b'{"alg":"none",' + header[1:],
        "alg last": header[:-1] + b',"alg":"none"}',
        "alg the same": header[:-1] + b',"alg":"Ed25519"}',
        "kid": header[:-1] + b',"kid":"x"}',
        "typ escaped": header[:-1] + b',"\\u0074yp":"x"}',
    }.items():
        yield f"duplicate member of the header: {name}", forge(twice, MEMBERS)
    for name, twice in {
        "exp first": b'{"exp":9999999999,' + payload[1:],
        "exp last": payload[:-1] + b',"exp":%d}' % (NOW + 30),
        "aud last": payload[:-1] + b',"aud":"elsewhere"}',
        "aud escaped": payload[:-1] + b',"\\u0061ud":"x"}',
        "jti": payload[:-1] + b',"jti":"AAAAAAAAAAAAAAAAAAAAAA"}',
        "cnf uid": payload.replace(b'"uid":1000', b'"uid":0,"uid":1000'),
        "request digest": payload.replace(b'"request_digest":', b'"request_digest":"x","request_digest":'),
    }.items():
        yield f"duplicate member of the payload: {name}", forge(HEADER, twice)
    for name, other in {
        "space in the header": json.dumps(HEADER, sort_keys=True).encode(),
        "header in another order": json.dumps(HEADER, separators=(",", ":"), sort_keys=True)[::1]
        .replace('{"alg":"Ed25519",', "{")
        .replace("}", ',"alg":"Ed25519"}')
        .encode(),
        "header with an escape": header.replace(b"Ed25519", b"\\u0045d25519"),
        "header with a mark of byte order": b"\xef\xbb\xbf" + header,
        "header with a last line": header + b"\n",
        "header with a second value": header + b"{}",
        "header in utf-16": header.decode().encode("utf-16"),
    }.items():
        yield name, forge(other, MEMBERS)
    for name, other in {
        "space in the payload": json.dumps(MEMBERS, sort_keys=True).encode(),
        "payload in another order": json.dumps(MEMBERS, separators=(",", ":")).encode(),
        "payload with an escape": payload.replace(b'"pin"', b'"\\u0070in"'),
        "payload with an escaped slash": payload.replace(b"/usr/bin/bash", b"\\/usr\\/bin\\/bash"),
        "payload with a mark of byte order": b"\xef\xbb\xbf" + payload,
        "payload with a space after it": payload + b" ",
        "payload with a comment": payload[:-1] + b"/**/}",
        "payload with a NUL after it": payload + b"\0",
        "payload with a lone surrogate": payload.replace(b'"pin"', b'"\\ud800"'),
        "payload that is not utf-8": payload.replace(b'"pin"', b'"\xff"'),
        "payload with an overlong form": payload.replace(b'"pin"', b'"\xc0\xaf"'),
    }.items():
        yield name, forge(HEADER, other)
    for value in (
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"1",
        b"NaN",
        b"[" * 300 + b"]" * 300,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"[" * 9000,
    ):
        yield f"header is {len(value)} {value[:8]!r}", forge(value, MEMBERS)
        yield f"payload is {len(value)} {value[:8]!r}", forge(HEADER, value)


def _forms() -> Iterator[tuple[str, str]]:
    yield from {
        "empty": "",
        "dots": "..",
        "four dots": "....",
        "one part": HEADER_PART,
        "two parts": f"{HEADER_PART}.{PAYLOAD_PART}",
        "four parts": f"{GOOD}.{SIGNATURE_PART}",
        "five parts": f"{HEADER_PART}.{HEADER_PART}.{GOOD}",
        "a dot before": f".{GOOD}",
        "a dot after": f"{GOOD}.",
        "Bearer": f"Bearer {GOOD}",
        "quoted": f'"{GOOD}"',
        "twice": GOOD + GOOD,
        "reversed": GOOD[::-1],
        "JSON serialisation": json.dumps({"protected": HEADER_PART, "payload": PAYLOAD_PART, "signature": SIGNATURE_PART}),
        "parts swapped": f"{PAYLOAD_PART}.{HEADER_PART}.{SIGNATURE_PART}",
        "huge": "a" * 1_000_000,
        "huge of dots": "." * 1_000_000,
        "one over the bound": GOOD + "A" * (32_769 - len(GOOD)),
        "not ASCII": GOOD.replace("e", "\u0435", 1),
        "digits that only look like ASCII": GOOD + "\uff11",
        "lone surrogate": GOOD + "\ud800",
    }.items()
    for name, space in (
        ("space", " "),
        ("tab", "\t"),
        ("newline", "\n"),
        ("return", "\r"),
        ("NUL", "\0"),
        ("no-break space", "\xa0"),
    ):
        yield f"{name} before", space + GOOD
        yield f"{name} after", GOOD + space
        yield f"{name} within", f"{HEADER_PART}.{PAYLOAD_PART[:9]}{space}{PAYLOAD_PART[9:]}.{SIGNATURE_PART}"
        yield f"{name} beside a dot", f"{HEADER_PART}.{space}{PAYLOAD_PART}.{SIGNATURE_PART}"


def _nested() -> Iterator[tuple[str, str]]:
    yield "a token as the payload", forge(_header(cty="JWT"), GOOD.encode())
    yield "a token as the payload, our header", forge(HEADER, GOOD.encode())
    yield "a token as JSON text", forge(HEADER, json.dumps(GOOD).encode())
    yield "a token as a claim", forge(HEADER, {"jwt": GOOD})
    yield (
        "an encrypted form",
        ".".join([b64(compact({"alg": "dir", "enc": "A256GCM"})), "", b64(bytes(12)), b64(GOOD.encode()), b64(bytes(16))]),
    )
