"""settings.toml of a broker: Windows' own names and values for Administrator protection, and the few things of ours.

What changes the mode counts from the next start on, as on Windows; `Settings` are read once.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from elevate.broker import windows
from elevate.broker.pinned import Helper, read_helpers
from elevate.errors import DeniedError, HelloError, PolicyError
from elevate.hello import HelloSettings
from elevate.hello.windows import from_windows
from elevate.host.limits import LEAST_PROCESSES
from elevate.model import Fact, InspectedTask, Requester
from elevate.store.files import check_file

MAX_BYTES = 65_536
_CONSENT = 2
HOSTS = ("emulated", "linux")
_KEYS = frozenset(
    {
        "windows",
        "allow_simulated_gestures",
        "remote",
        "remote_listed",
        "host",
        "hello",
        "tpm",
        "helpers",
        "log_readers",
        "processes",
    }
)
MAX_PROCESSES = 4_194_304


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the owner of the broker set.

    Attributes:
        windows: Administrator protection's settings by their registry names.
        allow_simulated_gestures: A scripted sensor may satisfy rules here.
        remote: Requests from remote sessions are allowed, for everyone.
        remote_listed: For these users and groups they are allowed even where ``remote`` is off.
        hello: Settings of gestures by their Windows names, as `elevate.hello.windows` reads them.
        log_readers: Members of these groups may read the whole log; nobody but root and the owner where there are none.
        tpm: Where keys are made, as tpm2-tss names it (``device:/dev/tpmrm0``); empty for software.
        host: ``emulated``, or ``linux``: this machine itself, for a broker that is root.
        helpers: Programs of others that rules may hand tasks to.
        processes: How many one task on host linux, and all of one account, may have; 0 for what suits the machine.
    """

    windows: dict[str, int] = field(default_factory=lambda: dict(windows.DEFAULTS))
    allow_simulated_gestures: bool = False
    remote: bool = False
    remote_listed: tuple[str, ...] = ()
    host: str = "emulated"
    hello: HelloSettings = field(default_factory=HelloSettings)
    tpm: str = ""
    helpers: tuple[Helper, ...] = ()
    log_readers: tuple[str, ...] = ()
    processes: int = 0

    @property
    def protected(self) -> bool:
        """Administrator protection is on and not inert."""
        return not windows.inert(self.windows)

    @property
    def consent_counts(self) -> bool:
        """A rule may ask for consent alone: ConsentPromptBehaviorEnhancedAdmin says so, or protection is not on."""
        return not self.protected or self.windows["ConsentPromptBehaviorEnhancedAdmin"] == _CONSENT

    def admits(self, requester: Requester) -> bool:
        """Say whether this one may elevate from where the request comes (fidelity.md row 25)."""
        listed = {requester.user, *requester.groups} & set(self.remote_listed)
        return not requester.remote or self.remote or bool(listed)

    def check(self, requester: Requester, task: InspectedTask) -> None:
        """Refuse what no rule can allow here: a remote session that is not let in, or unsigned code where it must be signed.

        Raises:
            DeniedError: One of these.
        """
        if not self.admits(requester):
            hint = "the owner of the broker can set remote or remote_listed"
            raise DeniedError("a remote session is not elevated here", hint=hint)
        runs_code = task.task.own or task.task.kind in {"process.run", "package.install"}
        signer = dict(task.facts).get("signer", Fact.UNDETERMINED)
        if self.windows["ValidateAdminCodeSignatures"] and runs_code and isinstance(signer, Fact):
            hint = "the owner of the broker set ValidateAdminCodeSignatures"
            raise DeniedError("only signed programs may elevate here", hint=hint)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read settings.toml; a file that is not there gives the defaults.

        Raises:
            PolicyError: Not TOML, an unknown key or a value that is not allowed.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return cls()
        except OSError as exc:
            raise PolicyError(f"{path.name} can't be read: {exc.strerror}") from exc
        # SECURITY: it says whether a simulated gesture counts; as with rules, nobody else can have written it.
        check_file(path)
        if len(data) > MAX_BYTES:
            raise PolicyError(f"{path.name}: over {MAX_BYTES} bytes")
        try:
            return cls._of(tomllib.loads(data.decode()))
        except (ValueError, TypeError) as exc:
            raise PolicyError(f"{path.name}: {exc}", hint="correct the file and start the broker again") from exc

    @classmethod
    def _of(cls, members: dict[str, object]) -> Self:
        unknown = members.keys() - _KEYS
        if unknown:
            raise ValueError(f"unknown key {min(unknown)!r}")
        return cls(
            windows=cls().windows | _windows(members.get("windows", {})),
            allow_simulated_gestures=_flag(members, "allow_simulated_gestures"),
            hello=_hello(members),
            tpm=_text(members, "tpm"),
            remote=_flag(members, "remote"),
            remote_listed=_names(members, "remote_listed"),
            host=_host(members.get("host", HOSTS[0])),
            helpers=read_helpers(members.get("helpers", {})),
            log_readers=_names(members, "log_readers"),
            processes=_processes(members.get("processes", 0)),
        )


def _windows(table: object) -> dict[str, int]:
    if not isinstance(table, dict):
        raise TypeError("windows is a table: [windows]")
    checked = [windows.check(name, value) for name, value in table.items()]
    if len(dict(checked)) < len(checked):
        raise ValueError("a setting is named twice, by its registry name and its CSP name")
    return dict(checked)


def _host(value: object) -> str:
    if value not in HOSTS:
        raise ValueError(f"host can be {' or '.join(HOSTS)}")
    return str(value)


def _processes(value: object) -> int:
    if type(value) is not int or not (value == 0 or LEAST_PROCESSES <= value <= MAX_PROCESSES):
        raise ValueError(f"processes is a number from {LEAST_PROCESSES} to {MAX_PROCESSES}, or 0 for what suits the machine")
    return value


def _hello(members: dict[str, object]) -> HelloSettings:
    table = members.get("hello", {})
    if not isinstance(table, dict) or not all(type(value) is int for value in table.values()):
        raise TypeError("hello is a table of numbers: [hello]")
    host = _host(members.get("host", HOSTS[0]))
    base = HelloSettings(allow_simulated_gestures=_flag(members, "allow_simulated_gestures"), root_broker=host == "linux")
    try:
        return from_windows(table, base)
    except HelloError as exc:
        raise ValueError(f"hello: {exc.message}") from exc


def _text(members: dict[str, object], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"{name} is a text")
    return value


def _flag(members: dict[str, object], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is true or false")
    return value


def _names(members: dict[str, object], name: str) -> tuple[str, ...]:
    value = members.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise TypeError(f"{name} is a list of names")
    return tuple(value)
