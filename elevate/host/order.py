"""What a launcher is asked to start, and how that travels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from elevate.errors import HostError
from elevate.host import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """Who a task is on host linux, and what it sees there; see `elevate.host.jail`.

    Attributes:
        capabilities: Numbers; the task has no others, and can get no others.
        home: A folder that is there, on which the scratch home is mounted.
        network: False leaves the task without any network.
        read_only: Folders or files that it can't write.
        writable: The only ones that it can write, beside its scratch folders; None: no such list.
        groups: Further groups besides ``gid``.
        watch: The report says which files were written.
        account: Whom the kernel counts that for, whoever the task is.
        small: It reads what a stranger wrote: little memory, and little room in its scratch folders.
        private: /tmp and its like are new and empty, and run-time folders hidden; False for programs of elevate's own only.
    """

    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()
    capabilities: tuple[int, ...] = ()
    network: bool = True
    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] | None = None
    private: bool = True
    watch: bool = False
    account: int = 0
    small: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a launcher is asked to start.

    Attributes:
        argv: The whole command; the first word is an absolute path.
        env: The whole environment.
        cwd: Path of the working directory.
        cwd_fd: Descriptor of it. Entered in place of the path; in a jail, which has mounts of its own, the path is entered and
            must lead to the same directory.
        fds: Number in the task to descriptor here. 0, 1 and 2 are /dev/null where not given.
        exec_fd: Descriptor of the program; None executes the path ``argv[0]``, for programs of elevate's own.
        time_limit_seconds: The tree is ended after this.
        terminal: Which descriptor of the task is its controlling terminal; None where it has none.
        foreground: It has the terminal at once; else from when it first reads or sets it.
        jobs_fd: Where the launcher writes the signal's number whenever a task with a terminal is stopped.
        no_new_privs: No setuid or file capabilities anywhere in the tree.
        jail: Namespaces, user and capabilities of the task's own; for a broker that is root.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    cwd_fd: int | None = None
    fds: Mapping[int, int] = field(default_factory=dict)
    exec_fd: int | None = None
    time_limit_seconds: int = 3600
    terminal: int | None = None
    foreground: bool = True
    jobs_fd: int | None = None
    no_new_privs: bool = True
    jail: Jail | None = None

    def __post_init__(self) -> None:
        """Refuse what could only go wrong later."""
        if not self.argv or not self.argv[0].startswith("/"):
            raise HostError("an order needs an absolute program")
        if any("=" in name or not name for name in self.env):
            raise HostError("an environment name can't be empty or hold '='")


def encode(order: Order) -> tuple[bytes, list[int]]:
    """Give an order's bytes, and the descriptors that follow the declared ones.

    Raises:
        HostError: A NUL in it, or too long.
    """
    fields = {
        "argv": [os.fsencode(word) for word in order.argv],
        "env": [os.fsencode(f"{name}={value}") for name, value in order.env.items()],
        "cwd": [os.fsencode(order.cwd)],
        "cwd_fd": [] if order.cwd_fd is None else [b"1"],
        "exec_fd": [] if order.exec_fd is None else [b"1"],
        "targets": [str(number).encode() for number in order.fds],
        "limit": [str(order.time_limit_seconds).encode()],
        "terminal": [] if order.terminal is None else [str(order.terminal).encode()],
        "foreground": [b"1"] if order.foreground else [],
        "jobs_fd": [] if order.jobs_fd is None else [b"1"],
        "no_new_privs": [b"1"] if order.no_new_privs else [],
        **_encode_jail(order.jail),
    }
    try:
        data = wire.pack(fields)
    except ValueError as exc:
        raise HostError("the order can't be sent") from exc
    return data, [fd for fd in (order.cwd_fd, order.exec_fd, order.jobs_fd) if fd is not None]


def _encode_jail(jail: Jail | None) -> dict[str, list[bytes]]:
    if jail is None:
        return {"jail": []}
    return {
        "jail": [b"1"],
        "uid": [str(jail.uid).encode()],
        "gid": [str(jail.gid).encode()],
        "groups": [str(number).encode() for number in sorted({jail.gid, *jail.groups})],
        "home": [os.fsencode(jail.home)],
        "capabilities": [str(number).encode() for number in jail.capabilities],
        "watch": [b"1"] if jail.watch else [],
        "account": [str(jail.account).encode()],
        "private": [b"1"] if jail.private else [],
        "small": [b"1"] if jail.small else [],
        "network": [b"1"] if jail.network else [],
        "read_only": [os.fsencode(path) for path in jail.read_only],
        "limited": [] if jail.writable is None else [b"1"],
        "writable": [os.fsencode(path) for path in jail.writable or ()],
    }
