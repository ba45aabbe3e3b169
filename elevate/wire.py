"""The client's end of the broker's socket: where it is, who must listen there, and how messages go over it.

Rules:

- The place is fixed: ``/run/elevate`` where that folder exists, and then only root may listen, with no fallback; else the
  user's own folder, and then only the user may listen. No option and no variable changes it; tests hand in a path.
- The listener's uid is checked before the first byte is sent.
- A message is one JSON object and a NUL byte (Varlink). Descriptors travel beside it; a member ending in ``_fd`` is an index.
- The thin client loads this at every start, so it uses the C parts of the standard library only (``_json`` is what ``json``
  itself stands on) and imports nothing but the errors, late.

Source: https://varlink.org/Method-Call; unix(7); attacks.md rows 24 and 50.
"""

import _json
import _socket
import posix
import select
import sys

from elevate.late import errors

INTERFACE = "io.elevate.Broker"
MAX_FRAME = 65_536
MAX_REPLY = 2**22
_MACHINE = "/run/elevate"
_CHUNK = 65_536
MAX_FDS = 4
GONE = "it may be starting again: ask again; or see: elevate doctor"


class _Strict:
    """What the C scanner asks its context for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None
    memo: "dict[str, str]" = {}  # noqa: RUF012 - the scanner clears it itself


def _not_json(value: object) -> object:
    message = f"a {type(value).__name__} is not JSON"
    raise TypeError(message)


_scan = _json.make_scanner(_Strict)  # type: ignore[arg-type]  # it wants the attributes only
_encode = _json.make_encoder(None, _not_json, _json.encode_basestring, None, ":", ",", False, False, False)  # noqa: FBT003 - a C function without names


def place() -> "tuple[str, int]":
    """Give the socket's path and the uid that must listen there."""
    uid = posix.getuid()
    if _exists(_MACHINE):
        return _MACHINE + "/broker.sock", 0
    runtime = f"/run/user/{uid}"
    try:
        if posix.lstat(runtime).st_uid == uid:
            return runtime + "/elevate/broker.sock", uid
    except OSError:
        pass
    return home(uid) + "/.local/share/elevate/run/broker.sock", uid


def home(uid: int) -> str:
    """Give the home folder that the user database says; the environment is not asked.

    Raises:
        BrokerError: The user database does not know the uid.
    """
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError as exc:
        raise errors.BrokerError(f"uid {uid} is not in the user database", hint="ask root to add the user") from exc


def _exists(path: str) -> bool:
    try:
        posix.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def wait(fds: "tuple[int, ...]", alarm: int, patience_ms: "int | None" = None) -> "set[int]":
    """Wait until one of ``fds`` is readable, and give those that are; none when ``patience_ms`` have passed.

    A signal may come after the interpreter has looked for one and before the kernel sleeps; ``alarm`` ends that sleep, and the
    signal's handler runs then.
    """
    poll = select.poll()
    for fd in (*fds, alarm):
        poll.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll(patience_ms)}
        if alarm in ready:
            posix.read(alarm, 64)
        if ready != {alarm}:
            return ready - {alarm}


class Wire:
    """One connection to the broker."""

    def __init__(self, path: str, uid: int, *, alarm: int = -1) -> None:
        """Connect, and make sure of who listens.

        Args:
            path: Of the socket.
            uid: Who must listen there.
            alarm: Descriptor that turns readable when a signal has come, so that none is slept through.

        Raises:
            NoBrokerError: Nobody listens.
            BrokerUntrustedError: Somebody else listens; nothing was sent.
        """
        self.alarm = alarm
        self._buffer = bytearray()
        self._fds: list[int] = []
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            self.socket.connect(path)
        except OSError as exc:
            self.socket.close()
            raise no_broker(path, exc) from exc
        check_listener(self.socket, path, uid)

    def send(self, method: str, parameters: "dict[str, object]", *, flag: str = "", fds: "tuple[int, ...]" = ()) -> None:
        """Send one call.

        Args:
            method: Name in the interface of the broker, or a full name.
            parameters: Members that are None are left out.
            flag: ``more``, ``oneway`` or empty.
            fds: Descriptors that travel beside it; the caller keeps its own.

        Raises:
            TaskInvalidError: The message is too long, or not Unicode.
            BrokerError: The broker has gone.
        """
        message = frame_of(method, parameters, flag)
        try:
            self._send(message, fds)
        except OSError as exc:
            raise errors.BrokerError("the broker has closed the connection", hint=GONE) from exc

    def _send(self, frame: bytes, fds: "tuple[int, ...]") -> None:
        sent = self.socket.sendmsg([frame], ancillary_of(fds), _socket.MSG_NOSIGNAL)
        if sent < len(frame):
            self.socket.sendall(frame[sent:], _socket.MSG_NOSIGNAL)

    def receive(self) -> "tuple[dict[str, object], bool]":
        """Wait for one reply; give its parameters, and whether more follow.

        Raises:
            ElevateError: The error that the broker answered, as its own class.
            BrokerError: The broker has gone.
            ProtocolError: The answer is not Varlink.
        """
        while (end := self._buffer.find(0)) < 0:
            self._fill()
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return reply_of(frame)

    @property
    def buffered(self) -> bool:
        """Whether a whole reply is here already."""
        return self._buffer.find(0) >= 0

    def _fill(self) -> None:
        if self.alarm >= 0:
            wait((self.socket.fileno(),), self.alarm)
        try:
            data, ancillary, _, _ = self.socket.recvmsg(_CHUNK, _socket.CMSG_SPACE(4 * MAX_FDS), _socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise errors.BrokerError("the broker has closed the connection", hint=GONE) from exc
        self._fds += fds_in(ancillary)
        if not data:
            raise errors.BrokerError("the broker has gone", hint="see: elevate status")
        self._buffer += data
        if len(self._buffer) > MAX_REPLY:
            raise errors.ProtocolError("the broker's answer is too long")

    def take_fds(self, count: int) -> "list[int]":
        """Give the next ``count`` descriptors that came; the caller owns them.

        Raises:
            ProtocolError: Fewer came.
        """
        if len(self._fds) < count:
            raise errors.ProtocolError("the broker sent too few descriptors")
        taken, self._fds = self._fds[:count], self._fds[count:]
        return taken

    def hang_up(self) -> None:
        """Say that nothing more will be asked: the broker cancels what is open, and still answers."""
        try:
            self.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """Close the connection and every descriptor that nobody took."""
        for fd in self._fds:
            posix.close(fd)
        self._fds = []
        self.socket.close()


def frame_of(method: str, parameters: "dict[str, object]", flag: str) -> bytes:
    """Give the bytes of one call, as `Wire.send` sends it.

    Raises:
        TaskInvalidError: The message is too long, or not Unicode.
    """
    name = method if "." in method else f"{INTERFACE}.{method}"
    message: dict[str, object] = {"method": name, "parameters": {k: v for k, v in parameters.items() if v is not None}}
    if flag:
        message[flag] = True
    try:
        frame = "".join(_encode(message, 0)).encode() + b"\0"
    except UnicodeEncodeError as exc:
        hint = "a name or argument has bytes that are no UTF-8; rename the file"
        raise errors.TaskInvalidError("the request is not Unicode text", hint=hint) from exc
    if len(frame) > MAX_FRAME:
        raise errors.TaskInvalidError(
            f"the request is over {MAX_FRAME} bytes", hint="put long arguments into a file and name that"
        )
    return frame


def ancillary_of(fds: "tuple[int, ...]") -> "list[tuple[int, int, bytes]]":
    """Give what travels beside a message."""
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)] if fds else []


def fds_in(ancillary: "list[tuple[int, int, bytes]]") -> "list[int]":
    """Give the descriptors that came beside a message."""
    found: list[int] = []
    for level, kind, packed in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            found += memoryview(packed[: len(packed) - len(packed) % 4]).cast("i").tolist()
    return found


def check_listener(sock: "_socket.socket", path: str, uid: int) -> None:
    """Make sure of who listens; the socket is closed where it is somebody else.

    Raises:
        BrokerUntrustedError: Somebody else listens.
    """
    packed = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    listener = memoryview(packed).cast("i").tolist()[1]
    if listener != uid:
        sock.close()
        raise errors.BrokerUntrustedError(f"the socket {path} belongs to uid {listener}, not to {uid}")


def no_broker(path: str, exc: OSError) -> "errors.BrokerError":
    """Say why a socket can't be connected to."""
    if isinstance(exc, PermissionError):
        return errors.BrokerUntrustedError(f"the socket {path} can't be opened: permission denied", hint="see: elevate doctor")
    return errors.NoBrokerError(f"no broker listens on {path}")


def reply_of(frame: bytes) -> "tuple[dict[str, object], bool]":
    """Read one reply, as `Wire.receive` gives it."""
    try:
        message, _ = _scan(frame.decode(), 0)
    except (ValueError, StopIteration, RecursionError) as exc:
        raise errors.ProtocolError("the broker's answer is not JSON") from exc
    told = message.get("parameters", {}) if isinstance(message, dict) else None
    if not isinstance(told, dict):
        raise errors.ProtocolError("the broker's answer is not an object")
    if message.get("error") is not None:
        raise _error(str(message["error"]), told)
    return told, message.get("continues") is True


def _error(name: str, told: "dict[str, object]") -> Exception:
    if name == INTERFACE + ".Failed":
        return errors.from_code(str(told.get("code")), str(told.get("message")), str(told.get("hint", "")))
    if name == "org.varlink.service.InvalidParameter":
        return errors.TaskInvalidError(f"the broker does not take the parameter {told.get('parameter')}")
    return errors.ProtocolError(f"the broker answered {name}")
