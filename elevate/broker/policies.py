"""The policy in force: read from its folder, and kept when a newer one is bad."""

from pathlib import Path

from elevate.policy import Policy, Settings, load
from elevate.store.files import read_policy


class Policies:
    """Holds the policy in force.

    Attributes:
        current: Replaced as a whole, so that a reader has either the old one or the new one.
    """

    def __init__(self, folder: Path, *, protected: bool) -> None:
        self._folder = folder
        self._settings = Settings(ap_mode=protected)
        self.current: Policy = self.read()

    def read(self) -> Policy:
        """Read the folder; the policy in force stays as it is.

        Raises:
            PolicyError: The folder's policy is bad.
        """
        return load(read_policy(self._folder), settings=self._settings)
