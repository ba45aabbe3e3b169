"""Carries a TPM's commands from standard input to a swtpm of its own and back: what tpm2-tss calls a ``cmd`` TCTI.

``python tpm_bridge.py FOLDER``. Standard library only.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable


def exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """Read exactly so many bytes, or none at the end."""
    data = b""
    while len(data) < size:
        part = read(size - len(data))
        if not part:
            return b""
        data += part
    return data


def message(read: Callable[[int], bytes]) -> bytes:
    """Read one command or response by the size in its head."""
    head = exactly(read, 10)
    return head and head + exactly(read, int.from_bytes(head[2:6], "big") - 10)


def main() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            (
                *("swtpm", "socket", "--tpm2", "--fd", str(theirs.fileno())),
                *("--tpmstate", f"dir={sys.argv[1]}", "--flags", "not-need-init,startup-clear"),
            ),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    while command := message(lambda size: os.read(0, size)):
        ours.sendall(command)
        os.write(1, message(ours.recv))
    ours.close()
    process.wait()


if __name__ == "__main__":
    main()
