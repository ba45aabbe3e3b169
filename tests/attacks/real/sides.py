"""The same attacker's hands on either broker: ask, use what was given, look at what came of it.

All of it runs in the attacker's process.
"""

import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from elevate.errors import ElevateError
from elevate.wire import Wire, place
from tests.attacks.real.arena import PIN

NAIVE = "/run/naive/broker.sock"
Words = list[str]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: output and status, or why not."""

    out: str = ""
    status: int | None = None
    refused: str = ""

    @property
    def lines(self) -> list[str]:
        """The output's lines."""
        return self.out.splitlines()


@dataclass(slots=True)
class Held:
    """What a broker gave for one task; empty ``what`` where it refused."""

    what: dict[str, Any]
    refused: str = ""


class Side(Protocol):
    """One of the two brokers, seen by a client that may do as it likes."""

    def ask(self, argv: Words, **more: Any) -> Held:  # noqa: ANN401 - whatever the attack adds
        """Ask for a task; ``env`` and ``cwd`` are what surrounds the client."""

    def use(self, held: Held, **more: Any) -> Done:  # noqa: ANN401 - as above
        """Use what was given."""

    def run(self, argv: Words, **more: Any) -> Done:  # noqa: ANN401 - as above
        """Ask, and use it."""


@dataclass(slots=True)
class Naive:
    """The naive broker's client: it sends the environment, the directory and the PIN along."""

    pin: str | None = PIN
    _asked: dict[str, Any] = field(default_factory=dict)

    def call(self, op: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """One call on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(os.environ.get("NAIVE_SOCKET", NAIVE))  # row 50
            return self.say(sock, op, **members)

    def say(self, sock: socket.socket, op: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """One call on this connection."""
        sock.sendall(json.dumps({"op": op, **members}).encode() + b"\n")
        with sock.makefile() as stream:
            return dict(json.loads(stream.readline()))

    def ask(self, argv: Words, **more: Any) -> Held:  # noqa: ANN401 - as above
        surroundings = {"cwd": more.pop("cwd", os.getcwd()), "env": {"PATH": os.defpath} | more.pop("env", {})}  # noqa: PTH109
        self._asked = {**surroundings, **more}
        pin = {"pin": self.pin} if self.pin is not None else {}
        told = self.call("ask", argv=argv, **pin, **self._asked)
        return Held(told, str(told.get("error", "")))

    def use(self, held: Held, **more: Any) -> Done:  # noqa: ANN401 - as above
        if held.refused:
            return Done(refused=held.refused)
        return done(self.call("run", token=held.what["token"], **{**self._asked, **more}))

    def run(self, argv: Words, **more: Any) -> Done:  # noqa: ANN401 - as above
        return self.use(self.ask(argv, **more))


def done(told: Mapping[str, Any]) -> Done:
    """Read the naive broker's answer."""
    return Done(str(told.get("out", "")), told.get("status"), str(told.get("error", "")))


class Elevate:
    """The true daemon's client, on one connection, at its fixed place."""

    def __init__(self) -> None:
        self.wire = Wire(*place())

    def ask(self, argv: Words, **more: Any) -> Held:  # noqa: ANN401 - as above
        """Ask with the variables declared; where that is refused, with the surroundings alone."""
        env, cwd = more.pop("env", {}), more.pop("cwd", os.getcwd())  # noqa: PTH109
        os.environ.update(env)
        declared = {name: value for name, value in env.items() if name != "PATH"}
        held = self._elevate(argv, {"cwd": cwd, "env": declared}, more) if declared else Held({}, "nothing declared")
        return held if not held.refused else self._elevate(argv, {"cwd": cwd}, more)

    def _elevate(self, argv: Words, params: dict[str, Any], more: dict[str, Any]) -> Held:
        fds = tuple(more[name] for name in ("terminal", "payload") if name in more)
        given = {name: value for name, value in more.items() if name not in {"terminal", "payload"}}
        named = {f"{name}_fd": at for at, name in enumerate(name for name in ("terminal", "payload") if name in more)}
        task = {"kind": "process.run", "params": {"argv": argv, **params}}
        return self.elevate(task, fds, **named, **given)

    def elevate(self, task: dict[str, Any], fds: tuple[int, ...] = (), **given: Any) -> Held:  # noqa: ANN401 - as above
        """Ask for a task of any kind."""
        try:
            told = self.call("Elevate", fds, task=task, **given)
        except ElevateError as error:
            return Held({}, f"{error.code}: {error.message}")
        return Held(told[-1]["grant"])

    def use(self, held: Held, **more: Any) -> Done:  # noqa: ANN401 - as above
        if held.refused:
            return Done(refused=held.refused)
        given = {"request": held.what["request"], "redeem_id": secrets.token_hex(16)} | more
        try:
            return finished(self.call("Redeem", **given))
        except ElevateError as error:
            return Done(refused=f"{error.code}: {error.message}")

    def run(self, argv: Words, **more: Any) -> Done:  # noqa: ANN401 - as above
        return self.use(self.ask(argv, **more))

    def call(self, method: str, fds: tuple[int, ...] = (), **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as above
        """One call; give all its replies."""
        self.wire.send(method, parameters, flag="more", fds=fds)
        replies = []
        while True:
            told, more = self.wire.receive()
            replies.append(dict(told))
            if not more:
                return replies


def finished(replies: list[dict[str, Any]]) -> Done:
    """Put a task's output together."""
    out = b"".join(base64.b64decode(one["data"]) for one in replies if "data" in one)
    return Done(out.decode(errors="replace"), replies[-1]["outcome"].get("exit_status"))


def elevate() -> Elevate:
    """Connect to the true daemon."""
    return Elevate()


def naive() -> Naive:
    """Name the naive one."""
    return Naive()
