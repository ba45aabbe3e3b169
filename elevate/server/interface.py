"""The Varlink interface ``io.elevate.Broker``: calls and replies as values. Pure.

Source: https://varlink.org/Interface-Definition; https://varlink.org/Service.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from elevate import __version__, canonical
from elevate.canonical import Json
from elevate.errors import BrokerError, ElevateError, ProtocolError
from elevate.server.description import DESCRIPTIONS, NAME, SERVICE
from elevate.server.frames import MAX_FRAME

__all__ = [
    "DESCRIPTIONS",
    "NAME",
    "SERVICE",
    "URL",
    "Parameters",
    "Request",
    "ServiceError",
    "failure",
    "info",
    "parse",
    "reply",
]

URL = ""


class ServiceError(Exception):
    """An error that Varlink itself names.

    Args:
        name: Without the interface, as ``InvalidParameter``.
        member: Its one member.
    """

    def __init__(self, name: str, member: str, value: str) -> None:
        super().__init__(f"{name}: {value}")
        self.name = name
        self.parameters: dict[str, Json] = {member: _unicode(value)}


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came; ``more`` and ``oneway`` as Varlink means them."""

    method: str
    parameters: Mapping[str, Json]
    more: bool = False
    oneway: bool = False


def parse(frame: bytes) -> Request:
    """Read one frame.

    Raises:
        ProtocolError: It is not a Varlink call.
    """
    try:
        message = canonical.decode(frame, max_bytes=MAX_FRAME)
    except ValueError as exc:
        raise ProtocolError("the message is not a Varlink call", detail=str(exc)) from exc
    match message:
        case {"method": str(method), **rest}:
            parameters = rest.pop("parameters", None) or {}
            more, oneway = rest.pop("more", False), rest.pop("oneway", False)
        case _:
            raise ProtocolError("the message is not a Varlink call")
    if not isinstance(parameters, dict) or not isinstance(more, bool) or not isinstance(oneway, bool) or rest:
        raise ProtocolError("the message is not a Varlink call")
    return Request(method, parameters, more, oneway)


def reply(parameters: Mapping[str, Json], *, continues: bool = False) -> bytes:
    """Give the frame of one reply, NUL included."""
    message: dict[str, object] = {"parameters": parameters}
    if continues:
        message["continues"] = True
    return canonical.encode(message) + b"\0"


def failure(error: Exception, request: str = "") -> bytes:
    """Give the frame of an error: what the caller may know of it, and no more."""
    if isinstance(error, ServiceError):
        return canonical.encode({"error": f"{SERVICE}.{error.name}", "parameters": error.parameters}) + b"\0"
    if not isinstance(error, ElevateError):
        error = BrokerError("the broker met an error that it did not foresee; nothing was granted", hint="see the broker's log")
    told: dict[str, Json] = {
        "code": error.code,
        "message": _unicode(error.message),
        "hint": _unicode(error.hint),
        "exit_code": error.exit_code,
    }
    told |= {"windows_code": error.windows_code} if error.windows_code is not None else {}
    told |= {"request": request} if request else {}
    return canonical.encode({"error": f"{NAME}.Failed", "parameters": told}) + b"\0"


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def info() -> dict[str, Json]:
    """Answer ``GetInfo``."""
    return {"vendor": "elevate", "product": "elevate", "version": __version__, "url": URL, "interfaces": [SERVICE, NAME]}


class Parameters:
    """Reads a call's parameters one by one; what nobody asked for is an error at the end."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self._left = {name: value for name, value in given.items() if value is not None}

    def text(self, name: str, *, max_chars: int, default: str | None = None) -> str:
        """Give a text; without a default it is required."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or len(value) > max_chars:
            raise ServiceError("InvalidParameter", "parameter", name)
        return value

    def number(self, name: str, *, least: int, most: int) -> int | None:
        """Give an integer within its bounds; None where there is none."""
        value = self._left.pop(name, None)
        if value is not None and (type(value) is not int or not least <= value <= most):
            raise ServiceError("InvalidParameter", "parameter", name)
        return value

    def flag(self, name: str) -> bool:
        """Give a boolean; False where there is none."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise ServiceError("InvalidParameter", "parameter", name)
        return value

    def optional_members(self, name: str) -> Mapping[str, Json] | None:
        """Give an object; None where there is none."""
        return self.members(name) if name in self._left else None

    def members(self, name: str) -> Mapping[str, Json]:
        """Give a required object."""
        value = self._left.pop(name, None)
        if not isinstance(value, dict):
            raise ServiceError("InvalidParameter", "parameter", name)
        return value

    def end(self) -> None:
        """Refuse what is left: a caller who means something that is not heard must know."""
        for name in self._left:
            raise ServiceError("InvalidParameter", "parameter", name)
