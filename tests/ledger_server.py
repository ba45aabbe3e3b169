"""A small server around a ledger, made to be killed: ``python -m tests.ledger_server LEDGER SOCKET``.

Each line ``REQUEST REDEEM_ID`` is one redemption; the answer is ``won`` or ``lost``, after the commit.
"""

import os
import socket
import sys
import threading
from pathlib import Path

from elevate.store import SqliteStore, sqlite_writer
from elevate.testing import SeededEntropy
from tests.ledgers import redeem


def serve(path: Path, address: str) -> None:
    """Redeem for whoever connects, until killed."""
    # Small, so that kills also fall into checkpoints.
    sqlite_writer.CHECKPOINT_PAGES = 30
    store = SqliteStore(path, entropy=SeededEntropy())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    print("ready", flush=True)  # noqa: T201 - tells the test
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(store, connection), daemon=True).start()


def _answer(store: SqliteStore, connection: socket.socket) -> None:
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            request, redeem_id = line.split()
            won = store.step(redeem(request, redeem_id)).won
            lines.write("won\n" if won else "lost\n")
            lines.flush()


if __name__ == "__main__":
    os.umask(0o077)
    serve(Path(sys.argv[1]), sys.argv[2])
