"""What each method does: read its parameters, ask the broker, answer. One worker runs one call from begin to end."""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from elevate.broker import Ask, AtOnce
from elevate.broker.enrolling import METHODS as HELLO_METHODS
from elevate.canonical import Json
from elevate.errors import DeniedError, TaskInvalidError
from elevate.lifecycle import State
from elevate.model import Window
from elevate.outcome import Progress
from elevate.ports import Running
from elevate.server import auditing, helping, interface
from elevate.server.asked import task_of
from elevate.server.call import Call
from elevate.server.closing import close_all
from elevate.server.connection import Connection
from elevate.server.interface import Parameters, Request, ServiceError
from elevate.server.output import forward
from elevate.server.surface import Grant, Surface
from elevate.server.telling import Teller
from elevate.server.terminal import mode_of, tidied

MAX_REASON = 1024
_MAX_SIGNAL = 64
MAX_WINDOW = 10_000
MAX_TERM = 64
MAX_AUDIENCE = 128


Listener = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class _How:
    """How a task's streams go: as descriptors or as replies, and the size of a terminal that it may have."""

    descriptors: bool
    window: Window | None


def run(broker: Surface, connection: Connection, request: Request, fds: list[int]) -> None:
    """Run one call; whatever goes wrong is its answer."""
    call = Call(broker, connection, request, Parameters(request.parameters), fds)
    try:
        _method(request.method)(call)
    except Exception as error:  # noqa: BLE001 - the daemon's own loop: an error is a refusal, and no one else's outage
        if not request.oneway:
            connection.send(interface.failure(error, getattr(error, "request", "")))
    finally:
        connection.drop(fds)


def signal(connection: Connection, request: Request) -> None:
    """Pass a signal on, beside the call that is under way."""
    parameters = Parameters(request.parameters)
    number = parameters.number("signal", least=1, most=_MAX_SIGNAL)
    if number is None:
        raise ServiceError("InvalidParameter", "parameter", "signal")
    connection.signal(parameters.text("request", max_chars=64), number)


def _method(name: str) -> Callable[[Call], None]:
    interface_name, _, method = name.rpartition(".")
    if interface_name not in interface.DESCRIPTIONS:
        raise ServiceError("InterfaceNotFound", "interface", interface_name)
    found = _METHODS.get(name)
    if found is None:
        raise ServiceError("MethodNotFound", "method", method)
    return found


def _elevate(call: Call) -> None:
    audience = call.parameters.text("audience", max_chars=MAX_AUDIENCE, default="")
    grant = _ask(call, audience)
    call.connection.keep(grant)
    shown: Json = {"request": grant.request, "expires_at": grant.expires_at, "claims": dict(grant.claims)}
    told: dict[str, Json] = {"state": State.ISSUED.value, "grant": shown}
    if not audience:
        call.answer(told)
        return
    with helping.descriptor_of(grant.token()) as fd:
        call.answer(told | {"token_fd": 0}, (fd,))


def _run(call: Call) -> None:
    how = _how(call)
    call.brief = call.parameters.flag("brief")
    # Who uses the grant is read from the kernel again, when it is issued: it must be the process that asked.
    grant = _ask(call, at_once=AtOnce(redeem_id=secrets.token_hex(16), presenter=call.connection.peer.identity))
    try:
        with tidied(call.terminal if how.window else None, call.mode, left=lambda: call.connection.left):
            _carry_out(call, grant, how, lambda tell: grant.go(window=how.window, on_progress=tell))
    finally:
        grant.release()


def _redeem(call: Call) -> None:
    request = call.parameters.text("request", max_chars=64)
    redeem_id = call.parameters.text("redeem_id", max_chars=64)
    how = _how(call)
    call.parameters.end()
    grant = call.connection.use(request)
    if grant is None:
        raise DeniedError("this connection holds no such grant", hint="ask for a new one; a grant ends with its connection")
    # Who presents the grant is read from the kernel again: it must be the process that asked.
    presenter = call.connection.peer.identity()
    _carry_out(call, grant, how, lambda tell: grant.start(redeem_id, presenter, window=how.window, on_progress=tell))


def _ask(call: Call, audience: str = "", *, at_once: AtOnce | None = None) -> Grant:
    with task_of(call) as (task, payload):
        reason = call.parameters.text("reason", max_chars=MAX_REASON, default="")
        terminal = call.terminal = call.descriptor("terminal_fd")
        call.parameters.end()
        if terminal is not None:
            _check_terminal(terminal)
            call.mode = mode_of(terminal)
        ask = Ask(task=task, requester=call.requester(), reason=reason, payload=payload, audience=audience, at_once=at_once)
        return call.broker.elevate(ask, terminal=terminal, cancel=call.connection.hangup, on_state=call.state)


def _how(call: Call) -> _How:
    descriptors = call.parameters.flag("descriptors") and call.request.more
    window = call.parameters.optional_members("window")
    if window is None or not descriptors:
        return _How(descriptors, None)
    given = Parameters(window)
    rows, columns = (given.number(name, least=0, most=MAX_WINDOW) or 0 for name in ("rows", "columns"))
    term = given.text("term", max_chars=MAX_TERM, default="")
    streams = tuple(fd for fd, name in enumerate(("input_piped", "output_piped", "error_piped")) if not given.flag(name))
    given.end()
    return _How(descriptors, Window(rows, columns, term, streams) if streams else None)


def _carry_out(call: Call, grant: Grant, how: _How, begin: Callable[[Listener], Running]) -> None:
    teller = Teller(call.progress, grant.request)
    running = begin(teller.put)
    try:
        with call.connection.running(grant.request, running), _output(call, grant, running, how):
            teller.open()
            outcome = grant.finish(running)
    except BaseException:
        # Whatever failed, the task's end must be awaited and written; where it is already, this changes nothing.
        running.cancel()
        grant.finish(running)
        raise
    call.answer({"state": State.DESTROYED.value, "request": grant.request, "outcome": dict(outcome)})


@contextlib.contextmanager
def _output(call: Call, grant: Grant, running: Running, how: _How) -> Iterator[None]:
    told: dict[str, Json] = {"state": State.RUNNING.value, "request": grant.request}
    pipes = (running.stdout, running.stderr)
    if how.descriptors:
        terminal = () if running.terminal < 0 else (running.terminal, running.jobs)
        told |= {"stdout_fd": 0, "stderr_fd": 1} | ({"terminal_fd": 2, "jobs_fd": 3} if terminal else {})
        call.progress(told, (*pipes, *terminal))
        # Ours are closed now: when the client's are gone, the task's next write fails.
        close_all([*pipes, *terminal])
        yield
    else:
        call.progress(told)
        with forward(pipes, call.progress):
            yield


def _check_terminal(fd: int) -> None:
    if not stat.S_ISCHR(os.fstat(fd).st_mode) or not os.isatty(fd):
        raise TaskInvalidError("what was passed as a terminal is none")


def _explain(call: Call) -> None:
    with task_of(call) as (task, payload):
        call.parameters.end()
        call.answer({"explanation": dict(call.broker.explain(task, call.requester(), payload=payload))})


def _kinds(call: Call) -> None:
    call.parameters.end()
    call.answer({"kinds": [spec.to_json() for _, spec in sorted(call.broker.kinds().items())]})


def _rules(call: Call) -> None:
    call.parameters.end()
    call.answer({"rules": call.broker.rules(call.requester())})


def _cancel(call: Call) -> None:
    request = call.parameters.text("request", max_chars=64)
    call.parameters.end()
    call.broker.cancel(request, call.requester())
    call.answer({})


def _revoke(call: Call) -> None:
    jti = call.parameters.text("jti", max_chars=64)
    call.parameters.end()
    call.broker.revoke(jti, call.requester())
    call.answer({})


def _receipt(call: Call) -> None:
    request = call.parameters.text("request", max_chars=64)
    call.parameters.end()
    call.answer({"receipt": dict(call.broker.receipt(request, call.requester()))})


def _status(call: Call) -> None:
    call.parameters.end()
    call.answer({"status": dict(call.broker.status())})


def _who_am_i(call: Call) -> None:
    call.parameters.end()
    who = call.requester()
    shown: dict[str, Json] = {
        "user": who.user,
        "sid": who.sid,
        "groups": list(who.groups),
        "machine": who.machine,
        "uid": who.process.uid,
        "pid": who.process.pid,
        "executable": who.executable,
        "chain": list(who.chain),
        "remote": who.remote,
        "service": who.service,
    }
    call.answer({"requester": shown})


def _reload(call: Call) -> None:
    call.parameters.end()
    if call.connection.peer.uid not in {0, os.getuid()}:
        raise DeniedError("only root and the broker's own user may reload the policy", hint="ask an administrator")
    call.answer({"policy": dict(call.broker.reload_policy(call.requester()))})


def _hello(method: str) -> Callable[[Call], None]:
    def answer(call: Call) -> None:
        terminal = call.descriptor("terminal_fd")
        given = {name: call.parameters.text(name, max_chars=256, default="") for name in ("gesture", "label", "user")}
        call.parameters.end()
        if terminal is not None:
            _check_terminal(terminal)
        named: dict[str, Json] = {name: value for name, value in given.items() if value}
        call.answer(call.broker.hello(method, named, call.requester(), terminal=terminal, cancel=call.connection.hangup))

    return answer


def _signal(call: Call) -> None:
    signal(call.connection, call.request)
    call.answer({})


def _info(call: Call) -> None:
    call.parameters.end()
    call.answer(interface.info())


def _describe(call: Call) -> None:
    name = call.parameters.text("interface", max_chars=256)
    if name not in interface.DESCRIPTIONS:
        raise ServiceError("InterfaceNotFound", "interface", name)
    call.answer({"description": interface.DESCRIPTIONS[name]})


_METHODS: Mapping[str, Callable[[Call], None]] = {
    f"{interface.SERVICE}.GetInfo": _info,
    f"{interface.SERVICE}.GetInterfaceDescription": _describe,
    **{
        f"{interface.NAME}.{name}": method
        for name, method in {
            "Elevate": _elevate,
            "Redeem": _redeem,
            "Run": _run,
            "Signal": _signal,
            "Explain": _explain,
            "Kinds": _kinds,
            "ListRules": _rules,
            "Cancel": _cancel,
            "Revoke": _revoke,
            "Receipt": _receipt,
            "Status": _status,
            "WhoAmI": _who_am_i,
            "ReloadPolicy": _reload,
            **helping.METHODS,
            **auditing.METHODS,
            **{name: _hello(name) for name in HELLO_METHODS},
        }.items()
    },
}
