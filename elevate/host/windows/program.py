"""The program that looks into a Windows file for the broker: ``python -I -S program.py NAME NOW FOLDER…``.

Descriptor 3 is the file, 4 the machine's roots (PEM, one after the other). The folders are where the libraries lie. It prints
one line of JSON. Exit status 0; 1 where the file can't be read, 2 where a library is missing.
"""

import json
import os
import resource
import sys

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])
    sys.path.extend(sys.argv[3:])

from elevate.host.windows.reading import examine

FILE, ROOTS = 3, 4
MAX_ROOT_BYTES = 1 << 20
_MEMORY_BYTES = 4 << 30
_CPU_SECONDS = 20


def roots() -> list[bytes]:
    """Read the machine's roots."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    data = os.pread(ROOTS, MAX_ROOT_BYTES, 0)
    found = x509.load_pem_x509_certificates(data) if data.strip() else []
    return [one.public_bytes(Encoding.DER) for one in found]


def main(name: str, now: str) -> int:
    """Examine the file."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    try:
        found = examine(f"/proc/self/fd/{FILE}", name, roots(), now=int(now))
    except ImportError:
        return 2
    except Exception:  # noqa: BLE001 - a hostile file can raise anything from a parser; nothing is then known of it
        return 1
    print(json.dumps(found.json()))  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
