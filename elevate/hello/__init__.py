"""Proof that the person is there and agrees to exactly this: gestures, enrolment, lock-out, prompts, verification.

Nothing here imports `fido2` or `keyring` until a security key or a keyring is asked for.
"""

from elevate.hello.proof import Proof
from elevate.hello.scripted import Script, ScriptedSensor, scripted_sensors
from elevate.hello.secrets import FileSecrets, KeyringSecrets, MemorySecrets, keyring_secrets, personal_secrets
from elevate.hello.security_key import UsbSecurityKeys
from elevate.hello.sensors import Sensor, Sight
from elevate.hello.settings import HelloSettings, KdfRules, LockoutRules, PartyRules, PinRules
from elevate.hello.software import SoftwareHello
from elevate.hello.view import check_steps, prompt_view, refusal_view

__all__ = [
    "FileSecrets",
    "HelloSettings",
    "KdfRules",
    "KeyringSecrets",
    "LockoutRules",
    "MemorySecrets",
    "PartyRules",
    "PinRules",
    "Proof",
    "Script",
    "ScriptedSensor",
    "Sensor",
    "Sight",
    "SoftwareHello",
    "UsbSecurityKeys",
    "check_steps",
    "keyring_secrets",
    "personal_secrets",
    "prompt_view",
    "refusal_view",
    "scripted_sensors",
]
