"""The policy in force: read from its folder, and kept when a newer one is bad.

What was good last is kept in a file of its own, so that a bad policy folder at start can't take the broker down: it then goes
on with the last good one and says so in its status and in the log.
"""

import base64
import contextlib
import os
import threading
from pathlib import Path

from elevate import canonical
from elevate.errors import PolicyError
from elevate.policy import Policy, Settings, Source, load
from elevate.store.files import read_policy

MAX_KEPT_BYTES = 256 * 2**20


class Policies:
    """Holds the policy in force.

    Attributes:
        current: Replaced as a whole, so that a reader has either the old one or the new one.
        changing: Held by whoever reads and takes a policy, so that an older one never replaces a newer one.
        problem: Why the folder's policy is not the one in force; empty where it is.
    """

    def __init__(self, folder: Path, *, kept: Path, protected: bool) -> None:
        self._folder = folder
        self._kept = kept
        self._settings = Settings(ap_mode=protected)
        self._next = ""
        self.changing = threading.Lock()
        self.problem = ""
        try:
            self.current: Policy = self.read()
        except PolicyError as error:
            self.current = self._last_good(error)
            self.problem = error.message

    def read(self) -> Policy:
        """Read the folder; the policy in force stays as it is.

        Raises:
            PolicyError: The folder's policy is bad.
        """
        sources = read_policy(self._folder)
        policy = load(sources, settings=self._settings)
        with contextlib.suppress(OSError):  # a full disk costs the spare copy, not the policy
            self._keep(sources)
        return policy

    def announce(self, policy: Policy) -> None:
        """Say which policy comes into force once the log has it; from now on no other `holds`."""
        self._next = policy.digest

    def take(self, policy: Policy | None) -> None:
        """Put a policy in force that `read` gave; None leaves the one that is."""
        if policy is not None:
            self.current = policy
            self.problem = ""
        self._next = ""

    def holds(self, digest: str) -> bool:
        """Say whether this policy is in force and no other is on its way."""
        return self._next in {"", digest} and self.current.digest == digest

    def _keep(self, sources: list[Source]) -> None:
        data = canonical.encode([[source.name, base64.b64encode(source.data).decode()] for source in sources])
        if len(data) > MAX_KEPT_BYTES:
            return
        scratch = self._kept.with_name(self._kept.name + ".new")
        scratch.unlink(missing_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._kept)

    def _last_good(self, error: PolicyError) -> Policy:
        try:
            pairs = canonical.decode_exact(self._kept.read_bytes(), max_bytes=MAX_KEPT_BYTES)
            if not isinstance(pairs, list):
                raise error
            return load([_source(pair) for pair in pairs], settings=self._settings)
        except (OSError, ValueError, PolicyError):
            raise error from None


def _source(pair: canonical.Json) -> Source:
    match pair:
        case [str() as name, str() as data]:
            return Source(name=name, data=base64.b64decode(data, validate=True))
        case _:
            raise ValueError("not a kept policy")
