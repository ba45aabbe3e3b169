"""What is done to a log as it ages, on a live broker: a person is erased, what is old is moved out, the log's key is rotated.

Root may, and the user that the broker runs as. Each is an entry that says who did it. Nobody reads while the write-ahead log is
emptied.
"""

import os
import stat

from elevate.audit import body
from elevate.broker.gate import Gate
from elevate.canonical import Json
from elevate.errors import AuditError, DeniedError
from elevate.model import Requester
from elevate.ports import Clock
from elevate.store.archive import write_archive
from elevate.store.sqlite import SqliteStore


class Care:
    """Takes care of a log.

    Args:
        ledger: Whose log it is.
        clock: Read once for each.
        gate: Of those who read.
        owner_uid: As whom the broker runs.
    """

    def __init__(self, ledger: SqliteStore, clock: Clock, gate: Gate, *, owner_uid: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._gate = gate
        self._allowed = frozenset({0, owner_uid})

    def erase(self, subject: str, who: Requester) -> dict[str, Json]:
        """Delete what opens a person's entries, by user name or SID.

        Raises:
            DeniedError: Somebody else than root and the owner asks.
            AuditError: Nobody of that name is in the log, or a request of theirs has not ended.
        """
        self._check(who)
        gone = self._ledger.erase(subject, self._clock.read(), body.actor(who), alone=self._gate.alone)
        return {"entries": gone.entries, "requests": gone.requests, "before": gone.before, "later": gone.later}

    def prune(self, before: int, archive: int, who: Requester) -> dict[str, Json]:
        """Move entries to an archive, synced before anything is taken out.

        Args:
            before: Entries below this position go, in whole tiles.
            archive: Descriptor of an empty file that the caller has made; the caller keeps it.
            who: By the kernel's word.

        Raises:
            DeniedError: Somebody else than root and the owner asks.
            AuditError: The descriptor is not of an empty file.
            StoreUnwritableError: The archive can't be written; nothing was taken out.
        """
        self._check(who)
        found = os.fstat(archive)
        if not stat.S_ISREG(found.st_mode) or found.st_size:
            raise AuditError("an archive is an empty file", hint="name a file that is not there yet")
        stop = self._ledger.prunable(before)
        write_archive(archive, self._ledger.entries(0, stop))
        began = self._ledger.prune(stop, self._clock.read(), body.actor(who), alone=self._gate.alone)
        return {"began": began}

    def rotate_key(self, who: Requester) -> dict[str, Json]:
        """Hand over to a new log key by an entry that the old one signs.

        Raises:
            DeniedError: Somebody else than root and the owner asks.
        """
        self._check(who)
        return {"key": self._ledger.rotate_key(self._clock.read(), body.actor(who))}

    def _check(self, who: Requester) -> None:
        if who.process.uid not in self._allowed:
            raise DeniedError("only root and the broker's own user take care of its log", hint="ask an administrator")
