"""Build the demo's package: a real wheel, from the files beside this one, with nothing but the standard library.

    python demo/build_wheel.py FOLDER

Source: the wheel format, version 1.0 (packaging.python.org, "Binary distribution format").
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

NAME, VERSION = "contoso_notes", "1.2.0"
HERE = Path(__file__).resolve().parent / NAME


def build(folder: Path) -> Path:
    """Write the wheel into ``folder`` and give its path; the same bytes every time."""
    info = f"{NAME}-{VERSION}.dist-info"
    members = {
        f"{NAME}/__init__.py": (HERE / NAME / "__init__.py").read_bytes(),
        f"{info}/METADATA": (HERE / "METADATA").read_bytes(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: elevate-demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\ncontoso-notes = {NAME}:main\n".encode(),
    }
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            wheel.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), data)
    return path


def _record(members: dict[str, bytes], own: str) -> bytes:
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in members.items()]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
