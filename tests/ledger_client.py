"""Redeem over the socket of `tests.ledger_server`: ``python -m tests.ledger_client SOCKET REQUEST NAME THREADS``.

All threads try the one token at once; the number of those that won is printed. Tests also call `redeem_all` in threads of their
own.
"""

import socket
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor


def redeem_all(address: str, requests: Iterable[str], name: str) -> list[tuple[str, str]]:
    """Redeem one token after the other until the server is gone; give what it acknowledged as won, with the redeem id."""
    won: list[tuple[str, str]] = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            with connection.makefile("rw") as lines:
                for number, request in enumerate(requests):
                    redeem_id = f"{name}-{number}"
                    lines.write(f"{request} {redeem_id}\n")
                    lines.flush()
                    answer = lines.readline()
                    if answer == "won\n":
                        won.append((request, redeem_id))
                    elif not answer:
                        return won
    except OSError:
        return won
    return won


def race(address: str, request: str, name: str, threads: int) -> int:
    """Try one token from all threads at once; give how many won."""
    gate = threading.Barrier(threads)

    def one(number: int) -> int:
        gate.wait()
        return len(redeem_all(address, [request], f"{name}-{number}"))

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, range(threads)))


if __name__ == "__main__":
    print(race(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))  # noqa: T201 - the answer
