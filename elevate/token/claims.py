"""The claims of an admin token: all required, typed and bounded; nothing else is allowed.

Source: RFC 7519 section 4.1; RFC 7800 (cnf); RFC 9396 (authorization_details); RFC 8176 (amr).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, Self

from elevate.canonical import MAX_INTEGER, Json
from elevate.errors import TokenError
from elevate.model import HIGH_INTEGRITY, MEDIUM_INTEGRITY, ProcessIdentity
from elevate.text import is_shown
from elevate.token.keys import base64url

MAX_TOKEN_SECONDS = 120
MAX_CLAIM_CHARS = 512
MAX_DISPLAY_CHARS = 1024
MAX_STEPS = 32
MAX_METHODS = 16
MAX_UNIX_SECONDS = 253_402_300_799
MAX_UID = 2**32 - 2
MAX_PID = 2**22
JTI_BYTES = 16
MAX_INTEGRITY = 16_384
_LEVELS = frozenset({0, 4096, 8192, 8448, 12_288, MAX_INTEGRITY})
"""Untrusted, low, medium, medium plus, high, system."""
DETAIL_TYPE = "urn:elevate:task"

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_JTI = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")

_TEXTS = ("iss", "sub", "aud", "client_id", "acr", "kind", "request", "session", "epoch")
_PATTERNS = (("jti", _JTI), ("request_digest", _HEX_DIGEST), ("policy", _HEX_DIGEST))


class _Members:
    """Reads the members of an object: exactly these, in this order, of whatever type."""

    __slots__ = ("_count", "_pick")

    def __init__(self, *names: str) -> None:
        self._count = len(names)
        self._pick: Callable[[dict[str, Json]], tuple[Any, ...]] = itemgetter(*names)

    def __call__(self, what: str, value: Json) -> tuple[Any, ...]:
        if not isinstance(value, dict) or len(value) != self._count:
            raise _refuse(f"members of {what}")
        try:
            return self._pick(value)
        except KeyError as exc:
            raise _refuse(f"members of {what}") from exc


_TOP = _Members(
    *("iss", "sub", "aud", "client_id", "iat", "nbf", "exp", "jti", "auth_time", "amr", "acr"),
    *("cnf", "authorization_details", "elv"),
)
_DETAIL = _Members("type", "kind", "request_digest", "display", "steps")
_ELV = _Members("request", "session", "epoch", "policy", "position", "integrity", "requester_integrity")
_PROCESS = _Members("uid", "pid", "start_time", "boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. Claims that are out of bounds can't be made.

    Raises:
        TokenError: A claim is of another type or out of bounds; ``detail`` names it.

    Attributes:
        iss: Name of the broker.
        sub: Requester's SID, or ``uid@machine``.
        aud: The one host.
        client_id: Executable of the requesting process.
        iat: Unix seconds; nbf is the same.
        exp: Unix seconds, exclusive; at most 120 after iat.
        jti: Canonical base64url of 16 bytes.
        auth_time: Unix seconds of the gesture; not after iat.
        binding: The requesting process, or the RFC 7638 thumbprint of its ephemeral key.
        kind: Task kind.
        request_digest: 64 hexadecimal characters.
        display: One line, escaped.
        steps: Display form of each step, escaped, in order.
        request: Id of the request.
        session: Id of the elevation's session.
        epoch: Of the broker that issues.
        policy: 64 hexadecimal characters.
        position: Position of the `issued` entry in the log.
        integrity: Windows' integrity level of the task.
        requester_integrity: And of whoever asked.
    """

    iss: str
    sub: str
    aud: str
    client_id: str
    iat: int
    exp: int
    jti: str
    auth_time: int
    amr: tuple[str, ...]
    acr: str
    binding: ProcessIdentity | str
    kind: str
    request_digest: str
    display: str
    steps: tuple[str, ...]
    request: str
    session: str
    epoch: str
    policy: str
    position: int
    integrity: int = HIGH_INTEGRITY
    requester_integrity: int = MEDIUM_INTEGRITY

    def to_json(self) -> dict[str, Json]:
        """Give the members as they stand in the token."""
        return {
            "iss": self.iss,
            "sub": self.sub,
            "aud": self.aud,
            "client_id": self.client_id,
            "iat": self.iat,
            "nbf": self.iat,
            "exp": self.exp,
            "jti": self.jti,
            "auth_time": self.auth_time,
            "amr": list(self.amr),
            "acr": self.acr,
            "cnf": _binding_json(self.binding),
            "authorization_details": [
                {
                    "type": DETAIL_TYPE,
                    "kind": self.kind,
                    "request_digest": self.request_digest,
                    "display": self.display,
                    "steps": list(self.steps),
                }
            ],
            "elv": {
                "request": self.request,
                "session": self.session,
                "epoch": self.epoch,
                "policy": self.policy,
                "position": self.position,
                "integrity": self.integrity,
                "requester_integrity": self.requester_integrity,
            },
        }

    def __post_init__(self) -> None:
        """Refuse what is out of bounds, so that no token can be made of it."""
        for name, value in zip(_TEXTS, _texts_of(self), strict=True):
            _check_text(name, value, MAX_CLAIM_CHARS)
        for name, pattern in _PATTERNS:
            _check_pattern(name, getattr(self, name), pattern)
        _check_texts("amr", self.amr, MAX_CLAIM_CHARS, most=MAX_METHODS)
        _check_texts("steps", self.steps, MAX_DISPLAY_CHARS, most=MAX_STEPS)
        _check_text("display", self.display, MAX_DISPLAY_CHARS)
        if not (is_shown(self.display) and all(map(is_shown, self.steps))):
            raise _refuse("display")
        _check_integer("position", self.position, MAX_INTEGER)
        for name in ("integrity", "requester_integrity"):
            _check_integer(name, level := getattr(self, name), MAX_INTEGRITY)
            if level not in _LEVELS:
                raise _refuse(name)
        _check_life(self)
        _check_binding(self.binding)

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read the members strictly.

        Raises:
            TokenError: Anything is missing, of another type, out of bounds or not known.
        """
        iss, sub, aud, client_id, iat, nbf, exp, jti, auth_time, amr, acr, cnf, details, elv = _TOP("claims", value)
        if not isinstance(details, list) or len(details) != 1:
            raise _refuse("authorization_details")
        detail_type, kind, request_digest, display, steps = _DETAIL("authorization_details", details[0])
        request, session, epoch, policy, position, integrity, requester_integrity = _ELV("elv", elv)
        # nbf is compared by type too: for Python 1, 1.0 and true are equal.
        if detail_type != DETAIL_TYPE or type(nbf) is not int or nbf != iat:
            raise _refuse("type or nbf")
        return cls(
            iss=iss,
            sub=sub,
            aud=aud,
            client_id=client_id,
            iat=iat,
            exp=exp,
            jti=jti,
            auth_time=auth_time,
            amr=_tuple("amr", amr),
            acr=acr,
            binding=_binding(cnf),
            kind=kind,
            request_digest=request_digest,
            display=display,
            steps=_tuple("steps", steps),
            request=request,
            session=session,
            epoch=epoch,
            policy=policy,
            position=position,
            integrity=integrity,
            requester_integrity=requester_integrity,
        )


def new_jti(random: bytes) -> str:
    """Name a token after 16 random bytes."""
    if len(random) != JTI_BYTES:
        raise ValueError("a jti is 16 bytes")
    return base64url(random)


_texts_of = attrgetter(*_TEXTS)


def _check_life(claims: Claims) -> None:
    for name in ("iat", "exp", "auth_time"):
        _check_integer(name, getattr(claims, name), MAX_UNIX_SECONDS)
    if not 0 < claims.exp - claims.iat <= MAX_TOKEN_SECONDS:
        raise _refuse("exp")
    if claims.auth_time > claims.iat:
        raise _refuse("auth_time")


def _check_text(name: str, value: object, limit: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise _refuse(name)


def _check_texts(name: str, value: object, limit: int, *, most: int) -> None:
    if not isinstance(value, tuple) or not 0 < len(value) <= most:
        raise _refuse(name)
    for member in value:
        _check_text(name, member, limit)


def _check_pattern(name: str, value: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _refuse(name)


def _check_integer(name: str, value: object, largest: int, smallest: int = 0) -> None:
    # By exact type: a bool is an int for Python, and is not one here.
    if type(value) is not int or not smallest <= value <= largest:
        raise _refuse(name)


def _check_binding(binding: object) -> None:
    if not isinstance(binding, ProcessIdentity):
        _check_pattern("jkt", binding, _THUMBPRINT)
        return
    # Uid 2^32 - 1 is -1 to the kernel: "no change" (CVE-2019-14287). Pid 0 is nobody's.
    _check_integer("uid", binding.uid, MAX_UID)
    _check_integer("pid", binding.pid, MAX_PID, smallest=1)
    _check_integer("start_time", binding.start_time, MAX_INTEGER)
    _check_text("boot_id", binding.boot_id, MAX_CLAIM_CHARS)


def _tuple(name: str, value: Json) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _refuse(name)
    return tuple(value)


def _binding_json(binding: ProcessIdentity | str) -> dict[str, Json]:
    if isinstance(binding, str):
        return {"jkt": binding}
    return {
        "process": {
            "uid": binding.uid,
            "pid": binding.pid,
            "start_time": binding.start_time,
            "boot_id": binding.boot_id,
        }
    }


def _binding(value: Json) -> ProcessIdentity | str:
    if isinstance(value, dict) and value.keys() == {"jkt"} and isinstance(value["jkt"], str):
        return value["jkt"]
    if not isinstance(value, dict) or value.keys() != {"process"}:
        raise _refuse("members of cnf")
    uid, pid, start_time, boot_id = _PROCESS("process", value["process"])
    return ProcessIdentity(uid=uid, pid=pid, start_time=start_time, boot_id=boot_id)


def _refuse(what: str) -> TokenError:
    return TokenError("the token's claims are not as they must be", detail=f"out of bounds: {what}")
