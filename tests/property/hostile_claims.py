"""Tokens with a true signature over claims that are lax, foreign or out of bounds."""

from collections.abc import Iterator

from elevate.token.claims import MAX_STEPS
from tests.tokens import CLAIMS, HEADER, KEY, NOW, compact, forge

MEMBERS = CLAIMS.to_json()

_HUGE = "a" * 20_000


def claims() -> Iterator[tuple[str, str]]:
    """Give them by name."""
    for name in MEMBERS:
        yield f"claim {name} missing", forge(HEADER, {other: member for other, member in MEMBERS.items() if other != name})
        for kind, value in (("null", None), ("an object", {}), ("a list", []), ("empty", ""), ("true", True), ("a float", 1.5)):
            yield (
                f"claim {name} is {kind}",
                forge(HEADER, {**MEMBERS, name: value}),
            )
    changes: dict[str, dict[str, object]] = {
        "an unknown claim": {"scope": "admin"},
        "an unknown empty claim": {"": ""},
        "exp as text": {"exp": str(NOW + 30)},
        "exp as a whole float": {"exp": float(NOW + 30)},
        "exp 1e18": {"exp": 10**18},
        "exp 2^64": {"exp": 2**64},
        "exp in milliseconds": {"exp": (NOW + 30) * 1000},
        "exp negative": {"exp": -1},
        "exp 0": {"exp": 0},
        "exp in a list": {"exp": [NOW + 30]},
        "exp 121 seconds after iat": {"exp": NOW + 121},
        "exp a year after iat": {"exp": NOW + 31_536_000},
        "exp at iat": {"exp": NOW},
        "iat as text": {"iat": str(NOW)},
        "iat as a whole float": {"iat": float(NOW)},
        "iat and nbf as whole floats": {"iat": float(NOW), "nbf": float(NOW)},
        "iat in the future": {"iat": NOW + 60, "nbf": NOW + 60, "exp": NOW + 90},
        "iat a bool": {"iat": True, "nbf": True, "exp": 2, "auth_time": 0},
        "nbf a bool that equals iat": {"iat": 1, "nbf": True, "exp": 2, "auth_time": 0},
        "nbf a whole float": {"nbf": float(NOW)},
        "nbf before iat": {"nbf": NOW - 1},
        "nbf after iat": {"nbf": NOW + 1},
        "auth_time after iat": {"auth_time": NOW + 1},
        "iss in a list": {"iss": [CLAIMS.iss]},
        "iss of another broker": {"iss": "urn:elevate:broker:ffff"},
        "iss with a space": {"iss": CLAIMS.iss + " "},
        "aud in a list": {"aud": [CLAIMS.aud]},
        "aud in a list of two": {"aud": [CLAIMS.aud, "other"]},
        "aud of another host": {"aud": "emulated:ffff"},
        "aud in capitals": {"aud": CLAIMS.aud.upper()},
        "jti not canonical": {"jti": CLAIMS.jti[:-1] + "x"},
        "jti padded": {"jti": CLAIMS.jti + "=="},
        "jti short": {"jti": "AAAA"},
        "jti with a newline": {"jti": CLAIMS.jti + "\n"},
        "sub too long": {"sub": "a" * 513},
        "sub huge": {"sub": _HUGE},
        "amr as text": {"amr": "pin"},
        "amr with a number": {"amr": ["pin", 1]},
        "amr too long": {"amr": ["pin"] * 17},
        "two tasks": {"authorization_details": [_detail(), _detail()]},
        "the task not in a list": {"authorization_details": _detail()},
        "a task of another type": {"authorization_details": [_detail(type="payment_initiation")]},
        "a task of another request": {"authorization_details": [_detail(request_digest="ef" * 32)]},
        "a digest in capitals": {"authorization_details": [_detail(request_digest="AB" * 32)]},
        "a task with one member more": {"authorization_details": [_detail(admin=True)]},
        "a task with one member fewer": {"authorization_details": [{k: v for k, v in _detail().items() if k != "steps"}]},
        "a task with no steps": {"authorization_details": [_detail(steps=[])]},
        "a task with a step too many": {"authorization_details": [_detail(steps=["a"] * (MAX_STEPS + 1))]},
        "a display with an escape": {"authorization_details": [_detail(display="\x1b[2J")]},
        "a display that turns": {"authorization_details": [_detail(display="\u202egpj.exe")]},
        "a display too long": {"authorization_details": [_detail(display="a" * 1025)]},
        "another process": {"cnf": {"process": {**_process(), "pid": 4712}}},
        "the same pid later": {"cnf": {"process": {**_process(), "start_time": 98_766}}},
        "another uid": {"cnf": {"process": {**_process(), "uid": 0}}},
        "uid -1": {"cnf": {"process": {**_process(), "uid": 2**32 - 1}}},
        "uid as text": {"cnf": {"process": {**_process(), "uid": "1000"}}},
        "uid as a float": {"cnf": {"process": {**_process(), "uid": 1000.0}}},
        "another boot": {"cnf": {"process": {**_process(), "boot_id": "0"}}},
        "process and key": {"cnf": {"process": _process(), "jkt": KEY.kid}},
        "a key in place of the process": {"cnf": {"jkt": KEY.kid}},
        "a key that is none": {"cnf": {"jkt": 1}},
        "process as a list": {"cnf": {"process": list(_process().values())}},
        "process with one member more": {"cnf": {"process": {**_process(), "gid": 0}}},
        "an older epoch": {"elv": _elv(epoch="boot:other:ledger")},
        "a position of -1": {"elv": _elv(position=-1)},
        "a position of 2^63": {"elv": _elv(position=2**63)},
        "an integrity level that is none": {"elv": _elv(integrity=12_289)},
        "an integrity level as text": {"elv": _elv(integrity="12288")},
        "no integrity level of the requester": {"elv": {k: v for k, v in _elv().items() if k != "requester_integrity"}},
        "a position as a float": {"elv": _elv(position=41.0)},
        "a policy that is no digest": {"elv": _elv(policy="latest")},
        "elv with one member more": {"elv": _elv(admin=True)},
        "elv with one renamed": {"elv": {("Epoch" if k == "epoch" else k): v for k, v in _elv().items()}},
    }
    for name, change in changes.items():
        yield name, forge(HEADER, {**MEMBERS, **change})
    yield "claims named in other letters", forge(HEADER, {name.upper(): value for name, value in MEMBERS.items()})
    yield "claims within claims", forge(HEADER, {"claims": MEMBERS})
    yield "exp with an exponent", forge(HEADER, compact(MEMBERS).replace(b'"exp":1800000030', b'"exp":180000003e1'))
    yield "exp with a zero before", forge(HEADER, compact(MEMBERS).replace(b'"exp":1', b'"exp":01'))
    yield "exp infinite", forge(HEADER, compact(MEMBERS).replace(b'"exp":1800000030', b'"exp":Infinity'))
    yield "exp 1e400", forge(HEADER, compact(MEMBERS).replace(b'"exp":1800000030', b'"exp":1e400'))


def _detail(**changes: object) -> dict[str, object]:
    return {
        "type": "urn:elevate:task",
        "kind": CLAIMS.kind,
        "request_digest": CLAIMS.request_digest,
        "display": CLAIMS.display,
        "steps": list(CLAIMS.steps),
        **changes,
    }


def _process() -> dict[str, object]:
    return {"uid": 1000, "pid": 4711, "start_time": 98_765, "boot_id": "2f1c1e9e-6c58-4b0a-9f0e-0123456789ab"}


_LEVELS = {"integrity": CLAIMS.integrity, "requester_integrity": CLAIMS.requester_integrity}


def _elv(**changes: object) -> dict[str, object]:
    members: dict[str, object] = {"request": CLAIMS.request, "session": CLAIMS.session, "epoch": CLAIMS.epoch}
    return {**members, "policy": CLAIMS.policy, "position": CLAIMS.position, **_LEVELS, **changes}
