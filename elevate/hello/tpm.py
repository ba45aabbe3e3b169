"""Keys in a TPM 2.0: the authentication key never leaves it, and its own lock-out counts wrong PINs for the whole device.

Loaded only when a machine is set to use its TPM (extra ``tpm``). Three objects stand behind one container:

- the storage root key, made anew from the TPM's own seed when needed, and never under lock-out protection;
- the authentication key, whose authorisation is 32 random bytes, not a PIN, so it needs no lock-out protection;
- a sealed copy of these 32 bytes whose authorisation is what the PIN became: this one is under lock-out protection.

Every authorisation goes through a salted, encrypted session, so no PIN and no secret crosses the bus in the clear.

Source: TPM 2.0 Library, part 1 section 19.8 (dictionary attack protection), part 3; Windows, TPM fundamentals.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tpm2_pytss import ESAPI, TCTILdr, TSS2_Exception
from tpm2_pytss import constants as tc
from tpm2_pytss import types as tt

from elevate.errors import GestureError, HelloError, LockedOutError
from elevate.hello import keys
from elevate.hello import tpm_forms as forms
from elevate.hello.keystore import MadeKey
from elevate.hello.pins import wipe
from elevate.hello.secrets import DeviceSecrets
from elevate.hello.settings import LockoutRules
from elevate.ports import Entropy

os.environ.setdefault("TSS2_LOG", "all+NONE")  # the C library would write to standard error by itself

AUTH_BYTES = 32
LOCKOUT_RECOVERY_SECONDS = 86_400
RC_AUTH_FAIL, RC_BAD_AUTH, RC_LOCKOUT, RC_INTEGRITY = 0x98E, 0x9A2, 0x921, 0x1DF
_LOCKOUT_AUTH_SET = 0x4


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The TPM's word that a key is inside it.

    Attributes:
        attest: What was signed (TPMS_ATTEST).
        signature: ECDSA in DER, by the attestation key.
        attestation_key: COSE_Key of it.
        public: The certified key's public area (TPMT_PUBLIC).
    """

    attest: bytes
    signature: bytes
    attestation_key: bytes
    public: bytes = field(repr=False)


class TpmStore:
    """Implements `elevate.hello.keystore.KeyStore` in a TPM.

    Args:
        tcti: Where the TPM is: what `tpm2_pytss` takes, as ``device:/dev/tpmrm0``.
        entropy: Of the authorisations.
        rules: Tries and times of the lock-out.
        allow_open_lockout: Use a TPM whose lock-out authorisation is empty; whoever reaches it may then reset the count.
    """

    name = "tpm"
    hardware = True
    counts_tries = True

    def __init__(self, tcti: Any, *, entropy: Entropy, rules: LockoutRules, allow_open_lockout: bool = False) -> None:  # noqa: ANN401 - a C library's handle
        self._tcti, self._esys = tcti, ESAPI(tcti)
        self._entropy, self._rules, self._allow_open = entropy, rules, allow_open_lockout
        self._lock = threading.Lock()

    def close(self) -> None:
        """Shut the TPM down in order: one that is just cut off counts a try."""
        self._esys.shutdown(tc.TPM2_SU.CLEAR)
        self._esys.close()
        self._tcti.close()

    def own_lockout(self, secret: bytes) -> None:
        """Set the lock-out's authorisation and its tries and times; for the machine's set-up.

        Raises:
            HelloError: The TPM refuses, as one that somebody else has set up does.
        """
        with self._lock, _refused("the TPM's lock-out can't be set"):
            if not self.lockout_owned:
                self._esys.hierarchy_change_auth(tc.ESYS_TR.LOCKOUT, secret)
            self._esys.tr_set_auth(tc.ESYS_TR.LOCKOUT, secret)
            tries, recovery = self._rules.max_failures, self._rules.recovery_seconds
            self._esys.dictionary_attack_parameters(tries, recovery, LOCKOUT_RECOVERY_SECONDS)

    def reset_lockout(self, secret: bytes) -> None:
        """Forget all tries; a wrong ``secret`` once, and the right one is refused for 24 h.

        Raises:
            HelloError: It is wrong, or was wrong lately.
        """
        with self._lock, _refused("the TPM refuses the lock-out secret"):
            self._esys.tr_set_auth(tc.ESYS_TR.LOCKOUT, secret)
            self._esys.dictionary_attack_lock_reset()

    @property
    def lockout_owned(self) -> bool:
        """Whether the lock-out's authorisation is set."""
        _, found = self._esys.get_capability(tc.TPM2_CAP.TPM_PROPERTIES, tc.TPM2_PT.PERMANENT, 1)
        return bool(found.data.tpmProperties[0].value & _LOCKOUT_AUTH_SET)

    @property
    def failed_tries(self) -> int:
        """How many tries the device counts now."""
        _, found = self._esys.get_capability(tc.TPM2_CAP.TPM_PROPERTIES, tc.TPM2_PT.LOCKOUT_COUNTER, 1)
        return int(found.data.tpmProperties[0].value)

    def make(self, algorithm: int) -> MadeKey:
        """Make a key inside the TPM.

        Raises:
            HelloError: The lock-out's authorisation is empty, or the algorithm is another than ES256.
        """
        if algorithm != keys.ES256:
            raise HelloError("a TPM makes keys for ES256 only", hint="set the algorithm to -7")
        if not self.lockout_owned and not self._allow_open:
            raise HelloError("the TPM's lock-out authorisation is empty", hint="set the machine's TPM up first")
        secret = bytearray(self._entropy.token_bytes(AUTH_BYTES))
        with self._root() as (root, session), _refused("the TPM made no key"):
            sensitive = tt.TPM2B_SENSITIVE_CREATE(tt.TPMS_SENSITIVE_CREATE(userAuth=bytes(secret)))
            signing = forms.template("ecc256:ecdsa-sha256", forms.SIGN)
            private, public, *_ = self._esys.create(root, sensitive, signing, session1=session)
        return MadeKey(secret=secret, public_key=forms.cose(public), blob=forms.pack(private, public))

    def sign(self, algorithm: int, blob: bytes, secret: bytearray, data: bytes) -> bytes:
        """Sign inside the TPM."""
        del algorithm
        try:
            with self._root() as (root, session), self._loaded(root, session, blob, bytes(secret)) as key:
                made = self._esys.sign(key, hashlib.sha256(data).digest(), forms.NO_SCHEME, forms.NO_TICKET, session1=session)
        except TSS2_Exception as exc:
            raise _error(exc) from exc
        return forms.der(made)

    def seal_pin(self, auth: bytes, secret: bytearray, context: bytes) -> bytes:
        """Seal a key's secret under what a PIN became; wrong ones count in the TPM."""
        bound = bytearray(secret) + hashlib.sha256(context).digest()
        try:
            with self._root() as (root, session), _refused("the TPM sealed nothing"):
                sensitive = tt.TPM2B_SENSITIVE_CREATE(tt.TPMS_SENSITIVE_CREATE(userAuth=auth, data=bytes(bound)))
                private, public, *_ = self._esys.create(root, sensitive, forms.SEALED, session1=session)
            return forms.pack(private, public)
        finally:
            wipe(bound)

    def unseal_pin(self, auth: bytes, sealed: bytes, context: bytes) -> bytearray | None:
        """Unseal it; None where the PIN is wrong."""
        try:
            with self._root() as (root, session), self._loaded(root, session, sealed, auth) as held:
                found = bytearray(bytes(self._esys.unseal(held, session1=session)))
        except TSS2_Exception as exc:
            if exc.rc in (RC_AUTH_FAIL, RC_BAD_AUTH):
                return None
            raise _error(exc) from exc
        if found[AUTH_BYTES:] != hashlib.sha256(context).digest():
            return None
        return found[:AUTH_BYTES]

    def certify(self, blob: bytes, secret: bytearray, challenge: bytes) -> Certified:
        """Let the TPM certify that a key is inside it, with a restricted key of its own that signs only what it made."""
        with self._root() as (root, session), _refused("the TPM certified nothing"):
            restricted = forms.template("ecc256:ecdsa-sha256:null", forms.SIGN | forms.ATTRIBUTES.RESTRICTED)
            nothing = tt.TPM2B_SENSITIVE_CREATE()
            signer, public, *_ = self._esys.create_primary(nothing, restricted, tc.ESYS_TR.ENDORSEMENT)
            try:
                with self._loaded(root, session, blob, bytes(secret)) as key:
                    attest, made = self._esys.certify(key, signer, challenge, forms.NO_SCHEME)
            finally:
                self._esys.flush_context(signer)
        _, certified = forms.unpack(blob)
        area = certified.publicArea.marshal()
        return Certified(attest=bytes(attest), signature=forms.der(made), attestation_key=forms.cose(public), public=area)

    @contextmanager
    def _root(self) -> Iterator[tuple[Any, Any]]:
        """Give the storage root key and a salted, encrypted session; one at a time, for a TPM has few places."""
        with self._lock:
            root, *_ = self._esys.create_primary(tt.TPM2B_SENSITIVE_CREATE(), forms.ROOT, tc.ESYS_TR.OWNER)
            session = None
            try:
                session = self._esys.start_auth_session(root, tc.ESYS_TR.NONE, tc.TPM2_SE.HMAC, forms.AES, tc.TPM2_ALG.SHA256)
                both = tc.TPMA_SESSION.DECRYPT | tc.TPMA_SESSION.ENCRYPT | tc.TPMA_SESSION.CONTINUESESSION
                self._esys.trsess_set_attributes(session, both)
                yield root, session
            finally:
                for handle in (session, root):
                    if handle is not None:
                        self._esys.flush_context(handle)

    @contextmanager
    def _loaded(self, root: Any, session: Any, blob: bytes, auth: bytes) -> Iterator[Any]:  # noqa: ANN401 - handles of the C library
        private, public = forms.unpack(blob)
        handle = self._esys.load(root, private, public, session1=session)
        try:
            self._esys.tr_set_auth(handle, auth)
            yield handle
        finally:
            self._esys.flush_context(handle)


def open_store(where: str, *, secrets: DeviceSecrets, entropy: Entropy, rules: LockoutRules) -> TpmStore:
    """Open a machine's TPM; take its lock-out over where nobody has yet.

    Args:
        where: As tpm2-tss names it: ``device:/dev/tpmrm0``.
        secrets: Where the lock-out's authorisation is kept.
        entropy: Of it and of the keys.
        rules: Tries and times.

    Raises:
        HelloError: There is no such TPM.
    """
    name, _, conf = where.partition(":")
    try:
        store = TpmStore(TCTILdr(name, conf or None), entropy=entropy, rules=rules)
    except (TSS2_Exception, RuntimeError) as exc:
        hint = "correct tpm in settings.toml, or leave it out"
        raise HelloError(f"the TPM can't be opened: {where}", hint=hint, detail=str(exc)) from exc
    if not store.lockout_owned:
        secret = entropy.token_bytes(AUTH_BYTES)
        secrets.put("tpm-lockout", secret)
        store.own_lockout(secret)
    return store


def _error(error: TSS2_Exception) -> GestureError | LockedOutError:
    if error.rc == RC_LOCKOUT:
        return LockedOutError("this device is locked after too many wrong PINs", detail="TPM_RC_LOCKOUT 0x921")
    if error.rc == RC_INTEGRITY:
        return GestureError("this PIN belongs to another device", detail="TPM_RC_INTEGRITY 0x1df")
    return GestureError("the TPM can't be used", detail=f"TPM {error.rc:#x}: {error}")


@contextmanager
def _refused(message: str) -> Iterator[None]:
    try:
        yield
    except TSS2_Exception as exc:
        raise HelloError(message, detail=f"TPM {exc.rc:#x}: {exc}") from exc
