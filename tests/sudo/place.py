"""Where sudo's behaviours are tried: a root daemon with host linux, real sudo beside it where it is installed, four users.

All stands in a mount namespace of its own, whose /run, /etc/sudoers and /srv are the tests': the machine's own broker, sudoers
and users' folders are not touched. The users are real ones of the machine, and are removed at the end.
"""

import grp
import os
import pwd
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from elevate.broker import Broker
from elevate.broker.home import create
from elevate.cli import service
from elevate.hello import Proof
from elevate.host.linux import LinuxHost
from tests.transcripts.terminal import Terminal
from tests.unit.host.acting import a_user

ROOT = Path(__file__).resolve().parents[2]
PIN = b"274913"
PASSWORD = "a long one"
SECONDS = 60
STAGE = "/run/stage"
"""A folder that only root can write, for programs of the tests' own."""

_ENTER = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p -m 755 /run/elevate /run/bin /run/stage /run/kept
mount -t tmpfs -o mode=755 tmpfs /srv
"""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class People:
    """Who asks, and whom they may become.

    Attributes:
        free: May run anything in /usr and on the stage as root or as ``target``; a face agrees.
        bound: May run a few commands; a face agrees.
        typist: As ``free``, with a PIN (for sudo: a password) only.
        target: Somebody else, in the group ``club``.
    """

    free: pwd.struct_passwd
    bound: pwd.struct_passwd
    typist: pwd.struct_passwd
    target: pwd.struct_passwd
    club: grp.struct_group


class Place:
    """The namespace, its daemon and its users."""

    def __init__(self, holder: int, people: People) -> None:
        self.people = people
        self._holder = holder

    def argv(self, words: Sequence[str], *, user: str = "", cwd: str = "/") -> list[str]:
        """Give the command line that runs ``words`` in the place as a user of it; ``free`` if none is named."""
        who = self.people.free if not user else pwd.getpwnam(user)
        inside = ["/usr/bin/nsenter", f"--mount=/proc/{self._holder}/ns/mnt"]
        become = ["/usr/bin/setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--init-groups"]
        return [*inside, *become, "/usr/bin/env", f"--chdir={cwd}", *words]

    def run(
        self,
        *words: str,
        user: str = "",
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> Done:
        """Run a command without a terminal."""
        done = subprocess.run(
            self.argv(words, user=user, cwd=cwd),
            env=surroundings(env),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def terminal(self, *words: str, user: str = "", cwd: str = "/", env: Mapping[str, str] | None = None) -> Terminal:
        """Run a command on a terminal of its own."""
        person = Terminal(self.argv(words, user=user, cwd=cwd), env=surroundings({"TERM": "vt100", **(env or {})}))
        os.fchown(person._slave, pwd.getpwnam(user).pw_uid if user else self.people.free.pw_uid, -1)
        return person

    def as_root(self, script: str, *words: str) -> str:
        """Do something as root in the place."""
        argv = ["/usr/bin/nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "/bin/sh", "-ec", script, "sh", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=SECONDS).stdout


@dataclass(frozen=True)
class Way:
    """One way to become admin: ``elevate run`` or ``sudo``, by the same words."""

    name: str
    place: Place

    @property
    def command(self) -> list[str]:
        """Give the words that stand before the options."""
        if self.name == "elevate":
            return ["elevate", "run"]
        if shutil.which("sudo") is None:
            pytest.skip("this machine has no sudo")
        return ["sudo"]

    @property
    def refused(self) -> int:
        """Give the status of a refusal."""
        return 126 if self.name == "elevate" else 1

    @property
    def prompt(self) -> str:
        """Give what is shown where a secret is asked for."""
        return "PIN: " if self.name == "elevate" else f"password for {self.place.people.typist.pw_name}: "

    @property
    def secret(self) -> str:
        """Give what the one who types is to type."""
        return PIN.decode() if self.name == "elevate" else PASSWORD

    def answered(self, text: str, *, times: int = 1) -> tuple[int, str]:
        """Let the one who types run a shell script, in which ``$WAY`` is this way, and answer so many prompts."""
        with self.place.terminal(*self.script(text), user=self.place.people.typist.pw_name) as person:
            for _ in range(times):
                person.read_until(self.prompt)
                person.type(self.secret + "\n")
            return person.finish(), person.shown

    @contextmanager
    def declining(self, *words: str) -> Iterator[Terminal]:
        """Let the one who types be asked, and decline; then agree to one: three declined in a row are a pause."""
        with self.place.terminal(*self.command, *words, user=self.place.people.typist.pw_name) as person:
            person.read_until(self.prompt)
            yield person
        if self.name == "elevate":
            self.answered("$WAY true")

    def run(
        self,
        *words: str,
        user: str = "",
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> Done:
        """Run a command as admin, without a terminal."""
        return self.place.run(*self.command, *words, user=user, cwd=cwd, env=env, given=given)

    def out(self, *words: str, **how: object) -> str:
        """Run a command that succeeds, and give what it printed."""
        done = self.run(*words, **how)  # type: ignore[arg-type]  # the keywords of run
        assert (done.status, done.err) == (0, ""), done
        return done.out.removesuffix("\n")

    def terminal(self, *words: str, user: str = "", env: Mapping[str, str] | None = None) -> Terminal:
        """Run a command as admin on a terminal."""
        return self.place.terminal(*self.command, *words, user=user, env=env)

    def script(self, text: str) -> list[str]:
        """Give a shell's command line in which ``$WAY`` stands for this way."""
        return ["/bin/sh", "-c", f"WAY={' '.join(self.command)!r}; {text}"]

    def shell(self, text: str, *, user: str = "", given: str | None = None, env: Mapping[str, str] | None = None) -> Done:
        """Run a shell script without a terminal, in which ``$WAY`` stands for this way."""
        return self.place.run(*self.script(text), user=user, given=given, env=env)


def surroundings(env: Mapping[str, str] | None) -> dict[str, str]:
    """Give a plain environment, with additions; None as a value is written as the empty name."""
    made = {"PATH": "/run/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/", **(env or {})}
    return {name: value for name, value in made.items() if value != UNSET}


UNSET = "\0unset"
"""Value of a variable that is to be left out."""


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for something that comes about by itself.

    Raises:
        AssertionError: It does not.
    """
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        select.select([], [], [], 0.01)


@contextmanager
def open_place(folder: Path) -> Iterator[Place]:
    """Make users, namespace and daemon; all are gone afterwards."""
    with ExitStack() as stack:
        people = stack.enter_context(_people())
        state = folder / "state"
        _make_state(state, people)
        daemon = _start(folder, state, people)
        stack.callback(_end, daemon, state)
        assert daemon.stdout is not None
        line = daemon.stdout.readline()
        assert line.startswith("elevate: listening on /run/elevate/"), line
        yield Place(daemon.pid, people)


@contextmanager
def _people() -> Iterator[People]:
    with ExitStack() as stack:
        free, bound, typist, target = (stack.enter_context(a_user()) for _ in range(4))
        club = f"{target.pw_name}-club"
        subprocess.run(["/usr/sbin/groupadd", club], check=True, capture_output=True)
        stack.callback(subprocess.run, ["/usr/sbin/groupdel", club], check=False, capture_output=True)
        subprocess.run(["/usr/sbin/usermod", "--append", "--groups", club, target.pw_name], check=True, capture_output=True)
        line = f"{typist.pw_name}:{PASSWORD}\n"
        subprocess.run(["/usr/sbin/chpasswd", "-c", "SHA256"], input=line, text=True, check=True, capture_output=True)
        yield People(free, bound, typist, target, grp.getgrnam(club))


def _make_state(state: Path, people: People) -> None:
    home = create(state, simulated=True)
    text = home.settings.read_text()
    home.settings.write_text(text.replace('host = "emulated"', 'host = "linux"'))
    for path in home.policy.iterdir():
        path.unlink()
    rules = home.policy / "rules.toml"
    rules.write_text(_filled("rules.toml", people))
    rules.chmod(0o600)
    with Broker.open(state) as broker:
        for who in (people.free, people.bound, people.typist):
            broker.hello.enrol_pin(who.pw_name, bytearray(PIN), root=True)
        for who in (people.free, people.bound):
            broker.hello.enrol(who.pw_name, "face", Proof(gesture="pin", secret=bytearray(PIN)))


def _filled(name: str, people: People) -> str:
    text = Path(__file__).with_name(name).read_text()
    for person in ("free", "bound", "typist", "target"):
        text = text.replace(f"{{{person}}}", str(getattr(people, person).pw_name))
    return text.replace("{club}", people.club.gr_name).replace("{other}", people.target.pw_name)


def _start(folder: Path, state: Path, people: People) -> "subprocess.Popen[str]":
    launcher = folder / "elevate"
    launcher.write_text(service.launcher([str(ROOT)]))
    launcher.chmod(0o755)
    sudoers = folder / "sudoers"
    sudoers.write_text(_filled("sudoers", people))
    sudoers.chmod(0o440)
    script = _ENTER + "".join(_open_ways()) + f"cp -p {launcher} /run/bin/\n"
    if Path("/etc/sudoers").exists():
        script += f"mount --bind {sudoers} /etc/sudoers\n"
    serve = [sys.executable, "-m", "elevate", "serve", "--state", str(state), "--socket", "/run/elevate/broker.sock"]
    argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script + 'exec "$@"', "sh", *serve]
    return subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def _open_ways() -> Iterator[str]:
    """Let ordinary users reach the interpreter and the source where these lie in a closed folder, as root's home is."""
    needed = [Path(os.path.realpath(one)) for one in (sys.base_prefix, sys.prefix, ROOT)]
    closed = {path: next((up for up in reversed(path.parents) if not up.stat().st_mode & 1), None) for path in needed}
    for at, (path, above) in enumerate(closed.items()):
        if above is not None:
            yield f"mkdir -p /run/kept/{at}; mount --bind {path} /run/kept/{at}\n"
    for above in {above for above in closed.values() if above is not None}:
        yield f"mount -t tmpfs -o mode=755 tmpfs {above}\n"
    for at, (path, above) in enumerate(closed.items()):
        if above is not None:
            yield f"mkdir -p {path}; mount --move /run/kept/{at} {path}\n"


def _end(daemon: "subprocess.Popen[str]", state: Path) -> None:
    daemon.terminate()
    daemon.communicate(timeout=SECONDS)
    with Broker.open(state) as broker:
        host = broker.parts.host
        assert isinstance(host, LinuxHost)
        for pair in host.accounts.pairs():
            host.accounts.remove(pair.user)
