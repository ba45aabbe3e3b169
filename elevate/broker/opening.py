"""Opening a broker's parts from its folder, and closing them again in the opposite order."""

from contextlib import ExitStack

from elevate.broker.home import Home
from elevate.broker.parts import Parts
from elevate.broker.policies import Policies
from elevate.broker.settings import Settings
from elevate.broker.system import SystemClock, SystemEntropy
from elevate.broker.turns import Turns
from elevate.errors import HelloError, NoBrokerError
from elevate.hello import FileSecrets, SoftwareHello, UsbSecurityKeys, personal_secrets, scripted_sensors
from elevate.hello.keystore import KeyStore
from elevate.hello.secrets import DeviceSecrets
from elevate.host.emulated import EmulatedHost
from elevate.host.launcher import Launcher
from elevate.host.linux import LinuxHost
from elevate.ports import Clock, Entropy
from elevate.store.sqlite import SqliteStore
from elevate.token import TokenKey

KEY_BYTES = 32
NONCE_BYTES = 8


def open_parts(
    home: Home, stack: ExitStack, *, clock: Clock | None, entropy: Entropy | None, keyring: bool = False
) -> tuple[Parts, SoftwareHello, Launcher]:
    """Open everything; what was opened is closed by ``stack``.

    Args:
        home: The broker's folder.
        stack: Closes the parts.
        clock: Instead of the machine's own.
        entropy: Instead of the machine's own.
        keyring: Device secrets are in the person's own keyring, where there is one; for a broker inside a person's process.

    Raises:
        NoBrokerError: Nothing was made in this folder.
        StoreError: The ledger can't be used.
        PolicyError: Policy or settings can't be read.
    """
    if not home.exists():
        raise NoBrokerError(f"no broker was made in {home.folder}", hint="make one: elevate init")
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    settings = Settings.read(home.settings)
    policy = Policies(home.policy, kept=home.kept_policy, protected=settings.protected)
    store = SqliteStore(home.ledger, entropy=entropy)
    stack.callback(store.close)
    launcher = Launcher(processes=settings.processes)
    stack.callback(launcher.close)
    host = _open_host(home, settings, launcher, clock, entropy)
    stack.callback(host.close)
    sensors = scripted_sensors(home.hello, clock=clock, entropy=entropy)
    secrets = personal_secrets(home.hello / "device") if keyring else FileSecrets(home.hello / "device")
    hello = SoftwareHello(
        home.hello,
        clock=clock,
        entropy=entropy,
        sensors=sensors,
        settings=settings.hello,
        security_key=UsbSecurityKeys(),
        secrets=secrets,
        store=_open_tpm(settings, secrets, entropy, stack) if settings.tpm else None,
    )
    parts = Parts(
        clock=clock,
        entropy=entropy,
        store=store,
        ledger=store,
        host=host,
        hello=hello,
        policy=policy,
        settings=settings,
        turns=Turns(clock),
        issuer=f"elevate:{store.generation}",
        epoch=f"{clock.boot_id}:{entropy.token_bytes(NONCE_BYTES).hex()}:{store.generation}",
        key=TokenKey.from_seed(entropy.token_bytes(KEY_BYTES)),
    )
    return parts, hello, launcher


def _open_tpm(settings: Settings, secrets: DeviceSecrets, entropy: Entropy, stack: ExitStack) -> KeyStore:
    """Open the TPM that the settings name; its library is loaded here and nowhere else."""
    try:
        from elevate.hello.tpm import open_store
    except ModuleNotFoundError as exc:
        raise HelloError("a TPM needs tpm2-pytss", hint="install it: pip install 'elevate-broker[tpm]'") from exc
    store = open_store(settings.tpm, secrets=secrets, entropy=entropy, rules=settings.hello.lockout)
    stack.callback(store.close)
    return store


def _open_host(home: Home, settings: Settings, launcher: Launcher, clock: Clock, entropy: Entropy) -> EmulatedHost | LinuxHost:
    """Open the machine that the settings name; make what it needs at the first start."""
    if settings.host == "linux":
        real = LinuxHost if home.accounts.exists() else LinuxHost.create
        return real(home.accounts, launcher=launcher, clock=clock, entropy=entropy)
    emulate = EmulatedHost if home.machine.exists() else EmulatedHost.create
    return emulate(home.machine, launcher=launcher, clock=clock, entropy=entropy)
