"""A sensor for machines without one: it does what its script says, and says `simulated` of itself.

The script is a list of what it sees, the last of which repeats; without a script, an impostor and the owner are drawn at the
given rates from a seed. Delays run on the clock that it is given, so tests need not wait.
"""

import random
import threading
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elevate import canonical
from elevate.errors import HelloDamagedError, HelloError
from elevate.hello import private
from elevate.hello.sensors import Enrolment, Reply, Sight, seal_reply
from elevate.hello.webauthn import b64, unb64
from elevate.ports import Clock, Entropy

BUDGET_MS = 2000
_KEY_BYTES = 32
_SLICE_MS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How a scripted sensor behaves.

    Attributes:
        sights: What it sees, in order; the last one repeats. Empty: drawn at the rates below.
        delay_ms: How long each look takes.
        owner_present: Whether the one who is drawn is the owner or an impostor.
        seed: Of the draws; they are not secret.
        false_accept: How often an impostor is taken for the owner.
        false_reject: How often the owner is not known.
        anti_spoofing: Whether it says that it can tell a picture from a person.
    """

    sights: tuple[Sight, ...] = (Sight.MATCH,)
    delay_ms: int = 0
    owner_present: bool = True
    seed: int = 0
    false_accept: float = 1e-5
    false_reject: float = 0.05
    anti_spoofing: bool = True


class ScriptedSensor:
    """A face or fingerprint sensor that follows a `Script`.

    Args:
        gesture: ``face`` or ``fingerprint``.
        script: What it does.
        clock: Where answers take their time from.
        entropy: Of its keys.
        wait: How it lets milliseconds pass; returns early when asked to stop. None lets none pass.
        vault: Private file that keeps templates over a restart; None keeps them in memory.
    """

    simulated = True

    def __init__(
        self,
        gesture: str = "face",
        script: Script | None = None,
        *,
        clock: Clock,
        entropy: Entropy,
        wait: Callable[[int, Callable[[], bool]], None] | None = None,
        vault: Path | None = None,
    ) -> None:
        self.gesture = gesture
        self.script = script or Script()
        self.anti_spoofing = self.script.anti_spoofing
        self._clock, self._entropy, self._wait, self._vault = clock, entropy, wait, vault
        self._draws = random.Random(self.script.seed)  # noqa: S311 - a simulation's draws, repeatable on purpose
        self._looks = 0
        self._templates: dict[str, tuple[str, bytes, bytes]] = self._load()

    def enrol(self, owner: str) -> Enrolment:
        """Take a template of the person who is there."""
        if self.state() is not Sight.MATCH:
            raise HelloError(f"the {self.gesture} sensor is not ready", hint="connect it, and try again")
        template = b64(self._entropy.token_bytes(16))
        channel, protector = self._entropy.token_bytes(_KEY_BYTES), self._entropy.token_bytes(_KEY_BYTES)
        self._templates[template] = (owner, channel, protector)
        self._save()
        return Enrolment(template=template, channel=channel, protector=protector)

    def match(self, template: str, owner: str, nonce: bytes, *, stop: Callable[[], bool]) -> Reply:
        """Look once."""
        sight = self._look()
        if self._wait:
            self._wait(BUDGET_MS if sight is Sight.TIME_OUT else self.script.delay_ms, stop)
        at_ns = self._clock.read().mono_ns
        held = self._templates.get(template)
        if sight is not Sight.MATCH or stop():
            return Reply(sight=Sight.TIME_OUT if sight is Sight.MATCH else sight, nonce=nonce, at_ns=at_ns)
        # SECURITY: the template answers only for the container it was taken for; swapped templates match nobody.
        if held is None or held[0] != owner:
            return Reply(sight=Sight.NO_MATCH, nonce=nonce, at_ns=at_ns)
        return seal_reply(held[1], held[2], owner=owner, nonce=nonce, at_ns=at_ns)

    def forget(self, template: str) -> None:
        """Destroy a template."""
        self._templates.pop(template, None)
        self._save()

    def state(self) -> Sight:
        """Say whether it could look now."""
        coming = self.script.sights[min(self._looks, len(self.script.sights) - 1)] if self.script.sights else Sight.MATCH
        return coming if coming in {Sight.BUSY, Sight.ABSENT, Sight.ERROR} else Sight.MATCH

    def _look(self) -> Sight:
        self._looks += 1
        if self.script.sights:
            return self.script.sights[min(self._looks, len(self.script.sights)) - 1]
        drawn = self._draws.random()
        if self.script.owner_present:
            return Sight.NO_MATCH if drawn < self.script.false_reject else Sight.MATCH
        return Sight.MATCH if drawn < self.script.false_accept else Sight.NO_MATCH

    def _load(self) -> dict[str, tuple[str, bytes, bytes]]:
        data = private.read(self._vault) if self._vault else None
        if data is None:
            return {}
        try:
            held = canonical.decode(data, max_bytes=private.MAX_FILE_BYTES)
            return {name: _template(kept) for name, kept in held.items()} if isinstance(held, dict) else {}
        except ValueError as exc:
            raise HelloDamagedError("the sensor's templates can't be read", detail=str(exc)) from exc

    def _save(self) -> None:
        if self._vault:
            held = {name: [owner, b64(channel), b64(key)] for name, (owner, channel, key) in self._templates.items()}
            private.replace(self._vault, canonical.encode(dict(held)))


def scripted_sensors(
    folder: Path, *, clock: Clock, entropy: Entropy, wait: Callable[[int, Callable[[], bool]], None] | None = None
) -> dict[str, ScriptedSensor]:
    """Give the sensors that ``folder/sensor.toml`` describes, by gesture; none where the file is not there.

    ::

        [face]
        sights = ["match"]
        delay_ms = 40

    Raises:
        HelloDamagedError: The file is not such a script.
    """
    data = private.read(folder / "sensor.toml")
    if data is None:
        return {}
    try:
        found = {gesture: _script(members) for gesture, members in tomllib.loads(data.decode()).items()}
    except (ValueError, TypeError) as exc:
        raise HelloDamagedError(f"sensor.toml: {exc}", hint="correct the file, or remove it") from exc
    return {
        gesture: ScriptedSensor(
            gesture, script, clock=clock, entropy=entropy, wait=wait or really_wait, vault=folder / f"sensor-{gesture}.json"
        )
        for gesture, script in found.items()
    }


def really_wait(milliseconds: int, stop: Callable[[], bool]) -> None:
    """Let time pass on the machine's own clock, until told to stop."""
    never = threading.Event()
    left = milliseconds
    while left > 0 and not stop():
        never.wait(min(left, _SLICE_MS) / 1000)
        left -= _SLICE_MS


def _script(members: Mapping[str, object]) -> Script:
    if not isinstance(members, Mapping):
        raise TypeError("a sensor is a table")
    sights = members.get("sights", ["match"])
    if not isinstance(sights, list):
        raise TypeError("sights is a list")
    rest = {name: value for name, value in members.items() if name != "sights"}
    return Script(sights=tuple(Sight(sight) for sight in sights), **rest)  # type: ignore[arg-type] # a TypeError says which


def _template(kept: object) -> tuple[str, bytes, bytes]:
    match kept:
        case [str(owner), str(channel), str(key)]:
            return owner, unb64(channel), unb64(key)
        case _:
            raise ValueError("a template that is not ours")
