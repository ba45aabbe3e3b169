"""A privileged helper of somebody else's: takes a token by standard input, verifies it, redeems it, and does the task itself.

Pin it in the broker's settings, and let a rule hand it tasks; docs/helpers.md says how. Here the token is its standard input::

    with elevate.connect() as broker, broker.hand_over(task, helper="contoso-updater") as token:
        subprocess.run(["/usr/lib/contoso/updater"], stdin=token.fileno(), check=True)
"""

import os
import select
import subprocess
import sys

from elevate.errors import ElevateError
from elevate.helper import Verifier, fetch_keys, read_token, redeem

AUDIENCE = "helper:contoso-updater"


def main(socket: str | None = None) -> int:
    """Carry out one task; ``socket`` is for tests."""
    token = read_token()
    Verifier(fetch_keys(socket), audience=AUDIENCE).verify(token)
    with redeem(token, path=socket) as task, subprocess.Popen(task.argv, cwd=str(task.task["cwd"]), stdin=task.stdin) as child:
        ended = os.pidfd_open(child.pid)
        select.select([task, ended], [], [])
        if child.poll() is None and task.cancelled():
            child.terminate()
        status = child.wait()
        os.close(ended)
        task.finish(status if status >= 0 else 128 - status)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:2]))
    except ElevateError as error:
        sys.stderr.write(f"updater: {error.code}: {error.message}\n")
        sys.exit(error.exit_code)
