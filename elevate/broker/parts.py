"""What a broker is made of; every part is given to it."""

from dataclasses import dataclass, field

from elevate.broker.policies import Policies
from elevate.broker.settings import Settings
from elevate.broker.turns import Turns
from elevate.ports import Clock, Entropy, Hello, Host, Store
from elevate.store.sqlite import SqliteStore
from elevate.token import TokenKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one running broker.

    Attributes:
        issuer: Name of this broker in its tokens.
        epoch: Boot id, start nonce and ledger generation; a token of any other epoch is dead.
        ledger: The store again, for what is done to the log as it ages.
        key: Made at this start, in memory only.
    """

    clock: Clock
    entropy: Entropy
    store: Store
    ledger: SqliteStore
    host: Host
    hello: Hello
    policy: Policies
    settings: Settings
    turns: Turns
    issuer: str
    epoch: str
    key: TokenKey = field(repr=False)
