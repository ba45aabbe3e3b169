"""``elevate install-service``: the machine's broker as a systemd service, and a launcher that starts fast.

The broker is root, so all that it loads must be root's: the interpreter, the packages, and every folder above them. The
launcher in ``/usr/local/bin`` starts the interpreter with ``-I -S``: nothing from the user's folders or environment comes in,
and nothing is searched that is not needed; what ``run`` loads is one file beside it (`elevate.cli.bundle`).

Source: systemd.exec(5), systemd.socket(5), tmpfiles.d(5), sysusers.d(5).
"""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import elevate
from elevate.broker.home import DEFAULT_POLICY, Home, create
from elevate.cli import bundle
from elevate.cli.account import remove_all
from elevate.errors import HostError
from elevate.host.linux import HOMES

STATE = Path("var/lib/elevate")
UNITS = ("elevate.socket", "elevate.service")
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

SERVICE = """\
[Unit]
Description=Give admin to one task, once
Requires=elevate.socket
After=elevate.socket local-fs.target nss-user-lookup.target
# Never given up: what keeps it from starting, a full disk for one, may pass.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={python} -I -S -c "{start}" --state /var/lib/elevate
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
WorkingDirectory=/
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
UMask=0077
LimitCORE=0
LimitNOFILE=65536
KillMode=mixed
TimeoutStopSec=45
OOMScoreAdjust=-500
OOMPolicy=continue
TasksMax=50%
Delegate=yes
KeyringMode=private
StandardInput=null
StateDirectory=elevate
StateDirectoryMode=0700
ConfigurationDirectory=elevate
# No hardening options: tasks are children of the broker, and what is set here would bind them all. A filter of system calls
# would keep every one of them from running 32-bit programs. They are confined one by one, each as its rule says.

[Install]
WantedBy=multi-user.target
Also=elevate.socket
"""
SOCKET = """\
[Unit]
Description=Socket of the elevation broker

[Socket]
ListenStream=/run/elevate/broker.sock
SocketMode=0666
DirectoryMode=0755
PassCredentials=yes
RemoveOnStop=yes
# As above: a broker that can't start for a while must not lose its socket for good.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""
TMPFILES = """\
d /run/elevate 0755 root root -
d /var/lib/elevate 0700 root root -
d /etc/elevate 0755 root root -
"""
SYSUSERS = """\
# Who may ask is said by the policy; members of this group may be named there.
g elevate - -
"""
LAUNCHER = """\
#!{python} -IS
import sys
sys.path += {packages!r}
if sys.argv[1:2] == ["run"]:
    import marshal, posix
    try:
        fd = posix.open("/{folder}/run." + sys.implementation.cache_tag, posix.O_RDONLY | posix.O_CLOEXEC)
        start, package, sources, modules = marshal.loads(posix.read(fd, {most}))
        posix.close(fd)
        exec(start)
    except (OSError, EOFError, ValueError, TypeError):
        pass
from elevate.__main__ import main
main()
"""

Root = Annotated[Path, typer.Option("--root", help="Install below this folder, as a packager does; nothing is started.")]


def files(root: Path) -> dict[Path, tuple[bytes, int]]:
    """Give what is installed: path, content and mode."""
    places = [str(place) for place in packages()]
    start = f"import sys; sys.path += {places}; from elevate.server.main import main; sys.exit(main(sys.argv[1:]))"
    values = {"python": sys.executable, "start": start}
    units = root / "etc/systemd/system"
    return {
        units / "elevate.service": (SERVICE.format(**values).encode(), 0o644),
        units / "elevate.socket": (SOCKET.encode(), 0o644),
        root / "etc/tmpfiles.d/elevate.conf": (TMPFILES.encode(), 0o644),
        root / "etc/sysusers.d/elevate.conf": (SYSUSERS.encode(), 0o644),
        root / "usr/local/bin/elevate": (launcher(places).encode(), 0o755),
        root / bundle.place(): (bundle.make(), 0o644),
    }


def launcher(packages: list[str]) -> str:
    """Give the program that starts elevate from these folders."""
    return LAUNCHER.format(python=sys.executable, packages=packages, folder=bundle.FOLDER, most=bundle.MAX_BYTES)


def packages() -> list[Path]:
    """Give the folders from which elevate and what it needs are loaded: one, or two where elevate runs from a checkout."""
    return list(dict.fromkeys(Path(module).resolve().parents[1] for module in (elevate.__file__, typer.__file__)))


def loaded() -> tuple[Path, ...]:
    """Give what root's broker loads: the interpreter, its library, elevate and what that needs."""
    return (Path(sys.executable).resolve(), Path(os.__file__).resolve().parent, *packages())


def install(
    *, root: Root = Path("/"), policy: Annotated[str, typer.Option(help="Policy to start with.")] = DEFAULT_POLICY
) -> None:
    """Install the machine's broker as a service of systemd.

    For root.
    """
    live = root == Path("/")
    if live:
        check_trusted()
    before = live and _runs()
    home = Home(root / STATE)
    if not home.exists():
        create(home.folder, policy=policy)
        text = home.settings.read_text()
        home.settings.write_text(text.replace('host = "emulated"', 'host = "linux"', 1))
    for path, (content, mode) in files(root).items():
        _write(path, content, mode)
        typer.echo(f"wrote {path}")
    if live and not _systemd_runs():
        typer.echo(f"systemd does not run here; start the broker by: elevate serve --state /{STATE}")
    if live:
        _tell_systemd(["systemd-sysusers", "elevate.conf"], ["systemd-tmpfiles", "--create", "elevate.conf"])
        _tell_systemd(["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", *UNITS])
    if before:
        typer.echo("the broker that runs is still the one before; for the new one: systemctl restart elevate")


def uninstall(
    *,
    root: Root = Path("/"),
    purge: Annotated[bool, typer.Option("--purge", help="Remove policy, keys, log and hidden accounts as well.")] = False,
) -> None:
    """Remove the service.

    Policy and log stay unless --purge says otherwise.
    """
    if root == Path("/"):
        _check_root("only root removes the machine's broker")
        _tell_systemd(["systemctl", "disable", "--now", *UNITS])
    for path in {**files(root), **dict.fromkeys(bundle.all_below(root))}:
        if path.exists():
            path.unlink()
            typer.echo(f"removed {path}")
    for folder in (root / "run/elevate", root / "etc/elevate", root / bundle.FOLDER):
        # Where /run/elevate is, clients look nowhere else.
        with contextlib.suppress(OSError):
            folder.rmdir()
    if purge and (root / STATE).exists():
        _purge(root)
    if root == Path("/"):
        _tell_systemd(["systemctl", "daemon-reload"])


def _purge(root: Path) -> None:
    """Remove what the broker knows; first the accounts, which nobody could tell from foreign ones afterwards."""
    if root == Path("/"):
        remove_all(Home(root / STATE))
        for place in (HOMES / "nobody", HOMES):
            with contextlib.suppress(OSError):
                place.rmdir()
    shutil.rmtree(root / STATE)
    typer.echo(f"removed {root / STATE}")


def check_trusted() -> None:
    """Make sure that only root can change what root's broker would load, and what everybody would start.

    Raises:
        HostError: This is not root, or somebody else can change a part of it.
    """
    _check_root("only root installs the machine's broker")
    for start in loaded():
        if found := changeable(start):
            raise HostError(f"{found} can be changed by others than root", hint=_HINT)
    for path in files(Path("/")):
        there = next(level for level in path.parents if level.exists())
        if found := changeable(there):
            raise HostError(f"{found} can be changed by others than root", hint="let only root write there, then try again")


def _check_root(otherwise: str) -> None:
    if os.getuid() != 0:
        raise HostError(otherwise, hint="an own one needs no service: elevate init")


def changeable(path: Path) -> Path | None:
    """Give the first of a path and the folders above it that others than root can change; a sticky folder is none."""
    for level in (path, *path.resolve().parents):
        found = level.stat()
        if found.st_uid != 0 or (found.st_mode & OTHERS_WRITE and not found.st_mode & stat.S_ISVTX):
            return level
    return None


_HINT = "install elevate as root first: python3 -m venv /opt/elevate && /opt/elevate/bin/pip install elevate-broker"


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    fresh.replace(path)


def _systemd_runs() -> bool:
    return Path("/run/systemd/system").exists()


def _runs() -> bool:
    command = ["systemctl", "--quiet", "is-active", "elevate.service"]
    return _systemd_runs() and subprocess.run(command, check=False, timeout=120).returncode == 0


def _tell_systemd(*commands: list[str]) -> None:
    for command in commands if _systemd_runs() else ():
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise HostError(f"{' '.join(command)} failed: {done.stderr.strip()[:200]}", hint="see: elevate doctor")
