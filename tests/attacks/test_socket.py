"""Attacks on the socket and on who is at its ends, mounted against a real daemon."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate import canonical, wire
from elevate.canonical import Json
from elevate.errors import (
    BrokerError,
    BrokerUntrustedError,
    DeniedError,
    PolicyChangedError,
    RefusedError,
    TaskInvalidError,
)
from elevate.library import Connection
from elevate.server import place
from elevate.server.ear import MAX_PER_UID
from elevate.server.frames import MAX_FRAME
from elevate.server.peer import Credentials, Peer, unpack
from elevate.tasks import Task
from tests.e2e.daemon import ROOT, Daemon

TRUE = Task.run(["true"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon")) as made:
        yield made


def opened(daemon: Daemon) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(30)
    sock.connect(str(daemon.socket))
    return sock


def call(method: str, **parameters: Json) -> bytes:
    name = method if "." in method else f"io.elevate.Broker.{method}"
    return canonical.encode({"method": name, "parameters": parameters}) + b"\0"


def read_all(sock: socket.socket) -> bytes:
    """Read until the broker closes the connection."""
    data = b""
    try:
        while piece := sock.recv(65_536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def log_size(daemon: Daemon) -> Json:
    with daemon.connect() as broker:
        return broker.status()["log_size"]


def test_15_token_is_never_in_argv_or_environment(daemon: Daemon) -> None:
    """While a task runs, nothing that all can read holds a token: neither its own environment nor any command line."""
    script = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    with daemon.connect() as broker, broker.elevate(Task.run(["sh", "-c", script]), interactive=False) as grant:
        seen = grant.run(capture=True).stdout
        assert b"elevate" in seen
        assert str(grant.claims["jti"]).encode() not in seen
        assert b"eyJ" not in seen


def test_15_another_process_of_the_same_user_can_not_use_a_grant(daemon: Daemon) -> None:
    """Knowing a request's id is worth nothing: the grant is bound to the connection and to the process that asked."""
    thief = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from elevate.library import connect
connect({str(daemon.socket)!r}).redeem(sys.argv[1], capture=True)
"""
    with daemon.connect() as broker, broker.elevate(TRUE, interactive=False) as grant:
        done = subprocess.run([sys.executable, "-c", thief, grant.request], capture_output=True, check=False, timeout=60)
        assert b"DeniedError: this connection holds no such grant" in done.stderr
        assert grant.run().exit_status == 0


def test_22_another_process_on_the_same_connection_is_refused(daemon: Daemon) -> None:
    """A child that got the connection speaks with its own credentials, and that ends the connection."""
    with opened(daemon) as sock:
        sock.sendall(call("org.varlink.service.GetInfo"))
        assert b"io.elevate.Broker" in sock.recv(65_536)
        code = "import socket,sys; socket.socket(fileno=int(sys.argv[1])).sendall(sys.stdin.buffer.read())"
        argv = [sys.executable, "-c", code, str(sock.fileno())]
        subprocess.run(argv, input=call("Status"), pass_fds=[sock.fileno()], check=True, timeout=60)
        assert b"another process speaks on this connection" in read_all(sock)


def test_22_connection_of_a_process_that_ended_is_closed(daemon: Daemon) -> None:
    """A connection that is handed on by a process that then exits is worth nothing, whoever gets its number."""
    ours, theirs = socket.socketpair()
    code = """
import socket, sys
sock = socket.socket(socket.AF_UNIX); sock.connect(sys.argv[2])
sock.sendall(b'{"method":"org.varlink.service.GetInfo"}\\0'); sock.recv(65536)  # until it is known there
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"x"], [sock.fileno()])
"""
    argv = [sys.executable, "-c", code, str(theirs.fileno()), str(daemon.socket)]
    with ours, theirs:
        subprocess.run(argv, pass_fds=[theirs.fileno()], check=True, timeout=60)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=fds[0]) as stolen:
        stolen.settimeout(30)
        assert read_all(stolen) == b""


def test_22_nobody_is_not_root() -> None:
    """The credentials of the end of a stream, (0, 0, 0), are no one's."""
    assert unpack(bytes(12)) is None
    assert unpack(b"") is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = Peer(ours)
        with pytest.raises(RefusedError):
            peer.check_sender(None)
        with pytest.raises(RefusedError):
            peer.check_sender(Credentials(1, 0, 0))
        peer.close()


def test_23_peer_that_has_ended_is_refused() -> None:
    """Facts of a process that is gone, or was replaced, are a refusal, never a default."""
    code = "import socket,sys,time; s=socket.socket(fileno=int(sys.argv[1])); s.connect(sys.argv[2]); sys.stdin.read()"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connecting:
        listener.bind(b"\0elevate-test-23-%d" % os.getpid())
        listener.listen()
        name = listener.getsockname().decode()
        child = subprocess.Popen(
            [sys.executable, "-c", code.replace("sys.argv[2]", repr(name)), str(connecting.fileno())],
            pass_fds=[connecting.fileno()],
            stdin=subprocess.PIPE,
        )
        accepted, _ = listener.accept()
        peer = Peer(accepted)
        assert peer.facts().process.pid == child.pid
        peer.start_time -= 1  # as if the number had been another process's when it connected
        with pytest.raises(RefusedError):
            peer.facts()
        peer.start_time += 1
        child.communicate()
        with pytest.raises(RefusedError):
            peer.facts()
        peer.close()
        accepted.close()


def test_23_peer_that_leaves_at_once_gets_nothing_done(daemon: Daemon) -> None:
    """Requests whose client is gone before the answer start nothing."""
    marker = daemon.state.parent / "marker"
    for _ in range(10):
        with opened(daemon) as sock:
            task: Json = {"kind": "process.run", "params": {"argv": ["touch", str(marker)], "cwd": "/"}}
            sock.sendall(call("Elevate", task=task))
    with daemon.connect() as broker:
        while broker.status()["open_requests"]:
            pass
    assert not marker.exists()


def test_24_listener_of_somebody_else_gets_nothing(tmp_path: Path) -> None:
    """The client looks at who listens before it sends the first byte."""
    with socket.socket(socket.AF_UNIX) as false:
        false.bind(str(tmp_path / "broker.sock"))
        false.listen()
        with pytest.raises(BrokerUntrustedError, match=f"belongs to uid {os.getuid()}, not to {os.getuid() + 1}"):
            wire.Wire(str(tmp_path / "broker.sock"), os.getuid() + 1)
        accepted, _ = false.accept()
        with accepted:
            assert accepted.recv(1) == b""


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o711])
def test_24_folder_that_others_can_enter_is_no_place(tmp_path: Path, mode: int) -> None:
    """The socket's folder is private, or there is no socket."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(BrokerUntrustedError, match="is open to others"):
        place.listen(folder / "broker.sock")


def test_24_folder_below_a_writable_one_is_no_place(tmp_path: Path) -> None:
    """Whoever can rename the folder could put another in its place."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(BrokerUntrustedError, match="can be changed by others"):
        place.listen(open_to_all / "run" / "broker.sock")


def test_24_what_stands_in_the_socket_s_place_is_not_touched(tmp_path: Path) -> None:
    """A link, a file, and a socket on which somebody listens all stay, and there is no second broker."""
    path = tmp_path / "run" / "broker.sock"
    path.parent.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(BrokerUntrustedError, match="no socket of ours"):
        place.listen(path)
    path.unlink()
    path.write_text("precious")
    with pytest.raises(BrokerUntrustedError, match="no socket of ours"):
        place.listen(path)
    assert (victim.read_text(), path.read_text()) == ("precious", "precious")
    path.unlink()
    listener = place.listen(path)
    with pytest.raises(BrokerError, match="a broker listens on"):
        place.listen(path)
    listener.close()
    place.listen(path).close()


def test_24_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """The folder itself must be one."""
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(real)
    with pytest.raises(BrokerError):
        place.listen(tmp_path / "run" / "broker.sock")
    assert list(real.iterdir()) == []


def test_24_socket_and_folder_are_private(daemon: Daemon) -> None:
    """Other users reach neither."""
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700


def test_28_broker_can_not_be_traced_or_dumped(daemon: Daemon) -> None:
    """The process is not dumpable: its files in /proc are root's, whoever runs it."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert "TracerPid:\t0" in status
    code = "from elevate.server.daemon import *; protect_memory(); print(ctypes.CDLL(None).prctl(3))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout == b"0\n"


def test_36_endless_message_is_cut_off_and_the_broker_goes_on(daemon: Daemon) -> None:
    """A frame without end costs its sender the connection, and nobody else anything."""
    with opened(daemon) as sock:
        sock.sendall(b"x" * MAX_FRAME)
        assert b'"code":"protocol"' in read_all(sock)
    assert log_size(daemon)


@pytest.mark.root
def test_36_descriptors_that_nobody_asked_for_are_closed(daemon: Daemon) -> None:
    """However many come, named or not, the broker holds none of them afterwards."""
    place = Path(f"/proc/{daemon.process.pid}/fd")
    held = len(list(place.iterdir()))
    with Path("/dev/null").open() as null, opened(daemon) as kept:
        for _ in range(10):
            socket.send_fds(kept, [call("Status")], [null.fileno()] * 4)
            assert b'"status"' in kept.recv(65_536)
            socket.send_fds(kept, [call("Elevate", task={}, terminal_fd=0, payload_fd=1)], [null.fileno()] * 3)
            assert b"InvalidParameter" in kept.recv(65_536)
        for count in (5, 200):
            with opened(daemon) as sock:
                socket.send_fds(sock, [call("Status")], [null.fileno()] * count)
                assert b'"code":"protocol"' in read_all(sock)
        with opened(daemon) as sock:
            socket.send_fds(sock, [b'{"method"'], [null.fileno()] * 4)
    with daemon.connect() as broker:
        # A thread of its own closes them; each question gives it time.
        assert any(broker.status() and len(list(place.iterdir())) <= held + 3 for _ in range(1000))


def test_36_nested_and_odd_json_is_refused(daemon: Daemon) -> None:
    """Depth, duplicates, floats and huge numbers end the connection, not the broker."""
    for frame in (
        b"[" * 60_000,
        b'{"method":' * 5_000,
        b'{"method":"a","method":"b"}',
        b'{"method":"a.B","parameters":{"x":1e9}}',
    ):
        with opened(daemon) as sock:
            sock.sendall(frame + b"\0")
            assert b'"code":"protocol"' in read_all(sock)
    assert log_size(daemon)


def test_39_environment_does_not_make_a_session_local(daemon: Daemon, tmp_path: Path) -> None:
    """A process below an SSH server is remote, whatever its environment says; and one is not remote by saying so."""
    server = tmp_path / "sshd-session"
    server.write_bytes(Path(sys.executable).resolve().read_bytes())
    server.chmod(0o755)
    code = "import subprocess,sys; sys.exit(subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode)"
    local = {"XDG_SESSION_TYPE": "x11", "DISPLAY": ":0", "PYTHONHOME": sys.base_prefix}
    argv = [str(server), "-S", "-c", code, "/usr/bin/env", "-u", "PYTHONHOME", *daemon.argv("true")]
    done = subprocess.run(argv, env=local, capture_output=True, check=False, timeout=60)
    assert (done.returncode, b"remote" in done.stderr) == (126, True), done.stderr
    status, _, err = daemon.run("true", env={"SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22", "SSH_TTY": "/dev/pts/0"})
    assert (status, err) == (0, b"")


def test_48_policy_changed_after_the_prompt_ends_the_grant(tmp_path: Path) -> None:
    """What was agreed to under one policy does not run under another."""
    with Daemon(tmp_path) as own, own.connect() as broker:
        grant = broker.elevate(TRUE, interactive=False)
        rule = '[[rule]]\nid = "more"\neffect = "deny"\ntask = { kind = "file.write", path = "/etc/x" }\nwhy = "x"\n'
        added = own.state / "policy" / "more.toml"
        added.write_text("format = 1\n" + rule)
        added.chmod(0o600)
        assert broker.reload_policy()["before"] != broker.status()["policy"]
        with pytest.raises(PolicyChangedError):
            grant.run()


def test_48_caller_can_not_say_who_it_is(daemon: Daemon) -> None:
    """No parameter names a user, a process or a digest; one that tries is refused."""
    task: Json = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}
    for name in ("user", "uid", "pid", "requester", "request_digest", "host", "policy", "session"):
        with opened(daemon) as sock:
            sock.sendall(call("Elevate", task=task, **{name: "root"}))
            assert b"InvalidParameter" in sock.recv(65_536)


def test_49_one_caller_can_not_take_all_connections(daemon: Daemon) -> None:
    """A user's connections are bounded; refused ones are told so, and the ones that go make room."""
    held = [opened(daemon) for _ in range(MAX_PER_UID)]
    for sock in held:
        sock.sendall(call("org.varlink.service.GetInfo"))
        assert b"elevate" in sock.recv(65_536)
    with opened(daemon) as one_more:
        assert b'"code":"busy"' in read_all(one_more)
    for sock in held:
        sock.close()
    while True:
        try:
            log_size(daemon)
        except RefusedError:
            continue
        break


def test_49_one_caller_can_not_hold_all_grants(daemon: Daemon) -> None:
    """Grants on one connection are bounded, and given back with it."""
    with daemon.connect() as broker:
        for _ in range(8):
            broker.elevate(TRUE, interactive=False)
        with pytest.raises(RefusedError):
            broker.elevate(TRUE, interactive=False)
    with daemon.connect() as broker:
        while broker.status()["open_requests"]:
            pass


@pytest.mark.parametrize(
    "name",
    ["XDG_RUNTIME_DIR", "HOME", "ELEVATE_SOCKET", "ELEVATE_BROKER", "XDG_DATA_HOME", "VARLINK_ADDRESS", "USER", "LOGNAME"],
)
def test_50_no_variable_moves_the_socket(name: str) -> None:
    """The place comes from the uid alone."""
    code = "from elevate import wire; print(wire.place())"
    where = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **added}, capture_output=True, check=True
        ).stdout
        for added in ({}, {name: "/tmp/attacker"})
    ]
    assert where[0] == where[1]


def test_50_no_option_of_run_moves_the_socket(daemon: Daemon) -> None:
    """There is none."""
    for option in ("--socket", "--path", "--address", "--host", "--state"):
        status, _, err = daemon.run(f"{option}=/tmp/attacker.sock", "true")
        assert (status, err.splitlines()[0]) == (125, f"elevate: error: unknown option {option}=/tmp/attacker.sock".encode())


def test_another_user_s_request_can_not_be_touched(daemon: Daemon) -> None:
    """Guessing ids gives the same answer whether they exist or not."""
    with daemon.connect() as broker:
        for ask in (broker.cancel, broker.receipt, broker.revoke):
            with pytest.raises(TaskInvalidError, match="of yours has this id"):
                ask("00" * 16)


def test_redeem_without_a_grant_is_refused(daemon: Daemon) -> None:
    """An id alone is no right."""
    with daemon.connect() as broker, pytest.raises(DeniedError):
        redeem(broker)


def redeem(broker: Connection) -> None:
    broker.redeem("00" * 16, capture=True)
