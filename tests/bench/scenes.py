"""What `tests.bench.real` measures, in a `tests.stage.Stage`: ``python -m tests.bench.scenes NAME``.

Everything is started by an ordinary user, in a session of its own, and in turns: one of each way, then again. The last line is
JSON: medians in milliseconds by way, or what the scene says.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from elevate.host.watch import descendants
from elevate.library import connect
from elevate.tasks import Task
from elevate.wire import Wire
from tests.bench.at_once import answering
from tests.bench.policy import rules
from tests.stage import NAME, PIN, SOCKET, Stage

RULES = """
format = 1

[[rule]]
id = "system-programs"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/true" }
then = { prompt = "credential" }
why = "What is measured."
"""
ROUNDS, WARM = 40, 4
IDLE_ROUNDS = 6
MANY = 10_000
CLIENTS, SECONDS = 4, 3.0
TRUE = "/usr/bin/true"
SUDO = ["/usr/bin/sudo", "-n", TRUE]
DOAS = ["/usr/bin/doas", "-n", TRUE]
SUDOERS, DOAS_CONF = Path("/etc/sudoers.d/elevate-stage"), Path("/etc/doas.conf")
Ways = dict[str, tuple[list[str], str]]
"""Command line and the file that is standard input, by name."""


def once(argv: list[str], given: str = os.devnull) -> float:
    """Start one command without a terminal and wait for its end; give the milliseconds."""
    begun = time.perf_counter()
    pid = os.posix_spawn(
        argv[0],
        argv,
        {"PATH": "/usr/bin:/bin"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, given, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
        setsid=True,
    )
    status = os.waitpid(pid, 0)[1]
    took = (time.perf_counter() - begun) * 1000
    if status:
        raise SystemExit(f"{' '.join(argv)} ended with {status}")
    return took


def in_turns(measures: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Give the median of each, measured one after the other, so that all have the same load."""
    took: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(WARM + rounds):
        for name, measure in measures.items():
            took[name].append(measure())
    return {name: statistics.median(found[WARM:]) for name, found in took.items()}


def ask() -> float:
    """One elevation without the client's start: connect, ask as it does, and hear how it ended; milliseconds."""
    task = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}
    begun = time.perf_counter()
    wire = Wire(str(SOCKET), 0)
    wire.send("Run", {"task": task, "descriptors": True, "brief": True}, flag="more")
    while wire.receive()[1]:
        pass
    wire.close()
    return (time.perf_counter() - begun) * 1000


def ways(stage: Stage) -> dict[str, Any]:
    """Measure ``elevate run -- true`` beside the others, and what of it is the broker's own."""
    password = stage.folder / "password"
    password.write_text(PIN.decode() + "\n")
    permit([])
    console = make_console(stage)
    found: Ways = {
        "elevate": ([stage.elevate, "run", "--", TRUE], os.devnull),
        "console": ([console, "run", "--", TRUE], os.devnull),
        "python": ([stage.python, "-I", "-S", "-c", "pass"], os.devnull),
        "true": ([TRUE], os.devnull),
        "sudo": (SUDO, os.devnull),
        "sudo_password": (["/usr/bin/sudo", "-k", "-S", "-p", "", "-u", "nobody", TRUE], str(password)),
        "doas": (DOAS, os.devnull),
        "pkexec": (["/usr/bin/pkexec", TRUE], os.devnull),
    }
    with ExitStack() as stack:
        stack.enter_context(polkit())
        stage.start()
        return stage.as_user(lambda: compare(found))


def compare(found: Ways) -> dict[str, Any]:
    """Leave out what does not work here, and measure the rest."""
    works = {name: way for name, way in found.items() if name in {"elevate", "console"} or works_here(way)}
    measures: dict[str, Callable[[], float]] = {name: lambda way=way: once(*way) for name, way in works.items()}  # type: ignore[misc]  # bound now
    told: dict[str, Any] = in_turns(measures | {"asked": ask})
    told["asked_idle"] = statistics.median(after_idle() for _ in range(IDLE_ROUNDS))
    return told


def works_here(way: tuple[list[str], str]) -> bool:
    """Try a way once."""
    if not Path(way[0][0]).exists():
        return False
    with Path(way[1]).open("rb") as given:
        done = subprocess.run(way[0], stdin=given, capture_output=True, check=False, timeout=30, start_new_session=True)
    return done.returncode == 0


def after_idle() -> float:
    """`ask` when nothing has happened for a second."""
    time.sleep(1.0)
    return ask()


def client(stage: Stage) -> dict[str, Any]:
    """Measure ``elevate run`` where a broker answers at once, beside the bare interpreter: what the client itself takes."""
    ways = {"elevate": [stage.elevate, "run", "--", TRUE], "python": [stage.python, "-I", "-S", "-c", "pass"]}
    measures = {name: lambda argv=argv: once(argv) for name, argv in ways.items()}
    with answering(SOCKET):
        return stage.as_user(lambda: dict(in_turns(measures, rounds=5 * ROUNDS)))


def many_rules(stage: Stage) -> dict[str, Any]:
    """Measure with next to no rules and with ten thousand, twice each."""
    bulk = "".join(json.dumps(rule) + "\n" for rule in rules(MANY))
    told: dict[str, list[dict[str, float]]] = {"few": [], "many": []}
    measures: dict[str, Callable[[], float]] = {"elevate": lambda: once([stage.elevate, "run", "--", TRUE]), "asked": ask}
    for name, peer in (("sudo", SUDO), ("doas", DOAS)):
        if Path(peer[0]).exists():
            measures[name] = lambda peer=peer: once(peer)  # type: ignore[misc]  # bound now
    for _ in range(2):
        for name, lines in (("few", ""), ("many", bulk)):
            stage.set_rules(RULES)
            (stage.home.policy / "bulk.jsonl").write_text(lines)
            (stage.home.policy / "bulk.jsonl").chmod(0o600)
            permit([f"/usr/lib/app{number}/bin/tool" for number in range(MANY)] if lines else [])
            stage.start()
            told[name].append(stage.as_user(lambda: in_turns(measures, rounds=ROUNDS // 4)))
            stage.stop()
    return {name: {way: min(one[way] for one in runs) for way in measures} for name, runs in told.items()}


def parallel(stage: Stage) -> dict[str, Any]:
    """Count elevations a second of four library clients on open connections, and of four loops of sudo."""
    permit([])
    stage.start()
    loops: dict[str, Callable[[], Callable[[], object]]] = {"elevate": library}
    if Path(SUDO[0]).exists():
        loops["sudo"] = lambda: lambda: once(SUDO)
    told: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(3):
        for name, loop in loops.items():
            told[name].append(stage.as_user(lambda loop=loop: {"rate": side_by_side(loop)})["rate"])  # type: ignore[misc]  # bound now
    return {name: statistics.median(rates) for name, rates in told.items()}


def library() -> Callable[[], object]:
    """Open a connection; give what elevates once over it."""
    broker = connect()

    def elevate() -> None:
        with broker.elevate(Task.run([TRUE]), interactive=False) as grant:
            assert grant.run(capture=True).exit_status == 0

    return elevate


def side_by_side(loop: Callable[[], Callable[[], object]]) -> float:
    """Let four processes repeat something for some seconds; give how often a second all of them did it."""
    read, write = os.pipe()
    for _ in range(CLIENTS):
        if os.fork() == 0:
            repeat(loop(), write)
    os.close(write)
    with os.fdopen(read) as file:
        rates = [float(line) for line in file]
    for _ in range(CLIENTS):
        os.wait()
    assert len(rates) == CLIENTS
    return sum(rates)


def repeat(act: Callable[[], object], write: int) -> None:
    """Do it until the time is over, say how often a second, and end this process."""
    try:
        act()
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < SECONDS:
            act()
            count += 1
        os.write(write, f"{count / (time.perf_counter() - begun)}\n".encode())
    finally:
        os._exit(0)


def memory(stage: Stage) -> dict[str, Any]:
    """Give the resident memory of the daemon with a hundred rules, idle after a few elevations, in MB; and its program's."""
    (stage.home.policy / "bulk.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules(100)))
    (stage.home.policy / "bulk.jsonl").chmod(0o600)
    daemon = stage.start()
    stage.as_user(lambda: {"runs": [ask() for _ in range(20)]})
    time.sleep(1.0)
    launchers = sum(resident(pid, "Pss") for pid in descendants(daemon.pid))
    return {"daemon": resident(daemon.pid, "VmRSS"), "launchers": launchers}


def resident(pid: int, name: str) -> float:
    """Give a process's memory in MB: ``VmRSS``, or ``Pss``, in which shared pages count in part."""
    text = Path(f"/proc/{pid}/{'status' if name == 'VmRSS' else 'smaps_rollup'}").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def permit(others: list[str]) -> None:
    """Let the user run ``true`` by sudo (as nobody with the password) and doas, beside other programs that are not there."""
    lines = [f"{NAME} ALL=(root) NOPASSWD: {path}" for path in (*others, TRUE)]
    text = "\n".join(["Defaults lecture=never", f"{NAME} ALL=(nobody) PASSWD: {TRUE}", *lines, ""])
    SUDOERS.parent.mkdir(exist_ok=True)
    SUDOERS.write_text(text)
    SUDOERS.chmod(0o440)
    DOAS_CONF.write_text("".join(f"permit nopass {NAME} as root cmd {path}\n" for path in (*others, TRUE)))
    DOAS_CONF.chmod(0o600)


@contextmanager
def polkit() -> Iterator[None]:
    """Run a bus and polkit in the private place, with a rule that lets the user; nothing where they are not there."""
    if not (shutil.which("dbus-daemon") and shutil.which("pkexec")):
        yield
        return
    Path("/etc/polkit-1/rules.d/00-stage.rules").write_text(
        f'polkit.addRule(function(action, subject) {{ if (subject.user == "{NAME}") return polkit.Result.YES; }});\n'
    )
    Path("/run/dbus").mkdir()
    bus = subprocess.Popen(["/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        bus.terminate()
        bus.wait()


def make_console(stage: Stage) -> str:
    """Make an environment with the console script as pip writes it; give the script."""
    place = stage.folder / "venv"
    subprocess.run([stage.python, "-m", "venv", "--without-pip", str(place)], check=True, capture_output=True)
    site = next(place.glob("lib/python*/site-packages"))
    (site / "elevate.pth").write_text("\n".join(stage.packages) + "\n")
    script = place / "bin/elevate"
    script.write_text(
        f"#!{place}/bin/python\nimport re\nimport sys\nfrom elevate.__main__ import main\nif __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit(main())\n"
    )
    script.chmod(0o755)
    return str(script)


SCENES: Mapping[str, Callable[[Stage], dict[str, Any]]] = {
    "ways": ways,
    "client": client,
    "rules": many_rules,
    "parallel": parallel,
    "memory": memory,
}


def main(name: str) -> None:
    """Play one scene."""
    load = os.getloadavg()[0]
    with Stage(RULES) as stage:
        os.chdir("/")
        told = SCENES[name](stage)
    print(json.dumps(told | {"load": load}))


if __name__ == "__main__":
    main(sys.argv[1])
