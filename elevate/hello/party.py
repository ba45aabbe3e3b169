"""The broker as a relying party: what an assertion must be before it counts.

The wide-spread libraries accept a cross-origin ceremony, ignore the sign counter, and know neither a challenge's age nor its
reuse; so this is our own. Every check raises `GestureError` with one text for the caller and the reason in ``detail``.

Source: W3C WebAuthn Level 3 section 7.2; the step stands beside each check.
"""

import hmac
from dataclasses import dataclass, field

from elevate.errors import GestureError
from elevate.hello import keys, webauthn
from elevate.hello.settings import PartyRules
from elevate.hello.webauthn import AuthenticatorData, ClientData
from elevate.ports import Assertion, Instant

_MAX_OPEN = 4096
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What the relying party keeps of a key: nothing that could sign.

    Attributes:
        id: base64url.
        public_key: COSE_Key.
        sign_count: The highest counter that was seen.
        revoked: It never verifies again.
    """

    id: str
    public_key: bytes
    sign_count: int = 0
    revoked: bool = False


def check_assertion(
    assertion: Assertion, credential: Credential, challenge: bytes, rules: PartyRules, *, verification: bool = True
) -> AuthenticatorData:
    """Check one assertion; give its authenticator data, whose counter the caller keeps.

    Args:
        assertion: What came.
        credential: The key of the person that is expected; nobody else's is looked up.
        challenge: The one that was given out for this request.
        rules: What is accepted.
        verification: The person must be verified, not just present.

    Raises:
        GestureError: Anything is not as it must be.
    """
    if credential.revoked or not hmac.compare_digest(assertion.credential, credential.id):  # 7.2 step 5, 6
        raise _refuse("another credential, or a revoked one")
    _check_client(ClientData.decode(assertion.client_data), challenge, rules)
    data = AuthenticatorData.decode(assertion.authenticator_data)
    _check_data(data, credential, rules, verification=verification)
    signed = webauthn.signed_bytes(assertion.authenticator_data, assertion.client_data)
    keys.verify(credential.public_key, assertion.signature, signed, algorithms=rules.algorithms)  # 7.2 step 20, 21
    return data


def _check_client(client: ClientData, challenge: bytes, rules: PartyRules) -> None:
    if client.type != "webauthn.get":  # 7.2 step 11
        raise _refuse("client data: type")
    if not hmac.compare_digest(client.challenge, challenge):  # 7.2 step 12
        raise _refuse("client data: another challenge")
    if client.origin not in rules.origins:  # 7.2 step 13
        raise _refuse("client data: origin")
    if client.cross_origin or client.top_origin:  # 7.2 step 14
        raise _refuse("client data: cross-origin")


def _check_data(data: AuthenticatorData, credential: Credential, rules: PartyRules, *, verification: bool) -> None:
    if data.rp_id_hash != webauthn.rp_id_hash(rules.rp_id):  # 7.2 step 15
        raise _refuse("authenticator data: relying party")
    if not data.flags & webauthn.UP:  # 7.2 step 16
        raise _refuse("authenticator data: user not present")
    if verification and not data.flags & webauthn.UV:  # 7.2 step 17
        raise _refuse("authenticator data: user not verified")
    eligible, backed_up = bool(data.flags & webauthn.BE), bool(data.flags & webauthn.BS)
    if backed_up and not eligible:  # 7.2 step 18
        raise _refuse("authenticator data: backup flags")
    if eligible and not rules.backup_allowed:  # 7.2 step 19
        raise _refuse("authenticator data: the key can be copied")
    if (data.sign_count or credential.sign_count) and data.sign_count <= credential.sign_count:  # 7.2 step 22
        raise _refuse(f"sign counter {data.sign_count} after {credential.sign_count}: the key may have a copy")


@dataclass(slots=True)
class Challenges:
    """The challenges that are out: each verifies once, and not after its time. Bounded; not safe for threads by itself."""

    seconds: int
    _open: dict[bytes, int] = field(default_factory=dict)
    _spent: dict[bytes, int] = field(default_factory=dict)

    def expect(self, challenge: bytes, now: Instant) -> None:
        """Note that a challenge was given out; again is the same as once, and its age counts from the first time.

        Raises:
            GestureError: It was used already, or too many are out.
        """
        self._sweep(now)
        if challenge in self._spent:
            raise _refuse("challenge used before")
        if len(self._open) >= _MAX_OPEN:
            raise _refuse("too many open challenges")
        self._open.setdefault(challenge, now.mono_ns)

    def spend(self, challenge: bytes, now: Instant) -> None:
        """Use a challenge up.

        Raises:
            GestureError: Never given out, used already, or too old.
        """
        since = self._open.pop(challenge, None)
        if since is None or self._is_old(since, now):
            raise _refuse("challenge unknown, used before or too old")
        self._sweep(now)
        self._spent[challenge] = now.mono_ns

    def _sweep(self, now: Instant) -> None:
        """Forget the oldest: each of the two holds them in the order in which they came."""
        for held in (self._open, self._spent):
            while held and self._is_old(held[oldest := next(iter(held))], now):
                del held[oldest]

    def _is_old(self, since: int, now: Instant) -> bool:
        return since <= now.mono_ns - self.seconds * _NS


def _refuse(detail: str) -> GestureError:
    return GestureError("the gesture does not verify", detail=detail)
