"""The Varlink interface ``io.elevate.Broker``: its description, and calls and replies as values. Pure.

Members of a call are only ever appended, optional ones first of all.

Source: https://varlink.org/Interface-Definition; https://varlink.org/Service.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from elevate import __version__, canonical
from elevate.canonical import Json
from elevate.errors import BrokerError, ElevateError, ProtocolError
from elevate.server.frames import MAX_FRAME

NAME = "io.elevate.Broker"
SERVICE = "org.varlink.service"
URL = ""

DESCRIPTION = """\
# Give admin to one task, once.
#
# A member that ends in _fd is an index into the descriptors that travel beside the message. Who asks is known from the
# kernel and is never a parameter. Closing the connection, or its writing half, cancels what is open on it.
interface io.elevate.Broker

# What is asked: process.run, package.install, service.control or file.write, and the parameters of that kind.
type Task (kind: string, params: object)

# A right to run the task once. It is bound to this connection and ends with it.
type Grant (request: string, expires_at: int, claims: object)

# How the task ended: exit_status or signal, and the receipt.
type Outcome (exit_status: ?int, signal: ?int, timed_out: ?bool, receipt: ?object)

# Inspect, decide, prompt, issue. With "more" every state is told as it is reached; the last reply has the grant.
# terminal_fd: the requester's terminal, for the broker's prompt. payload_fd: a sealed memory file.
# audience: "helper:NAME" for a token that a pinned helper redeems; it comes as token_fd, a sealed memory file.
method Elevate(task: Task, reason: ?string, terminal_fd: ?int, payload_fd: ?int, audience: ?string) -> (
  state: string,
  request: ?string,
  grant: ?Grant,
  token_fd: ?int
)

# The size of the person's terminal, for a task that may use one.
type Window (rows: int, columns: int)

# Use a grant: once. With "more" a reply with state "running" comes first. With descriptors the task's output comes as the
# read ends of two pipes beside that reply; without, as replies with stream and data (base64), or not at all without "more".
# With a window, where a rule says interactive, the task has a terminal of its own, whose other end comes as terminal_fd.
method Redeem(request: string, redeem_id: string, descriptors: ?bool, window: ?Window) -> (
  state: string,
  request: ?string,
  stdout_fd: ?int,
  stderr_fd: ?int,
  terminal_fd: ?int,
  stream: ?string,
  data: ?string,
  outcome: ?Outcome
)

# Elevate and Redeem in one call.
method Run(task: Task, reason: ?string, terminal_fd: ?int, payload_fd: ?int, descriptors: ?bool, window: ?Window) -> (
  state: string,
  request: ?string,
  stdout_fd: ?int,
  stderr_fd: ?int,
  terminal_fd: ?int,
  stream: ?string,
  data: ?string,
  outcome: ?Outcome
)

# For helpers: the key set (RFC 7517) that tokens are verified with, and the issuer's name. New at each start of the broker.
method Keys() -> (keys: object, issuer: string)

# For the pinned helper alone: use a token, once; the helper does the task then, on this connection, and reports its end.
method RedeemToken(token: string, redeem_id: string) -> (
  state: string,
  request: string,
  claims: object,
  task: object,
  requester: object,
  reason: string,
  time_limit_seconds: int
)

# How it ended; without exit_status, or where the connection is closed first, the outcome is unknown.
method FinishToken(request: string, exit_status: ?int) -> (state: string, request: string, outcome: ?Outcome)

# Pass a signal to the task that runs on this connection; meant to be sent "oneway" while Redeem or Run is under way.
method Signal(request: string, signal: int) -> ()

# Say what policy makes of a task; nobody is asked.
method Explain(task: Task) -> (explanation: object)

# The rules that are for the caller.
method ListRules() -> (rules: []object)

# Cancel a request of one's own that has not been granted yet.
method Cancel(request: string) -> ()

# Take back a token of one's own, by its id.
method Revoke(jti: string) -> ()

# What a request of one's own left behind.
method Receipt(request: string) -> (receipt: object)

# How the broker is.
method Status() -> (status: object)

# Who is asking, as the broker sees it.
method WhoAmI() -> (requester: object)

# Load the policy again; the last good one stays where the new one is bad. For root and the broker's own user.
method ReloadPolicy() -> (policy: object)

# Gestures of the requester, or of another user where root asks. What is typed goes to the broker's own prompt on terminal_fd.
method HelloEnrol(gesture: ?string, label: ?string, user: ?string, terminal_fd: ?int) -> (enrolled: object)

method HelloList(user: ?string) -> (gestures: []object)

# Make a gesture and have it verified; nothing is elevated.
method HelloVerify(terminal_fd: ?int) -> (verified: object)

# What each sensor and key store is and can do.
method HelloTest() -> (devices: []object)

method HelloRename(gesture: string, label: string, user: ?string) -> (enrolled: object)

method HelloRemove(gesture: string, terminal_fd: ?int) -> (gestures: []object)

# gesture: what proves the person, where the PIN is forgotten.
method HelloChangePin(gesture: ?string, terminal_fd: ?int) -> (enrolled: object)

# Destroy all gestures and keys; on a machine's broker for root.
method HelloReset(user: ?string) -> ()

# Forget wrong PINs and keep the gestures; on a machine's broker for root.
method HelloUnlock(user: ?string) -> (gestures: []object)

error Failed (code: string, message: string, hint: string, exit_code: int, windows_code: ?int, request: ?string)
"""

SERVICE_DESCRIPTION = """\
# The interface that every Varlink service has.
interface org.varlink.service

method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)

error MethodNotFound (method: string)

error MethodNotImplemented (method: string)

error InvalidParameter (parameter: string)
"""

DESCRIPTIONS: Mapping[str, str] = {SERVICE: SERVICE_DESCRIPTION, NAME: DESCRIPTION}


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
