"""Where the files that ship with elevate lie: in the wheel beside the code, in a checkout beside the package."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Give the path of a shipped folder or file, as ``policies/developer-workstation``.

    Raises:
        FileNotFoundError: Nothing of that name ships.
    """
    for root in (_HERE / "_shipped", _HERE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(name)
