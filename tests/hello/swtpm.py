"""A real software TPM (swtpm) behind a socket pair."""

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

pytest.importorskip("tpm2_pytss", reason="the extra tpm is not installed")

from tpm2_pytss.TCTI import PyTCTI


class Pair(PyTCTI):  # type: ignore[misc] # the C library's class
    """Carries commands over a socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.commands: list[bytes] = []
        super().__init__()

    def do_transmit(self, command: bytes) -> None:
        self.commands.append(bytes(command))
        self._channel.sendall(command)

    def do_receive(self, timeout: int) -> bytes:
        del timeout
        data = self._exactly(10)
        return data + self._exactly(int.from_bytes(data[2:6], "big") - len(data))

    def close(self) -> None:
        self._channel.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._channel.recv(size - len(data))
            assert part, "the TPM has gone"
            data += part
        return data


class Swtpm:
    """One TPM with its state in a folder; off at the end of the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("swtpm") is None:
            pytest.skip("swtpm is not installed")
        folder.mkdir(exist_ok=True)
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                (
                    *("swtpm", "socket", "--tpm2", "--fd", str(theirs.fileno())),
                    *("--tpmstate", f"dir={folder}", "--flags", "not-need-init,startup-clear"),
                ),
                pass_fds=(theirs.fileno(),),
                stderr=subprocess.DEVNULL,
            )
        self.tcti: Any = Pair(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.wait(20)
