"""The arena: a root daemon with host linux on the machine's place, the naive broker beside it, and users who have no rights.

Both brokers live in a mount namespace with a /run of its own. An attack is a function that runs in a process of its own, in
that namespace, as the user: `Arena.act`. The daemons are started in surroundings that the attacker has prepared.
"""

import contextlib
import ctypes
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elevate.broker import Broker
from elevate.broker.home import create
from elevate.errors import PolicyError
from elevate.hello import Proof
from elevate.host.linux import LinuxHost
from elevate.library import connect
from tests.attacks.real import rules
from tests.unit.host.acting import a_user

ROOT = Path(__file__).resolve().parents[3]
PIN = "274913"
PHRASE = "green heron"
PLACE = (
    "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/elevate && mkdir /run/naive && chmod 777 /run/naive && "
    "echo ready && exec sleep 100000"
)
SERVE = "import sys; sys.path.append(sys.argv.pop(1)); from {door} import main; sys.exit(main(sys.argv[1:]))"
SMALL = "size=24m,mode=755"
SECONDS = 30
_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Arena:
    """What `open_arena` made.

    Attributes:
        folder: Of the daemon's state and the naive broker's.
        users: By what they are: ``alice`` has a PIN and a face, ``bob``, ``carol`` and ``dave`` a PIN; ``mallory`` nothing.
        hostile: Where a user has put files for whoever starts a program there.
        strict: No simulated gesture counts, both brokers share a small disk with everybody, and `steer` moves their clocks.
    """

    folder: Path
    users: Mapping[str, pwd.struct_passwd]
    hostile: Path
    strict: bool = False
    namespace: int = -1
    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The daemon's folder."""
        return self.folder / "state"

    @property
    def naive(self) -> Path:
        """The naive broker's folder, which lies open."""
        return self.folder / "naive"

    def place(self, user: str = "alice") -> Path:
        """Give a folder of the user's own."""
        return Path(f"/srv/elevate-{self.users[user].pw_name}")

    def start(self) -> None:
        """Start the true daemon."""
        serve = SERVE.format(door="tests.attacks.real.steered" if self.strict else "elevate.server.main")
        argv = [
            sys.executable,
            "-I",
            "-c",
            serve,
            str(ROOT),
            "--state",
            str(self.state),
            "--socket",
            "/run/elevate/broker.sock",
        ]
        self._spawn("elevate", argv, {}, "elevate: listening on /run/elevate/broker.sock\n")

    def start_naive(self) -> None:
        """Start the naive one."""
        argv = [sys.executable, "-m", "tests.attacks.server.naive", str(self.naive), "/run/naive/broker.sock"]
        self._spawn("naive", argv, {"PYTHONPATH": f"{ROOT}:{self.hostile}"}, "ready\n")

    def stop(self, name: str) -> None:
        """End one of them, as the service manager does."""
        process = self.processes.pop(name)
        process.terminate()
        process.communicate(timeout=SECONDS)

    def close(self) -> None:
        """End both."""
        for name in list(self.processes):
            self.stop(name)

    def reload(self) -> str:
        """Let root have the daemon read its policy again; say why it would not."""
        return str(self.act(_reload, user="root"))

    def steer(self, *, wall: float, mono: float) -> None:
        """Set how far the clocks of both brokers are from the machine's, in seconds; for a strict arena."""
        (self.folder / "clock").write_text(f"{wall} {mono}")
        (self.naive / "clock").write_text(str(wall))

    def act(self, function: Callable[..., Any], *args: object, user: str = "alice") -> Any:  # noqa: ANN401 - what the attack found
        """Run a function as a user, in the arena, in a process of its own; give its result, which must be JSON."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(user, write, lambda: function(*args))
        os.close(write)
        try:
            return _result(read, pid)
        finally:
            os.close(read)

    def _become(self, user: str, write: int, act: Callable[[], object]) -> None:
        try:
            os.setsid()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            self._enter()
            if user != "root":
                become(self.users[user])
            told = {"result": json.loads(json.dumps(act()))}
        except BaseException:  # noqa: BLE001 - handed to the test
            told = {"raised": traceback.format_exc()}
        with os.fdopen(write, "w") as stream:
            json.dump(told, stream)
        os._exit(0)

    def _enter(self) -> None:
        if _libc.setns(self.namespace, _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "the arena can't be entered")

    def _spawn(self, name: str, argv: list[str], env: dict[str, str], ready: str) -> None:
        process = subprocess.Popen(
            ["/usr/bin/nsenter", f"--mount=/proc/self/fd/{self.namespace}", f"--wd={self.hostile}", *argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(self.hostile), **env},
            pass_fds=[self.namespace],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        assert process.stdout is not None
        assert process.stdout.readline() == ready


@contextlib.contextmanager
def aside(function: Callable[[int], object]) -> Iterator[int]:
    """Run a function in a child of the attacker's, which gets the writing end of a pipe; give the reading end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            function(write)
        finally:
            os._exit(0)
    os.close(write)
    try:
        yield read
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)


def become(entry: pwd.struct_passwd) -> None:
    """Take a user's rights only, for good."""
    os.setgroups([entry.pw_gid])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.chdir(f"/srv/elevate-{entry.pw_name}")


def _reload() -> str:
    try:
        with connect() as broker:
            broker.reload_policy()
    except PolicyError as error:
        return error.message
    return ""


def _result(read: int, pid: int) -> Any:  # noqa: ANN401 - what the attack found
    data = b""
    while select.select([read], [], [], SECONDS + 5)[0] and (piece := os.read(read, 1 << 20)):
        data += piece
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    told = json.loads(data or '{"raised": "no answer in time"}')
    assert "raised" not in told, told["raised"]
    return told["result"]


@contextlib.contextmanager
def open_arena(*, strict: bool = False) -> Iterator[Arena]:
    """Make users, state and both brokers; everything is gone afterwards."""
    with contextlib.ExitStack() as stack:
        users = {name: stack.enter_context(a_user()) for name in ("alice", "bob", "carol", "dave", "mallory")}
        first = users["alice"].pw_name
        folder = Path(f"/srv/elevate-arena-{first}")
        _own_folder(folder, users["alice"], stack)
        os.chown(folder, 0, 0)
        if strict:
            subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(folder)], check=True)
            stack.callback(subprocess.run, ["/usr/bin/umount", str(folder)], check=True)
        arena = Arena(folder=folder, users=users, hostile=_hostile(users["mallory"], stack), strict=strict)
        for name, entry in users.items():
            _own_folder(arena.place(name), entry, stack)
        _own_folder(arena.naive, None, stack)
        rules.plant_naive(arena.naive, {entry.pw_name for entry in users.values()}, PIN, PHRASE, first)
        _make_state(arena)
        stack.callback(_remove_accounts, arena.state)
        _make_namespace(arena, stack)
        stack.callback(arena.close)
        arena.start()
        arena.start_naive()
        yield arena


def _hostile(owner: pwd.struct_passwd, stack: contextlib.ExitStack) -> Path:
    """Make a folder whose Python files leave a mark of whoever loads them."""
    place = Path(f"/srv/elevate-hostile-{owner.pw_name}")
    _own_folder(place, owner, stack)
    for module in ("sitecustomize", "usercustomize", "apsw"):
        mark = f"open({str(place / 'mark')!r}, 'a').write(f'{{os.getuid()}} {{sys.orig_argv}} {module}\\n')"
        (place / f"{module}.py").write_text(f"import os, sys; {mark}\n")
    return place


def _own_folder(place: Path, owner: pwd.struct_passwd | None, stack: contextlib.ExitStack) -> None:
    place.mkdir()
    stack.callback(shutil.rmtree, place)
    place.chmod(0o777 if owner is None else 0o755)
    if owner is not None:
        os.chown(place, owner.pw_uid, owner.pw_gid)


def _make_state(arena: Arena) -> None:
    home = create(arena.state, simulated=True)
    text = home.settings.read_text().replace('host = "emulated"', 'host = "linux"')
    home.settings.write_text(text)
    for path in home.policy.iterdir():
        path.unlink()
    (home.policy / "rules.toml").write_text(rules.policy(arena.place()))
    (home.policy / "rules.toml").chmod(0o600)
    with Broker.open(arena.state) as broker:
        for name in ("alice", "bob", "carol", "dave"):
            user = arena.users[name].pw_name
            broker.hello.enrol_pin(user, bytearray(PIN.encode()), phrase=PHRASE, root=True)
        broker.hello.enrol(arena.users["alice"].pw_name, "face", Proof(gesture="pin", secret=bytearray(PIN.encode())))
    if arena.strict:
        home.settings.write_text(text.replace("allow_simulated_gestures = true", "allow_simulated_gestures = false"))


def _make_namespace(arena: Arena, stack: contextlib.ExitStack) -> None:
    argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", PLACE]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    stack.callback(holder.communicate)
    stack.callback(holder.kill)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    arena.namespace = os.open(f"/proc/{holder.pid}/ns/mnt", os.O_RDONLY)
    stack.callback(os.close, arena.namespace)


def _remove_accounts(state: Path) -> None:
    with Broker.open(state) as broker:
        host = broker.parts.host
        assert isinstance(host, LinuxHost)
        for pair in host.accounts.pairs():
            host.accounts.remove(pair.user)
