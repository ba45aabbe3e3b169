"""A machine of a test's own: private /run and /etc, elevate installed as for real, root's daemon, and an ordinary user.

A program that wants it is started by `play` in a mount and PID namespace of its own, and enters a `Stage` there. Whatever it
changes in /run and /etc, and whatever it leaves running, goes with it. The ledger lies on the machine's disk, as for real.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import typer

from elevate.broker import Broker
from elevate.broker.home import Home
from elevate.cli.bundle import FOLDER
from elevate.hello import Proof
from elevate.host import cgroups
from elevate.host.linux import LinuxHost

ROOT = Path(__file__).resolve().parents[1]
NAME = "elevate-stage"
UID = 47_110
PIN = b"274913"
SOCKET = Path("/run/elevate/broker.sock")
MAIN = "import sys; sys.path[:0] = {paths!r}; from elevate.__main__ import main; main()"
_SENSOR = '[face]\nsights = ["match"]\n'
_APART = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")

# What init started itself counts as a session that was left, and so as one over a network.
_INIT = '"$@"; exit $?'


def play(module: str, *words: str, timeout: int = 300) -> dict[str, Any]:
    """Run ``python -m module words…`` in a private place; give the JSON of its last line.

    Skips the test where there is no root, or no namespace for it.
    """
    if reason := missing():
        pytest.skip(reason)
    done = subprocess.run(
        ["/usr/bin/unshare", *_APART, "/bin/sh", "-c", _INIT, "init", sys.executable, "-m", module, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def missing() -> str:
    """Say what this machine lacks; empty where it lacks nothing."""
    if os.geteuid() != 0:
        return "needs root: it starts root's daemon and makes a user"
    if not Path("/usr/sbin/useradd").exists():
        return "needs useradd"
    apart = subprocess.run(["/usr/bin/unshare", *_APART, "/bin/true"], check=False, capture_output=True)
    if apart.returncode != 0:
        return "this machine gives root no namespaces"
    return "" if interpreter() else "no Python of this version that an ordinary user can run"


def interpreter() -> str:
    """Give a Python of this version that everybody can run; root's own may lie in root's home. Empty where there is none."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in dict.fromkeys(
        (os.path.realpath(sys.executable), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}")
    ):
        try:
            done = subprocess.run([path, "-I", "-S", "-c", ask], user=65_534, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version:
            return path
    return ""


class Stage:
    """The private machine, for the program that runs in it.

    Attributes:
        folder: Root's, open to all; elevate's code is in it.
        root: Below it elevate is installed: state and launcher are in it.
        user: An ordinary one, with a password equal to the PIN and a face that the scripted sensor sees.
        elevate: The launcher that ``install-service`` wrote.
        log: What the daemon says on standard error.
    """

    def __init__(self, rules: str) -> None:
        self.daemon: subprocess.Popen[str] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="elevate-stage-", dir="/var/lib"))
        self.root = self.folder
        self.log = self.folder / "daemon.log"
        self.python = interpreter()
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            self.folder.chmod(0o755)
            self._surround(stack)
            self.user = self._make_user()
            self._install(self._code())
            self.elevate = str(self.root / "usr/local/bin/elevate")
            self.home = Home(self.root / "var/lib/elevate")
            self.set_rules(rules)
            self._enrol()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        self._stack.close()

    @property
    def cgroup(self) -> Path:
        """The folder below which the daemon makes its tasks' cgroups; it may not be there."""
        return Path(cgroups.base() or "/nonexistent")

    def set_rules(self, rules: str, name: str = "rules.toml") -> None:
        """Make these the only rules; a daemon that runs must be told."""
        for path in self.home.policy.iterdir():
            path.unlink()
        (self.home.policy / name).write_text(rules)
        (self.home.policy / name).chmod(0o600)

    def start(self, *, cwd: Path = Path("/"), env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start root's daemon, and wait until it listens."""
        argv = [self.elevate, "serve", "--state", str(self.home.folder), "--socket", str(SOCKET)]
        with self.log.open("a") as log:
            daemon = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=cwd, env=env or {}, text=True
            )
        assert daemon.stdout is not None
        assert "listening" in daemon.stdout.readline(), self.log.read_text()
        self.daemon = daemon
        return daemon

    def stop(self) -> int:
        """Let the daemon drain and end; give its exit status."""
        daemon, self.daemon = self.daemon, None
        if daemon is None:
            return 0
        daemon.terminate()
        daemon.communicate(timeout=60)
        return daemon.returncode

    def as_user(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do something in a process of the user's, and give what it gives, by JSON."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                self._become()
                with os.fdopen(write, "w") as file:
                    json.dump(act(), file)
                status = 0
            except BaseException:  # noqa: BLE001 - the child's own end
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(write)
        with os.fdopen(read) as file:
            told = file.read()
        assert os.waitpid(child, 0)[1] == 0
        answer: dict[str, Any] = json.loads(told)
        return answer

    def run(self, *words: str, given: bytes = b"", timeout: int = 60, cwd: Path = Path("/")) -> tuple[int, str, str]:
        """Run a command line as the user, in a session of its own; give its status and both outputs."""
        done = subprocess.run(
            words,
            input=given or None,
            stdin=None if given else subprocess.DEVNULL,
            capture_output=True,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": self.user.pw_dir, "LANG": "C.UTF-8"},
            user=self.user.pw_uid,
            group=self.user.pw_gid,
            extra_groups=[],
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def _become(self) -> None:
        os.setsid()
        os.setgroups([])
        os.setresgid(*[self.user.pw_gid] * 3)
        os.setresuid(*[self.user.pw_uid] * 3)

    def _surround(self, stack: ExitStack) -> None:
        stack.enter_context(_own_cgroup())
        self._make_private()

    def _make_private(self) -> None:
        etc = self.folder / "etc-of-its-own"
        etc.mkdir()
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(etc))
        # Not the locks of whoever adds a user just now.
        run("/bin/sh", "-c", 'tar -C /etc --exclude="./*.lock" -cf - . 2>&- | tar -C "$0" -xpf -', str(etc))
        run("mount", "--move", str(etc), "/etc")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        SOCKET.parent.mkdir(mode=0o755)
        homes = Path("/var/lib/elevate-admin")
        homes.mkdir(mode=0o755, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(homes))

    def _make_user(self) -> pwd.struct_passwd:
        home = self.folder / "home"
        run("useradd", "--uid", str(UID), "--create-home", "--home-dir", str(home), "--shell", "/bin/sh", NAME)
        subprocess.run(["/usr/sbin/chpasswd"], input=f"{NAME}:{PIN.decode()}", text=True, check=True, capture_output=True)
        return pwd.getpwnam(NAME)

    def _code(self) -> tuple[str, ...]:
        """Put elevate where ``pip install`` would, into a folder that is root's; give the command line of that elevate."""
        code = self.folder / "lib"
        shutil.copytree(ROOT / "elevate", code / "elevate", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "policies", code / "elevate/_shipped/policies")
        run(self.python, "-m", "compileall", "-q", str(code))
        self.packages = [str(code), str(Path(typer.__file__).resolve().parents[1])]
        return self.python, "-I", "-S", "-c", MAIN.format(paths=self.packages)

    def _install(self, elevate: tuple[str, ...]) -> None:
        run(*elevate, "install-service", "--root", str(self.root))
        bundle = Path("/", FOLDER)
        bundle.mkdir(exist_ok=True)
        run("mount", "--bind", str(self.root / FOLDER), str(bundle))

    def _enrol(self) -> None:
        settings = self.home.settings
        text = settings.read_text().replace("allow_simulated_gestures = false", "allow_simulated_gestures = true")
        settings.write_text(text)
        sensor = self.home.hello / "sensor.toml"
        sensor.write_text(_SENSOR)
        sensor.chmod(0o600)
        with Broker.open(self.home.folder) as broker:
            assert isinstance(broker.parts.host, LinuxHost)
            broker.hello.enrol_pin(NAME, bytearray(PIN), root=True)
            broker.hello.enrol(NAME, "face", Proof(gesture="pin", secret=bytearray(PIN)))


@contextmanager
def _own_cgroup() -> Iterator[None]:
    """Let this process and what it starts be in a cgroup of its own, where there are any."""
    above = Path(cgroups.base() or "/nonexistent").parent
    if not above.is_dir():
        yield
        return
    own = above / f"elevate-stage-{os.urandom(4).hex()}"
    own.mkdir()
    (own / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (above / "cgroup.procs").write_text("0")
        cgroups.end(str(own))


def run(*words: str) -> str:
    """Run a command of root's, which must end well; give what it says."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout
