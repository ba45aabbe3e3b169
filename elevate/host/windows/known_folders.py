r"""The folders that Windows knows by id, as they lie in one profile: what programs ask for instead of a path.

Source: Microsoft Learn, "KNOWNFOLDERID".
"""

from collections.abc import Mapping
from types import MappingProxyType

SHELL_FOLDERS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\Shell Folders"

PER_USER: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Desktop": ("{B4BFCC3A-DB2C-424C-B029-7FE99A87C641}", "Desktop"),
        "Personal": ("{FDD39AD0-238F-46AF-ADB4-6C85480369C7}", "Documents"),
        "{374DE290-123F-4565-9164-39C4925E467B}": ("{374DE290-123F-4565-9164-39C4925E467B}", "Downloads"),
        "My Music": ("{4BD8D571-6D19-48D3-BE97-422220080E43}", "Music"),
        "My Pictures": ("{33E28130-4E1E-4676-835A-98395C3BC3BB}", "Pictures"),
        "My Video": ("{18989B1D-99B5-455B-841C-AB7C74E4DDFC}", "Videos"),
        "AppData": ("{3EB685DB-65F9-4CF6-A03A-E3EF65729F3D}", r"AppData\Roaming"),
        "Local AppData": ("{F1B32785-6FBA-4FCF-9D55-7B8E7F157091}", r"AppData\Local"),
        "{A520A1A4-1780-4FF6-BD18-167343C5AF16}": ("{A520A1A4-1780-4FF6-BD18-167343C5AF16}", r"AppData\LocalLow"),
        "Programs": ("{A77F5D77-2E2B-44C3-A6A2-ABA601054A51}", r"AppData\Roaming\Microsoft\Windows\Start Menu\Programs"),
        "Startup": (
            "{B97D20BB-F46A-4C97-BA10-5E3608430854}",
            r"AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup",
        ),
    }
)
"""Name of the value below `SHELL_FOLDERS` to the folder's id and its place in a profile."""


def values(user: str) -> dict[str, str]:
    r"""Give the values of `SHELL_FOLDERS` in a user's hive."""
    return {name: rf"C:\Users\{user}\{place}" for name, (_, place) in PER_USER.items()}


def places() -> tuple[tuple[str, ...], ...]:
    """Give every folder to make in a new profile, as steps, each after those above it."""
    found: dict[tuple[str, ...], None] = {}
    for _, place in PER_USER.values():
        steps = tuple(place.split("\\"))
        for size in range(1, len(steps) + 1):
            found[steps[:size]] = None
    return tuple(found)


def of(folder_id: str, user: str) -> str:
    """Give the path of a known folder in a user's profile.

    Raises:
        KeyError: No folder of a profile has this id.
    """
    return next(rf"C:\Users\{user}\{place}" for known, place in PER_USER.values() if known == folder_id.upper())
