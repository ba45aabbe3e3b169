"""What goes into a TPM and comes out of it, in the types of its C library: templates of keys, and their conversion."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tpm2_pytss import constants as tc
from tpm2_pytss import types as tt

from elevate.hello import keys

ATTRIBUTES = tc.TPMA_OBJECT
_OWN = ATTRIBUTES.FIXEDTPM | ATTRIBUTES.FIXEDPARENT | ATTRIBUTES.USERWITHAUTH
_INSIDE = _OWN | ATTRIBUTES.SENSITIVEDATAORIGIN | ATTRIBUTES.NODA
SIGN = _INSIDE | ATTRIBUTES.SIGN_ENCRYPT


def template(kind: str, attributes: Any) -> Any:  # noqa: ANN401 - types of the C library
    """Give the public area of a key to be made."""
    return tt.TPM2B_PUBLIC.parse(kind, nameAlg=tc.TPM2_ALG.SHA256, objectAttributes=attributes)


def pack(private: Any, public: Any) -> bytes:  # noqa: ANN401 - types of the C library
    """Give both parts of a key as one blob."""
    return bytes(private.marshal()) + bytes(public.marshal())


def unpack(blob: bytes) -> tuple[Any, Any]:
    """Give both parts of a blob of `pack`."""
    private, size = tt.TPM2B_PRIVATE.unmarshal(blob)
    public, _ = tt.TPM2B_PUBLIC.unmarshal(blob[size:])
    return private, public


def cose(public: Any) -> bytes:  # noqa: ANN401 - a type of the C library
    """Give a public key as COSE_Key."""
    point = public.publicArea.unique.ecc
    x, y = (int.from_bytes(bytes(part), "big") for part in (point.x, point.y))
    return keys.cose(EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key(), keys.ES256)


def der(made: Any) -> bytes:  # noqa: ANN401 - a type of the C library
    """Give an ECDSA signature in DER."""
    pair = made.signature.ecdsa
    r, s = (int.from_bytes(bytes(part), "big") for part in (pair.signatureR, pair.signatureS))
    return encode_dss_signature(r, s)


ROOT = template("ecc256:aes128cfb", _INSIDE | ATTRIBUTES.RESTRICTED | ATTRIBUTES.DECRYPT)
SEALED = tt.TPM2B_PUBLIC(
    tt.TPMT_PUBLIC(
        type=tc.TPM2_ALG.KEYEDHASH,
        nameAlg=tc.TPM2_ALG.SHA256,
        objectAttributes=_OWN,
        parameters=tt.TPMU_PUBLIC_PARMS(
            keyedHashDetail=tt.TPMS_KEYEDHASH_PARMS(scheme=tt.TPMT_KEYEDHASH_SCHEME(scheme=tc.TPM2_ALG.NULL))
        ),
    )
)
AES = tt.TPMT_SYM_DEF(
    algorithm=tc.TPM2_ALG.AES,
    keyBits=tt.TPMU_SYM_KEY_BITS(aes=128),
    mode=tt.TPMU_SYM_MODE(aes=tc.TPM2_ALG.CFB),
)
NO_SCHEME = tt.TPMT_SIG_SCHEME(scheme=tc.TPM2_ALG.NULL)
NO_TICKET = tt.TPMT_TK_HASHCHECK(tag=tc.TPM2_ST.HASHCHECK, hierarchy=tc.TPM2_RH.OWNER)
