"""Rows 1 to 6, 17, 18, 29 and 30: by what surrounds a request, mounted by a user against the root daemon."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elevate.host.sealed import seal
from tests.attacks.real.arena import Arena
from tests.attacks.real.rules import allow_all
from tests.attacks.real.sides import Elevate, Naive, Side, done, elevate, naive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]


def runs(connect: Connect, argv: list[str], env: dict[str, str]) -> str:
    """Run a command from surroundings of the attacker's; give what it prints."""
    return connect().run(argv, env=env).out


LD = {"LD_TRACE_LOADED_OBJECTS": "1"}


def test_01_loader_variables(arena: Arena) -> None:
    """The task's loader hears nothing of the user's."""
    assert arena.act(runs, elevate, ["/usr/bin/echo", "ran"], LD) == "ran\n"


def test_01_naive_loader_variables(arena: Arena) -> None:
    """There it does what the user says."""
    assert "libc.so" in arena.act(runs, naive, ["/usr/bin/echo", "ran"], LD)


def imports(connect: Connect) -> str:
    """Let an elevated Python load what lies in a folder of the user's."""
    Path("sitecustomize.py").write_text("import os; print('planted', os.geteuid())")
    return runs(connect, ["/usr/bin/python3", "-c", "print('ran')"], {"PYTHONPATH": str(Path.cwd())})


def test_02_python_variables(arena: Arena) -> None:
    """Neither the task, nor the daemon, which root started among hostile files and variables, nor its helpers load them."""
    assert arena.act(imports, elevate) == "ran\n"
    mark = arena.hostile / "mark"
    assert "/elevate/" not in mark.read_text()


def test_02_naive_python_variables(arena: Arena) -> None:
    """There both do: the broker at its start, as root, and the task."""
    assert "planted 0" in arena.act(imports, naive)
    assert (arena.hostile / "mark").read_text().startswith("0 ")


def write_of(path: str) -> dict[str, Any]:
    return {"kind": "file.write", "params": {"path": path, "cwd": os.getcwd()}}  # noqa: PTH109


def writes(connect: Connect, target: str) -> bool:
    """Start from a folder with modules in it, so that the broker's own helper loads them; say whether one ran as root."""
    for module in ("json", "ctypes", "socket"):
        Path(f"{module}.py").write_text(f"import os; open({str(Path.cwd() / 'mark')!r}, 'w').write(str(os.geteuid()))")
    mark = Path("mark")
    mark.unlink(missing_ok=True)
    side = connect()
    if isinstance(side, Naive):
        side.call("write", path=target, data="x", cwd=os.getcwd())  # noqa: PTH109
    elif isinstance(side, Elevate):
        held = side.elevate(write_of(target), (seal(b"x"),), payload_fd=0)
        assert not held.refused
        side.use(held)
    for module in ("json", "ctypes", "socket"):
        Path(f"{module}.py").unlink()
    return mark.exists() and mark.read_text() == "0"


@pytest.fixture
def target() -> Any:  # noqa: ANN401 - a generator
    path = Path(f"/etc/elevate-attack-{os.getpid()}")
    yield str(path)
    path.unlink(missing_ok=True)


def test_03_hostile_working_directory(arena: Arena, target: str) -> None:
    """The helper that writes a file for the user starts elsewhere, and isolated."""
    assert not arena.act(writes, elevate, target)
    assert Path(target).read_text() == "x"


def test_03_naive_hostile_working_directory(arena: Arena, target: str) -> None:
    """There it imports what lies where the user stands."""
    assert arena.act(writes, naive, target)


def planted(connect: Connect) -> str:
    """Put a command of a common name first on the PATH, and into the working directory."""
    Path("ls").write_text("#!/bin/sh\necho planted\n")
    Path("ls").chmod(0o755)
    side = connect()
    more = {} if isinstance(side, Elevate) else {"policy": allow_all()}
    return side.run(["ls", "-d", "/"], env={"PATH": f"{Path.cwd()}:/usr/bin"}, **more).out


def test_04_planted_command(arena: Arena) -> None:
    """The machine's own is found, on a fixed PATH."""
    assert arena.act(planted, elevate) == "/\n"


def test_04_naive_planted_command(arena: Arena) -> None:
    """There the user's is."""
    assert arena.act(planted, naive) == "planted\n"


def shells(connect: Connect) -> str:
    """Name a start file for the shell, and a function in place of a command."""
    Path("start").write_text("echo hijacked")
    env = {"BASH_ENV": str(Path("start").absolute()), "BASH_FUNC_true%%": "() { echo function; }"}
    return runs(connect, ["/usr/bin/bash", "-c", "true"], env)


def test_05_shell_variables(arena: Arena) -> None:
    """None reaches the shell."""
    assert arena.act(shells, elevate) == ""


def test_05_naive_shell_variables(arena: Arena) -> None:
    """There both do."""
    assert arena.act(shells, naive).split() == ["hijacked", "function"]


def zone(connect: Connect) -> str:
    """Let a program as root read a time zone from a file of the user's."""
    head = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    Path("zone").write_bytes(head + struct.pack(">iBB", 0, 0, 0) + b"PWN\0")
    return runs(connect, ["/usr/bin/date", "+%Z"], {"TZ": f":{Path('zone').absolute()}"})


def test_06_time_zone_file(arena: Arena) -> None:
    """A zone that is a path is refused, and what surrounds the client does not count."""
    assert arena.act(zone, elevate) in {"UTC\n", "GMT\n"} or "PWN" not in arena.act(zone, elevate)


def test_06_naive_time_zone_file(arena: Arena) -> None:
    """There it is read."""
    assert arena.act(zone, naive) == "PWN\n"


def injected(connect: Connect) -> list[str]:
    """Put a command into the name of a package; a negative uid, an option and a NUL where a word is wanted."""
    side = connect()
    if isinstance(side, Naive):
        found = [done(side.call("remove", package="x; id -u")).out, side.run(["id", "-u"], run_as=-1).out]
        return [line for text in found for line in text.split()]
    assert isinstance(side, Elevate)
    told = [side.run(["printf", "%s|", "$(id -u)", "; id -u"]).out]
    for name in ("x; id -u", "-x", "--root=/tmp", "x\0y", "x\ny"):
        told += [side.elevate({"kind": "package.remove", "params": {"package": name}}).refused.partition(":")[0]]
    told += [side.ask(["id", "-u"], **{name: "#-1"}).refused.partition(":")[0] for name in ("user", "uid", "run_as")]
    return told


def test_17_arguments_and_uid_minus_one(arena: Arena) -> None:
    """Words stay words; a name has a pattern; nobody names a uid."""
    assert arena.act(injected, elevate) == ["$(id -u)|; id -u|", *["task-invalid"] * 8]


def test_17_naive_arguments_and_uid_minus_one(arena: Arena) -> None:
    """There the shell runs it, and uid -1 is root."""
    assert arena.act(injected, naive) == ["removing", "x", "0", "0"]


CHOICES = ("policy", "policy_file", "host", "chroot", "root", "namespace", "config")


def chooses(connect: Connect) -> bool:
    """Bring a policy of one's own; say whether what is denied runs."""
    own = allow_all()
    return any(connect().run(["/usr/bin/nproc"], **{name: own}).status == 0 for name in CHOICES)


def test_18_policy_of_ones_own(arena: Arena) -> None:
    """No parameter takes it, under any name."""
    assert not arena.act(chooses, elevate)


def test_18_naive_policy_of_ones_own(arena: Arena) -> None:
    """There it counts."""
    assert arena.act(chooses, naive)


def reads_on(connect: Connect) -> str:
    """Let the task look at every descriptor that it was born with."""
    return (
        connect()
        .run(["/usr/bin/bash", "-c", "for n in /proc/$$/fd/*; do test -f $n && cat $n; done 2>&1; ls /proc/$$/fd; true"])
        .out
    )


def test_29_descriptors_of_the_broker(arena: Arena) -> None:
    """Three, and none of the broker's."""
    told = arena.act(reads_on, elevate).splitlines()
    assert {line for line in told if line.isdigit()} <= {"0", "1", "2", "255"}
    assert "phrase" not in " ".join(told)


def test_29_naive_descriptors_of_the_broker(arena: Arena) -> None:
    """There its secrets are open."""
    assert "phrase of" in arena.act(reads_on, naive)


def groups(connect: Connect) -> list[str]:
    """Ask what groups a task has that is not root."""
    return connect().run(["/usr/bin/id", "-G"], run_as=os.getuid()).out.split() if connect is naive else own(connect)


def own(connect: Connect) -> list[str]:
    return connect().run(["/usr/bin/id", "-G"]).out.split()


def own_group() -> list[str]:
    return elevate().run(["/usr/bin/id", "-g"]).out.split()


def test_30_groups(arena: Arena) -> None:
    """Its own and no other."""
    assert arena.act(groups, elevate) == arena.act(own_group)


def test_30_naive_groups(arena: Arena) -> None:
    """There root's are left over."""
    assert "0" in arena.act(groups, naive)
