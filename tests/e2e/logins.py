"""Real logins of the stage's user, by the machine's own login program, for `tests.e2e.under_systemd`."""

import contextlib
import os
import pty
from pathlib import Path
from typing import Any

from tests.stage import NAME, Stage


def sessions(stage: Stage) -> dict[str, Any]:
    """Log in for real, here and from another machine: the login manager keeps both sessions, and knows which is which."""
    keeps = any("pam_systemd" in path.read_text() for path in Path("/etc/pam.d").iterdir())
    if not keeps or not Path("/bin/login").exists() or not Path("/usr/lib/systemd/systemd-logind").exists():
        return {}
    return {name: _logged_in(stage, options) for name, options in (("here", []), ("far", ["-h", "far.example"]))}


def _logged_in(stage: Stage, options: list[str]) -> dict[str, Any]:
    """Run a task from a login shell of the user's, and from a session of the kernel's own below it."""
    said = Path(stage.user.pw_dir, "said")
    words = f"{stage.elevate} run -- whoami"
    script = f"cat /proc/self/cgroup; {words}; echo $?; setsid -w {words}; echo $?"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/login", ["login", "-f", *options, NAME])  # noqa: S606 - as getty and sshd do
    os.write(terminal, f"exec > {said} 2>&1 < /dev/null; {script}; exit\n".encode())
    with contextlib.suppress(OSError):  # as a terminal ends
        while os.read(terminal, 4096):
            continue
    os.waitpid(pid, 0)
    os.close(terminal)
    lines = said.read_text().splitlines()
    return {"session": [line for line in lines if "session-" in line], "told": [line for line in lines if ":/" not in line]}
