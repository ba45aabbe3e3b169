"""What can be set about gestures; the names of Windows stand beside each, and numbers are its defaults but where told.

Source: Windows PassportForWork CSP (PIN complexity, biometrics), TPM fundamentals (anti-hammering), hello.md.
"""

from dataclasses import dataclass, field
from enum import IntEnum

MIN_PIN = 4
MAX_PIN = 127
TRUSTED_SIGNAL = "trusted-signal"


class Characters(IntEnum):
    """How a class of characters may stand in a PIN; the numbers of the CSP."""

    ALLOWED = 0
    REQUIRED = 1
    NOT_ALLOWED = 2


class AntiSpoofing(IntEnum):
    """Whether a face sensor must be able to tell a picture from a person: the three states of the policy."""

    NOT_CONFIGURED = 0
    REQUIRED = 1
    NOT_REQUIRED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiFactor:
    """Two gestures for every assertion: one of each list, and never the same for both.

    Attributes:
        second: May name ``trusted-signal`` too: something near that the machine knows.

    Source: Windows, multi-factor unlock; hello.md row 28.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse lists that lock everyone out, or that one gesture could fill."""
        if "pin" not in {*self.first, *self.second}:
            raise ValueError("the PIN must be in one of the two lists")
        if TRUSTED_SIGNAL in self.first:
            raise ValueError("a trusted signal can only be the second factor")
        if not any(one != other for one in self.first for other in self.second):
            raise ValueError("the two lists need different gestures")

    def satisfied_by(self, gestures: tuple[str, ...]) -> bool:
        """Say whether two different ones of ``gestures`` fill the two lists."""
        return any(one in self.first and other in self.second and one != other for one in gestures for other in gestures)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRules:
    """What a new PIN must be like.

    Attributes:
        minimum_length: ``MinimumPINLength``, 4 to 127. Windows begins at 4, we at 6.
        maximum_length: ``MaximumPINLength``, 4 to 127.
        expiration_days: ``Expiration``, 0 (never) to 730.
        history: ``History``, 0 to 50 PINs that can't come again, the current one included.
    """

    minimum_length: int = 6
    maximum_length: int = MAX_PIN
    digits: Characters = Characters.REQUIRED
    lowercase: Characters = Characters.NOT_ALLOWED
    uppercase: Characters = Characters.NOT_ALLOWED
    special: Characters = Characters.NOT_ALLOWED
    expiration_days: int = 0
    history: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that Windows has no room for."""
        if not MIN_PIN <= self.minimum_length <= self.maximum_length <= MAX_PIN:
            raise ValueError("a PIN has 4 to 127 characters")
        if not 0 <= self.expiration_days <= 730 or not 0 <= self.history <= 50:  # noqa: PLR2004 - the CSP's bounds
            raise ValueError("a PIN's expiry is 0 to 730 days, its history 0 to 50")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockoutRules:
    """How wrong PINs are counted.

    Attributes:
        max_failures: Wrong PINs until the lock (TPM ``maxTries``).
        recovery_seconds: One is forgotten after each (TPM ``recoveryTime``).
        forget_while_off: Time in which the machine was off counts too, by the wall clock.
        phrase_after: Wrong PINs in a row after which the phrase must be typed; 0 switches phrase and restart rule off.
        phrase: What must be typed.
        restart_waits: Seconds to wait after the first, second and any further restart that a wrong PIN made necessary.
        wrong_per_minute: More wrong PINs in a minute are turned away before they count; 0 turns none away.
    """

    max_failures: int = 32
    recovery_seconds: int = 600
    forget_while_off: bool = False
    phrase_after: int = 3
    phrase: str = "A1B2C3"
    restart_waits: tuple[int, ...] = (60, 120, 600)
    wrong_per_minute: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyRules:
    """What the broker as a relying party accepts.

    Attributes:
        challenge_seconds: Age of a challenge at which it is dead.
        algorithms: COSE numbers: ES256, EdDSA, Ed25519.
        backup_allowed: A credential that can be copied to another device may be used.
    """

    rp_id: str = "elevate.localhost"
    origins: tuple[str, ...] = ("https://elevate.localhost",)
    challenge_seconds: int = 180
    algorithms: tuple[int, ...] = (-7, -8, -19)
    backup_allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KdfRules:
    """Cost of turning a PIN into a key: Argon2id, one at a time."""

    memory_kib: int = 65_536
    passes: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloSettings:
    """Everything about gestures that a machine's owner can set.

    Attributes:
        root_broker: The broker serves a whole machine: a first enrolment and a reset need root.
        allow_simulated_gestures: A scripted sensor counts. The emulated machine sets it; on host ``linux`` only root's setting.
        algorithm: COSE number of new keys: -7 (ES256) or -8 (EdDSA with Ed25519).
        prompt_seconds: How long a prompt waits for an answer.
        use_biometrics: ``UseBiometrics``.
        require_security_device: ``RequireSecurityDevice``: keys in software are not made.
        anti_spoofing: ``FacialFeaturesUseEnhancedAntiSpoofing``.
        allow_remote_gestures: A session over a network may use this machine's sensors and security keys.
        multi_factor: None asks for one gesture.
    """

    pin: PinRules = field(default_factory=PinRules)
    lockout: LockoutRules = field(default_factory=LockoutRules)
    party: PartyRules = field(default_factory=PartyRules)
    kdf: KdfRules = field(default_factory=KdfRules)
    root_broker: bool = False
    allow_simulated_gestures: bool = False
    algorithm: int = -7
    prompt_seconds: int = 120
    use_biometrics: bool = True
    require_security_device: bool = False
    anti_spoofing: AntiSpoofing = AntiSpoofing.NOT_CONFIGURED
    allow_remote_gestures: bool = False
    multi_factor: MultiFactor | None = None
