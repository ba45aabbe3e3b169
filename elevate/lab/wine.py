"""Wine, driven without a screen: a template prefix that is made once, and stages that are reset to it between runs.

A stage's Wine gets an environment made from nothing, no drive Z:, and a home folder of its own. That keeps runs alike; it does
not keep an installer in (see the room's docstring).
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elevate.errors import LabError
from elevate.lab import state as states
from elevate.lab.state import State
from elevate.lab.trace import Started, parse

WINE_FOLDERS = ("/usr/lib/wine", "/opt/wine-stable/bin", "/usr/bin", "/usr/local/bin")
BOOT_SECONDS = 300
USER, ADMIN = "Labuser", "ADMIN_Labuser"
_OVERRIDES = "mscoree,mshtml,winemenubuilder.exe="
LINGER_SECONDS = 15
_TRIES_PER_SECOND = 20
_SYSTEM = frozenset(
    {
        "conhost.exe",
        "explorer.exe",
        "plugplay.exe",
        "rpcss.exe",
        "services.exe",
        "svchost.exe",
        "winedevice.exe",
        "wineserver",
        "wineserver64",
    }
)
_LINKED = ("Desktop", "Documents", "Downloads", "Music", "Pictures", "Videos", "Templates")
_HIVES = ("system.reg", "user.reg", "userdef.reg")
_READY = ".ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wine:
    """Where Wine's programs lie."""

    loader: str
    server: str

    @classmethod
    def find(cls) -> "Wine":
        """Look in the places of Debian and of Wine's own packages.

        Raises:
            LabError: There is none.
        """
        for folder in WINE_FOLDERS:
            for loader, server in (("wine64", "wineserver64"), ("wine64", "wineserver"), ("wine", "wineserver")):
                if os.access(f"{folder}/{loader}", os.X_OK) and os.access(f"{folder}/{server}", os.X_OK):
                    return cls(loader=f"{folder}/{loader}", server=f"{folder}/{server}")
        raise LabError("Wine is not there", hint="apt-get install wine64")

    @property
    def runs_32_bits(self) -> bool:
        """Whether 32-bit programs can run."""
        return any(
            Path(folder).is_dir() for folder in ("/usr/lib/i386-linux-gnu/wine", "/opt/wine-stable/lib/wine/i386-windows")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one program ended; ``exit_status`` is None where it did not within its time."""

    exit_status: int | None
    started: tuple[Started, ...]


class Prefix:
    """One Wine prefix in a folder, with its home."""

    def __init__(self, wine: Wine, folder: Path) -> None:
        self.wine = wine
        self.path = folder / "prefix"
        self._home = folder / "home"
        self._trace = folder / "trace"
        self._home.mkdir(parents=True, exist_ok=True)

    def run(self, words: tuple[str, ...], *, user: str, env: Mapping[str, str], seconds: int) -> Ran:
        """Run a Windows program to its end, then end everything that it left, so that the registry is written."""
        lab = self.path / "drive_c" / "lab"
        cwd = lab if lab.is_dir() else self._home
        with self._trace.open("wb") as trace:
            process = subprocess.Popen(
                [self.wine.loader, *words],
                env=dict(env) | self._environment(user),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=trace,
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(seconds)
                self._wait_for_others()
            except subprocess.TimeoutExpired:
                status = None
            finally:
                self._end(process, user)
        return Ran(exit_status=status, started=parse(self._trace.read_text("utf-8", errors="replace")))

    def _wait_for_others(self) -> None:
        """Wait for what the program left running, as an uninstaller that copies itself away; but not for ever."""
        for _ in range(LINGER_SECONDS * _TRIES_PER_SECOND):
            if not self._others():
                return
            time.sleep(1 / _TRIES_PER_SECOND)

    def _others(self) -> list[str]:
        mine = f"WINEPREFIX={self.path}".encode()
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            name = words[0].decode("utf-8", "replace").replace("/", "\\").rpartition("\\")[2].lower()
            if mine in environment and name not in _SYSTEM:
                found.append(name)
        return found

    def _end(self, process: "subprocess.Popen[bytes]", user: str) -> None:
        subprocess.run([self.wine.server, "-k"], env=self._environment(user), timeout=60, check=False, capture_output=True)
        subprocess.run([self.wine.server, "-w"], env=self._environment(user), timeout=60, check=False, capture_output=True)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self, user: str) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._home),
            "USER": user,
            "LOGNAME": user,
            "LANG": "C.UTF-8",
            "WINEPREFIX": str(self.path),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all,trace+process,trace+exec",
            "WINEDLLOVERRIDES": _OVERRIDES,
        }


class Template:
    """A prefix in which Wine is set up for `USER` and nothing is installed; made once for each version of Wine."""

    def __init__(self, wine: Wine, folder: Path) -> None:
        self.wine = wine
        self.folder = folder
        if not (folder / _READY).exists():
            self._make()
        self.state = states.take(folder / "prefix")
        self.noise = frozenset((folder / _READY).read_text().split("\n"))

    def _make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        prefix = Prefix(self.wine, self.folder)
        booted = prefix.run(("wineboot.exe", "-i"), user=USER, env={}, seconds=BOOT_SECONDS)
        if booted.exit_status != 0:
            raise LabError("Wine could not be set up", hint="try: wine64 wineboot -i", detail=str(booted.exit_status))
        _own_folders(prefix.path / "drive_c" / "users" / USER)
        (prefix.path / "dosdevices" / "z:").unlink(missing_ok=True)
        self._idle(prefix)
        first = states.take(prefix.path)
        self._idle(prefix)
        noise = states.places(states.compare(first, states.take(prefix.path)))
        (self.folder / _READY).write_text("\n".join(sorted(noise)))

    def _idle(self, prefix: Prefix) -> None:
        prefix.run(("cmd.exe", "/c", "exit"), user=USER, env={}, seconds=BOOT_SECONDS)


class Stage:
    """A copy of the template, for one run after another; each begins from the template's state."""

    def __init__(self, template: Template, folder: Path) -> None:
        self._template = template
        self._prefix = Prefix(template.wine, folder)
        self._source = template.folder / "prefix"
        source, target = str(self._source), str(self._prefix.path)
        subprocess.run(["/bin/cp", "-a", "--reflink=auto", source, target], check=True, capture_output=True)
        self.base = template.state

    def prepare(self, user: str, *, installer: Path, drives: Mapping[str, Path]) -> None:
        r"""Go back to the template, be ``user``, map these drives, and lay the installer into ``C:\lab``."""
        self._restore()
        users = self._prefix.path / "drive_c" / "users"
        if user != USER:
            shutil.copytree(self._source / "drive_c" / "users" / USER, users / user, symlinks=True)
        for name in _HIVES:
            text = (self._source / name).read_text("utf-8", errors="surrogateescape")
            (self._prefix.path / name).write_text(_renamed(text, user), "utf-8", errors="surrogateescape")
        for letter, folder in drives.items():
            (self._prefix.path / "dosdevices" / f"{letter.lower()}:").symlink_to(folder)
        lab = self._prefix.path / "drive_c" / "lab"
        lab.mkdir()
        shutil.copyfile(installer, lab / installer.name)
        self.base = states.take(self._prefix.path)

    def run(self, words: tuple[str, ...], *, user: str, env: Mapping[str, str], seconds: int) -> Ran:
        """Run a Windows program; see `Prefix.run`."""
        return self._prefix.run(words, user=user, env=env, seconds=seconds)

    def state(self) -> State:
        """Look at the stage; nothing runs in it between two calls of `run`."""
        return states.take(self._prefix.path)

    def _restore(self) -> None:
        drive, source = self._prefix.path / "drive_c", self._source / "drive_c"
        for name in ("lab", f"users/{ADMIN}"):
            shutil.rmtree(drive / name, ignore_errors=True)
        _mirror(source, drive)
        for link in (self._prefix.path / "dosdevices").iterdir():
            if not (self._source / "dosdevices" / link.name).is_symlink():
                link.unlink()


def _mirror(source: Path, target: Path) -> None:
    """Make ``target`` like ``source``: what is new goes, what differs by size or time is copied again."""
    theirs = {entry.name: entry for entry in os.scandir(source)}
    for entry in list(os.scandir(target)):
        wanted = theirs.get(entry.name)
        if wanted is None or wanted.is_dir(follow_symlinks=False) != entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()
    for name, entry in theirs.items():
        copy = target / name
        if entry.is_dir(follow_symlinks=False):
            copy.mkdir(exist_ok=True)
            _mirror(Path(entry.path), copy)
        elif not _same(Path(entry.path), copy):
            copy.unlink(missing_ok=True)
            shutil.copy2(entry.path, copy, follow_symlinks=False)


def _same(one: Path, other: Path) -> bool:
    try:
        mine, its = one.lstat(), other.lstat()
    except FileNotFoundError:
        return False
    return (mine.st_size, mine.st_mtime_ns) == (its.st_size, its.st_mtime_ns)


def _own_folders(profile: Path) -> None:
    """Wine links these to the home folder; a profile of the lab's has folders of its own."""
    for name in _LINKED:
        link = profile / name
        if link.is_symlink():
            link.unlink()
        link.mkdir(exist_ok=True)


def _renamed(text: str, user: str) -> str:
    if user == USER:
        return text
    return re.sub(rf'(?<=\\\\users\\\\){USER}\b|(?<="USERNAME"="){USER}(?=")', user, text)
