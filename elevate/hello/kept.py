"""A person's agreement as the log keeps it, verified once more: by whoever holds the entry, without the broker. Pure.

The broker has checked far more when the gesture was made (`elevate.hello.party`): challenge, origin, counter, who is enrolled.
What can be shown later is that this key has signed this request, and by which gesture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from elevate.canonical import Json
from elevate.errors import GestureError
from elevate.hello import keys, uvm, webauthn
from elevate.hello.webauthn import AuthenticatorData, ClientData, unb64

ALGORITHMS = (keys.ES256, keys.EDDSA, keys.ED25519, keys.ES384, keys.ES512, keys.ED448, keys.RS256)
"""Whatever the broker may have taken."""
_NONCE_BYTES = 16
_PARTS = ("public_key", "signature", "authenticator_data", "client_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a kept signature shows.

    Attributes:
        method: The gesture that was made.
        simulated: By a scripted sensor, for tests.
        key: SHA-256 over the key that has signed, a COSE_Key, in hexadecimal.
        bound: It is over the digest of this request; False where the entry's task was not opened, so that nobody can say.
    """

    method: str
    simulated: bool
    key: str
    bound: bool


def verify_kept(body: Mapping[str, Json]) -> Kept | None:
    """Verify the signature that an entry holds; None where it holds none, or where that was not opened.

    Args:
        body: An entry's, opened.

    Raises:
        GestureError: It does not verify, or is over another request.
    """
    said, task = (found if isinstance(found := body.get(part), dict) else {} for part in ("authentication", "task"))
    assertion = said.get("assertion")
    if not isinstance(assertion, dict) or not assertion:  # nobody was asked
        return None
    try:
        public, signature, data, client = (unb64(str(assertion.get(part, ""))) for part in _PARTS)
        agreed = bytes.fromhex(str(task.get("request_digest", "")))
    except ValueError as exc:
        raise GestureError("the signature in the entry is damaged", detail=str(exc)) from exc
    keys.verify(public, signature, webauthn.signed_bytes(data, client), algorithms=ALGORITHMS)
    method = str(said.get("method"))
    if not _made(method, AuthenticatorData.decode(data)) or ClientData.decode(client).type != "webauthn.get":
        raise GestureError("the signature in the entry is by another gesture than it says")
    # The challenge is a nonce and the digest of the request.
    if agreed and ClientData.decode(client).challenge[_NONCE_BYTES:] != agreed:
        raise GestureError("the signature in the entry is over another request")
    digest = hashlib.sha256(public).hexdigest()
    return Kept(method=method, simulated=said.get("simulated") is True, key=digest, bound=bool(agreed))


def _made(method: str, data: AuthenticatorData) -> bool:
    """Say whether a gesture was made as it is called; a security key does not say which."""
    return not data.extensions or uvm.strongest(uvm.decode(data.extensions)) == method
