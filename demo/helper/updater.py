"""A privileged helper of somebody else's: takes a token by standard input, verifies it, redeems it, and does the task itself.

Pin it in the broker's settings, and let a rule hand it tasks; docs/helpers.md says how. Here the token is its standard input::

    with elevate.connect() as broker, broker.hand_over(task, helper="contoso-updater") as token:
        subprocess.run(["/usr/lib/contoso/updater"], stdin=token.fileno(), check=True)
"""

import subprocess
import sys

from elevate.errors import ElevateError
from elevate.helper import Verifier, fetch_keys, read_token, redeem

AUDIENCE = "helper:contoso-updater"


def main(socket: str | None = None) -> int:
    """Carry out one task; ``socket`` is for tests."""
    token = read_token()
    Verifier(fetch_keys(socket), audience=AUDIENCE).verify(token)
    with redeem(token, path=socket) as task:
        done = subprocess.run(task.argv, cwd=str(task.task["cwd"]), stdin=subprocess.DEVNULL, check=False)
        task.finish(done.returncode % 256)
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:2]))
    except ElevateError as error:
        sys.stderr.write(f"updater: {error.code}: {error.message}\n")
        sys.exit(error.exit_code)
