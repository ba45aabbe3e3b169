"""The claims of an admin token: all required, typed and bounded; nothing else is allowed.

Source: RFC 7519 section 4.1; RFC 7800 (cnf); RFC 9396 (authorization_details); RFC 8176 (amr).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from elevate.canonical import Json
from elevate.model import ProcessIdentity
from elevate.token.keys import base64url

MAX_TOKEN_SECONDS = 120
MAX_CLAIM_CHARS = 512
MAX_DISPLAY_CHARS = 1024
MAX_STEPS = 16
MAX_UNIX_SECONDS = 253_402_300_799
JTI_BYTES = 16
DETAIL_TYPE = "urn:elevate:task"

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_JTI = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")

Members: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says.

    Attributes:
        iss: Name of the broker.
        sub: Requester's SID, or ``uid@machine``.
        aud: The one host.
        client_id: Executable of the requesting process.
        iat: Unix seconds; nbf is the same.
        exp: Unix seconds, exclusive; at most 120 after iat.
        jti: Canonical base64url of 16 bytes.
        auth_time: Unix seconds of the gesture.
        binding: The requesting process, or the RFC 7638 thumbprint of its ephemeral key.
        kind: Task kind.
        request_digest: 64 hexadecimal characters.
        display: One line, escaped.
        steps: Display form of each step, in order.
        position: Position of the `issued` entry in the log.
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
            },
        }

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read the members strictly.

        Raises:
            ValueError: Anything is missing, of another type, out of bounds or not known.
        """
        members = _members(value, _TOP)
        details = members["authorization_details"]
        if not isinstance(details, list) or len(details) != 1:
            raise ValueError("authorization_details")
        detail = _members(details[0], _DETAIL)
        elv = _members(members["elv"], _ELV)
        if detail["type"] != DETAIL_TYPE:
            raise ValueError("type")
        iat, exp = _life(members)
        return cls(
            iss=_text(members, "iss"),
            sub=_text(members, "sub"),
            aud=_text(members, "aud"),
            client_id=_text(members, "client_id"),
            iat=iat,
            exp=exp,
            jti=_matching(members, "jti", _JTI),
            auth_time=_seconds(members, "auth_time"),
            amr=_texts(members["amr"], "amr"),
            acr=_text(members, "acr"),
            binding=_binding(members["cnf"]),
            kind=_text(detail, "kind"),
            request_digest=_matching(detail, "request_digest", _HEX_DIGEST),
            display=_text(detail, "display", MAX_DISPLAY_CHARS),
            steps=_texts(detail["steps"], "steps", MAX_DISPLAY_CHARS),
            request=_text(elv, "request"),
            session=_text(elv, "session"),
            epoch=_text(elv, "epoch"),
            policy=_matching(elv, "policy", _HEX_DIGEST),
            position=_integer(elv, "position"),
        )


_TOP = frozenset(
    {
        *("iss", "sub", "aud", "client_id", "iat", "nbf", "exp", "jti", "auth_time", "amr", "acr"),
        *("cnf", "authorization_details", "elv"),
    }
)
_DETAIL = frozenset({"type", "kind", "request_digest", "display", "steps"})
_ELV = frozenset({"request", "session", "epoch", "policy", "position"})
_PROCESS = frozenset({"uid", "pid", "start_time", "boot_id"})


def new_jti(random: bytes) -> str:
    """Name a token after 16 random bytes."""
    if len(random) != JTI_BYTES:
        raise ValueError("a jti is 16 bytes")
    return base64url(random)


def _life(members: Members) -> tuple[int, int]:
    iat, exp = _seconds(members, "iat"), _seconds(members, "exp")
    if _seconds(members, "nbf") != iat or not 0 < exp - iat <= MAX_TOKEN_SECONDS:
        raise ValueError("iat, nbf, exp")
    return iat, exp


def _members(value: Json, names: frozenset[str]) -> Members:
    if not isinstance(value, dict) or value.keys() != names:
        raise ValueError("members")
    return value


def _text(members: Members, name: str, limit: int = MAX_CLAIM_CHARS) -> str:
    value = members[name]
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise ValueError(name)
    return value


def _texts(value: Json, name: str, limit: int = MAX_CLAIM_CHARS) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_STEPS:
        raise ValueError(name)
    for member in value:
        if not isinstance(member, str) or not 0 < len(member) <= limit:
            raise ValueError(name)
    return tuple(str(member) for member in value)


def _matching(members: Members, name: str, pattern: re.Pattern[str]) -> str:
    value = members[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(name)
    return value


def _integer(members: Members, name: str) -> int:
    value = members[name]
    if type(value) is not int or value < 0:
        raise ValueError(name)
    return value


def _seconds(members: Members, name: str) -> int:
    value = _integer(members, name)
    if value > MAX_UNIX_SECONDS:
        raise ValueError(name)
    return value


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
    if isinstance(value, dict) and value.keys() == {"jkt"}:
        return _matching(value, "jkt", _THUMBPRINT)
    process = _members(_members(value, frozenset({"process"}))["process"], _PROCESS)
    return ProcessIdentity(
        uid=_integer(process, "uid"),
        pid=_integer(process, "pid"),
        start_time=_integer(process, "start_time"),
        boot_id=_text(process, "boot_id"),
    )
