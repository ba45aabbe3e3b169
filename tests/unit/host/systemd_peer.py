"""A service manager that speaks systemd's D-Bus interface, for the machine's own systemctl to talk to.

``python -m tests.unit.host.systemd_peer ACTION RESULT`` takes mounts of its own, puts a /run/systemd there with one unit and,
at the system bus's fixed address, a bus of its own with this manager on it; lets host linux do the action, and prints as JSON
what the manager was asked and how the task ended.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from elevate.host import kernel
from elevate.host.launcher import Launcher
from elevate.tasks import Task
from tests.unit.host.acting import a_user, acting

UNIT = "elevate-demo.service"
RUN = Path("/run/systemd")
BUS = Path("/run/dbus/system_bus_socket")
NAME = "org.freedesktop.systemd1"
_CALL, _RETURN, _SIGNAL = 1, 2, 4
_PATH, _INTERFACE, _MEMBER, _REPLY, _DESTINATION, _SENDER, _SIGNATURE = 1, 2, 3, 5, 6, 7, 8
_HEAD = struct.Struct("<cBBBII I")
_MANAGER = "/org/freedesktop/systemd1"
_JOB = f"{_MANAGER}/job/7"
CONFIGURATION = f"""<busconfig><type>session</type><listen>unix:path={BUS}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""

Field = tuple[int, str, str | int]
_TO_BUS: list[Field] = [(_INTERFACE, "s", "org.freedesktop.DBus"), (_DESTINATION, "s", "org.freedesktop.DBus")]


def _padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def _message(kind: int, serial: int, fields: list[Field], signature: str = "", body: bytes = b"") -> bytes:
    head = b""
    for code, type_, value in [*fields, *([(_SIGNATURE, "g", signature)] if signature else [])]:
        head = _padded(head, 8) + bytes([code, 1]) + type_.encode() + b"\0"
        if isinstance(value, int):
            head = _padded(head, 4) + struct.pack("<I", value)
        elif type_ == "g":
            head += bytes([len(value)]) + value.encode() + b"\0"
        else:
            head = _padded(head, 4) + _text(value)
    return _padded(_HEAD.pack(b"l", kind, 0, 1, len(body), serial, len(head)) + head, 8) + body


def _read_text(data: bytes, place: int) -> tuple[str, int]:
    place += -place % 4
    (size,) = struct.unpack_from("<I", data, place)
    return data[place + 4 : place + 4 + size].decode(), place + 5 + size


def _fields(data: bytes) -> dict[int, str]:
    """Give the header's texts by their codes."""
    place, found = 0, {}
    while place < len(data):
        place += -place % 8
        code, type_ = data[place], chr(data[place + 2])
        place += 4
        if type_ == "u":
            place += -place % 4 + 4
        elif type_ == "g":
            place += data[place] + 2
        else:
            found[code], place = _read_text(data, place)
    return found


class Manager:
    """Has systemd's name on the bus and answers systemctl, until the process ends."""

    def __init__(self, result: str) -> None:
        self.calls: list[list[str]] = []
        self._result = result
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(BUS))
        self._stream = self._socket.makefile("rwb", buffering=0)
        self._stream.write(b"\0AUTH EXTERNAL 30\r\n")
        while self._read(1) != b"\n":
            pass
        self._stream.write(b"BEGIN\r\n")
        for member, signature, body in (
            ("Hello", "", b""),
            ("RequestName", "su", _padded(_text(NAME), 4) + struct.pack("<I", 0)),
        ):
            self._send(_CALL, [(_PATH, "o", "/org/freedesktop/DBus"), (_MEMBER, "s", member), *_TO_BUS], signature, body)
            while self._receive()[0] != _RETURN:
                pass
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(struct.error):  # the bus has ended
            while True:
                kind, fields, serial, body = self._receive()
                if kind == _CALL:
                    self._answer(fields, serial, body)

    def _answer(self, fields: dict[int, str], serial: int, body: bytes) -> None:
        reply: list[Field] = [(_REPLY, "u", serial), (_DESTINATION, "s", fields[_SENDER])]
        member = fields[_MEMBER]
        if not member.endswith("Unit") or member == "GetUnit":
            self._send(_RETURN, reply)
            return
        unit, place = _read_text(body, 0)
        self.calls.append([member, unit, _read_text(body, place)[0]])
        self._send(_RETURN, reply, "o", _text(_JOB))
        done = _padded(_padded(struct.pack("<I", 7) + _text(_JOB), 4) + _text(unit), 4) + _text(self._result)
        names: list[Field] = [(_PATH, "o", _MANAGER), (_INTERFACE, "s", f"{NAME}.Manager"), (_MEMBER, "s", "JobRemoved")]
        self._send(_SIGNAL, names, "uoss", done)

    def _send(self, kind: int, fields: list[Field], signature: str = "", body: bytes = b"") -> None:
        self._serial += 1
        self._socket.sendall(_message(kind, self._serial, fields, signature, body))

    def _receive(self) -> tuple[int, dict[int, str], int, bytes]:
        _, kind, _, _, size, serial, length = _HEAD.unpack(self._read(_HEAD.size))
        fields = self._read(length + -length % 8)[:length]
        return kind, _fields(fields), serial, self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (part := self._stream.read(size - len(data))):
            data += part
        return data


def main(action: str, result: str) -> None:
    """Do one action."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    for folder in (RUN, BUS.parent):
        folder.mkdir(exist_ok=True)
        kernel.mount("test", str(folder), "tmpfs", 0, "mode=755")
    (RUN / "system").mkdir()
    (RUN / "system" / UNIT).write_text("[Service]\nExecStart=/bin/true\n")
    (RUN / "bus.conf").write_text(CONFIGURATION)
    # Where systemd runs it is there; but nobody who does not see systemd's process can use it.
    private = socket.socket(socket.AF_UNIX)
    private.bind(str(RUN / "private"))
    private.listen()
    read, write = os.pipe()
    argv = [
        "/usr/bin/setpriv",
        "--pdeathsig",
        "KILL",
        "/usr/bin/dbus-daemon",
        "--nofork",
        f"--config-file={RUN}/bus.conf",
        f"--print-address={write}",
    ]
    bus = subprocess.Popen(argv, pass_fds=[write], stderr=subprocess.DEVNULL)
    try:
        os.read(read, 100)
        manager = Manager(result)
        with ExitStack() as stack:
            user, launcher = stack.enter_context(a_user()), stack.enter_context(Launcher())
            state = stack.enter_context(tempfile.TemporaryDirectory())
            linux = stack.enter_context(acting(Path(state) / "host", launcher, user))
            done = linux.do(Task.service("elevate-demo", action))
    finally:
        bus.kill()
        bus.wait()
    print(json.dumps({"calls": manager.calls, "status": done.ended.exit_status, "err": done.err}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
