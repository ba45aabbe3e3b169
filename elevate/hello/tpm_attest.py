"""Checking a TPM's certificate over a key. Pure; needs no TPM.

Source: TPM 2.0 Library, part 2 section 10.12 (TPMS_ATTEST); W3C WebAuthn Level 3 section 8.3.
"""

import hashlib
import hmac

from elevate.errors import GestureError
from elevate.hello import keys

MAGIC = 0xFF544347
CERTIFY = 0x8017
_SHA256 = b"\x00\x0b"
_CLOCK_AND_FIRMWARE = 17 + 8


def check_certified(attest: bytes, signature: bytes, attestation_key: bytes, *, public: bytes, challenge: bytes) -> None:
    """Check that a TPM certified the key with the public area ``public`` for this challenge.

    Args:
        attest: TPMS_ATTEST.
        signature: By the attestation key, whose trust is the caller's business.
        attestation_key: COSE_Key.
        public: TPMT_PUBLIC.
        challenge: What was asked.

    Raises:
        GestureError: Anything is not as it must be.
    """
    keys.verify(attestation_key, signature, attest, algorithms=(keys.ES256,))
    if int.from_bytes(attest[:4], "big") != MAGIC or int.from_bytes(attest[4:6], "big") != CERTIFY:
        raise _refuse("not made by a TPM, or no certificate")
    _, rest = _sized(attest[6:])
    extra, rest = _sized(rest)
    name, _ = _sized(rest[_CLOCK_AND_FIRMWARE:])
    if not hmac.compare_digest(extra, challenge):
        raise _refuse("for another challenge")
    if not hmac.compare_digest(name, _SHA256 + hashlib.sha256(public).digest()):
        raise _refuse("over another key")


def _sized(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:2], "big")
    if len(data) < 2 + size:
        raise _refuse("cut short")
    return data[2 : 2 + size], data[2 + size :]


def _refuse(detail: str) -> GestureError:
    return GestureError("the TPM's certificate does not verify", detail=f"tpm: {detail}")
