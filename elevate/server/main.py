"""``elevate serve``: the daemon's own door. It loads no command-line libraries, and runs in an isolated interpreter.

An interpreter that was not started with ``-I`` is replaced by one that was, so that neither the working directory nor
``PYTHON…`` variables nor the user's site folder can bring code in.

Source: attacks.md rows 2 and 3.
"""

import gc
import os
import sys
from pathlib import Path

from elevate import wire
from elevate.errors import ElevateError, TaskInvalidError

USAGE = """\
usage: elevate serve [--state FOLDER] [--socket PATH]

Run the broker in the foreground until SIGTERM or Ctrl-C; SIGHUP loads the policy again.

  --state FOLDER  the broker's folder, made by elevate init; by default ~/.local/share/elevate,
                  for root without one there the machine's, /var/lib/elevate
  --socket PATH   listen here, for tests; clients find the fixed place only
  -h, --help      print this
"""
SWITCH_SECONDS = 0.0005
COLLECT_AT = (20_000, 20, 20)
"""How often the interpreter looks for what refers to itself; seldom, because little here does."""
_VALUES = ("--state", "--socket")
_ISOLATED = "import sys; sys.path.append(sys.argv.pop(1)); from elevate.server.main import main; sys.exit(main(sys.argv[1:]))"


def main(words: list[str]) -> int:
    """Serve until told to stop; give the exit status."""
    try:
        options = parse(words)
        if "--help" in options:
            sys.stdout.write(USAGE)
            return 0
        _isolate(words)
        return _serve(options)
    except ElevateError as error:
        sys.stderr.write(f"elevate: error: {error.message}\nelevate: hint: {error.hint}\n")
        return error.exit_code


def default_state() -> Path:
    """Give the folder of this user's broker; the user database says where home is, not the environment."""
    return Path(wire.home(os.getuid())) / ".local/share/elevate"


def _state(options: dict[str, str]) -> Path:
    from elevate.broker.home import MACHINE, Home

    state = Path(options.get("--state", default_state()))
    machines = "--state" not in options and os.getuid() == 0 and not Home(state).exists() and Home(MACHINE).exists()
    return MACHINE if machines else state


def parse(words: list[str]) -> dict[str, str]:
    """Read the options.

    Raises:
        TaskInvalidError: An unknown one, or one without its value.
    """
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name in {"-h", "--help"}:
            return {"--help": ""}
        if name not in _VALUES or (not equals and not rest):
            raise TaskInvalidError(f"unknown or incomplete option {name}", hint="see: elevate serve --help")
        options[name] = str(Path(value if equals else rest.pop(0)).absolute())
    return options


def _isolate(words: list[str]) -> None:
    if not sys.flags.isolated:
        absolute = [word for name, value in parse(words).items() for word in (name, value)]
        root = str(Path(__file__).resolve().parents[2])
        os.execv(sys.executable, [sys.executable, "-I", "-c", _ISOLATED, root, *absolute])  # noqa: S606 - our own interpreter


def _serve(options: dict[str, str]) -> int:
    from elevate.broker import Broker
    from elevate.server import place
    from elevate.server.adapter import BrokerSurface
    from elevate.server.daemon import serve
    from elevate.store.heart import Heart

    os.umask(0o077)
    # Whoever reads the log works in this interpreter, too; a request waits for it no longer than this.
    sys.setswitchinterval(SWITCH_SECONDS)
    os.chdir("/")
    state = _state(options)
    path = Path(options["--socket"]) if "--socket" in options else place.default()
    with Broker.open(state) as broker, Heart(broker.parts.store, broker.parts.clock):
        # What is there now stays: to look through it again and again costs each request, with many rules most of all.
        gc.freeze()
        gc.set_threshold(*COLLECT_AT)
        serve(BrokerSurface(broker), path, broker.parts.clock, say=_say)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"elevate: {line}\n")
    sys.stdout.flush()
