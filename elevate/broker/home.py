"""The folder that a broker keeps everything in, and how it is made."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from elevate.errors import HostError, NoBrokerError
from elevate.resources import shipped
from elevate.text import escape

MACHINE = Path("/var/lib/elevate")
"""The machine's own, root's."""
DEFAULT_POLICY = "developer-workstation"

_SETTINGS = """\
# Settings of this broker. The names and values under [windows] are those of Windows' registry.
# A change counts from the broker's next start on.
# Where tasks run: "emulated", a Windows machine in a folder, or "linux", this machine itself, for a broker that is root.
host = "emulated"
# A scripted sensor may satisfy rules: {note}
allow_simulated_gestures = {simulated}
# Members of these groups may read the whole log; everybody else sees the entries of own requests.
log_readers = []
# How many processes one task of host linux, and all of one account, may have; 0: an eighth of the machine's, 1,024 to 16,384.
processes = 0

[windows]
TypeOfAdminApprovalMode = 2              # 1 legacy Admin Approval Mode, 2 Administrator protection
ConsentPromptBehaviorEnhancedAdmin = 1   # 1 credentials, 2 consent
EnableLUA = 1                            # 0 makes all of it inert
ValidateAdminCodeSignatures = 0          # 1: only signed programs may elevate
"""

_SENSOR = """\
# A scripted face sensor: it says "match" whenever it is asked. For tests and demonstrations.
[face]
sights = ["match"]
"""


@dataclass(frozen=True, slots=True)
class Home:
    """Where each thing lies in a broker's folder."""

    folder: Path

    @property
    def settings(self) -> Path:
        """Settings by their Windows names."""
        return self.folder / "settings.toml"

    @property
    def policy(self) -> Path:
        """Folder of rule files."""
        return self.folder / "policy"

    @property
    def kept_policy(self) -> Path:
        """The policy that was good last."""
        return self.folder / "policy.last-good"

    @property
    def ledger(self) -> Path:
        """The ledger and the log."""
        return self.folder / "ledger.sqlite"

    @property
    def hello(self) -> Path:
        """Containers and counters."""
        return self.folder / "hello"

    @property
    def machine(self) -> Path:
        """The emulated machine."""
        return self.folder / "machine"

    @property
    def accounts(self) -> Path:
        """Host linux: which hidden admin account belongs to whom."""
        return self.folder / "accounts"

    def exists(self) -> bool:
        """Say whether a broker lives here.

        Raises:
            NoBrokerError: It is not this user's to know.
        """
        try:
            return self.settings.exists() and self.policy.is_dir()
        except PermissionError as exc:
            raise NoBrokerError(f"{self.folder} is another user's", hint="ask as that user, or as root") from exc


def create(folder: Path, *, policy: str = DEFAULT_POLICY, simulated: bool = False) -> Home:
    """Make a broker's folder: settings and a copy of a shipped policy; the rest is made when it is first needed.

    Args:
        folder: Must not hold a broker yet; made with mode 0700.
        policy: Name of a shipped policy set.
        simulated: Scripted sensors satisfy rules.

    Raises:
        HostError: The folder can't be made, or holds something already.
    """
    home = Home(folder)
    if home.exists():
        raise HostError(f"a broker's folder is there already: {folder}", hint="remove it with: elevate init --remove")
    sources = _policy_files(policy)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        home.policy.mkdir(mode=0o700)
        for source in sources:
            target = home.policy / source.name
            shutil.copyfile(source, target)
            target.chmod(0o600)
        home.hello.mkdir(mode=0o700)
        if simulated:
            (home.hello / "sensor.toml").write_text(_SENSOR)
            (home.hello / "sensor.toml").chmod(0o600)
        note = "yes, this machine is for tests" if simulated else "no"
        text = _SETTINGS.format(simulated=str(simulated).lower(), note=note)
        descriptor = os.open(home.settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as exc:
        raise HostError(f"the broker's folder can't be made: {exc.strerror}: {folder}") from exc
    return home


def _policy_files(policy: str) -> list[Path]:
    sets = {path.name: path for path in shipped("policies").iterdir() if path.is_dir()}
    if policy not in sets:
        raise HostError(f"no policy set is called {escape(policy)}", hint=f"there are {', '.join(sorted(sets))}")
    return sorted(path for path in sets[policy].iterdir() if path.suffix in {".toml", ".jsonl"})
