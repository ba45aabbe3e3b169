"""The log for a program that has the broker inside, with the words of the connected library: `elevate.library.Connection`."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from elevate.broker.asking import Asked
from elevate.broker.cancel import Cancellation
from elevate.broker.care import Care
from elevate.broker.logbook import Logbook
from elevate.broker.parts import Parts
from elevate.broker.records import Records
from elevate.canonical import Json
from elevate.host.processes import ProcessFacts, read_process
from elevate.logs import new_archive
from elevate.model import Requester
from elevate.ports import Cancel


class Reading(Records):
    """The log, as this process asks for it.

    Args:
        parts: Of the broker.
        ledger: The ledger's file.

    Attributes:
        logbook: Answers any requester.
        care: Erases, prunes and rotates for those who may.
    """

    def __init__(self, parts: Parts, *, ledger: Path) -> None:
        super().__init__(parts)
        owner = os.getuid()
        self.logbook = Logbook(parts, ledger, owner_uid=owner)
        self.care = Care(parts.ledger, parts.clock, self.logbook.gate, owner_uid=owner)

    def requester(self, facts: ProcessFacts) -> Requester:
        """Name who asks, from kernel facts and the machine's own list of users."""
        user, sid, groups = self.parts.host.user_for(facts.process.uid)
        return Requester(
            user=user,
            sid=sid,
            groups=groups,
            machine=self.parts.host.name,
            process=facts.process,
            executable=facts.executable,
            chain=facts.chain,
            remote=facts.remote,
            service=self.parts.policy.current.service_of(
                uid=facts.process.uid, executable=facts.executable, sha256=facts.executable_sha256
            ),
            audit_uid=facts.audit_uid,
            executable_sha256=facts.executable_sha256,
        )

    def search(self, words: str = "", *, mine: bool = False, oldest_first: bool = False) -> Iterator[dict[str, Json]]:
        """Give the entries that words mean, as ``user:alice outcome:denied since:24h``, the newest first, all of them.

        Args:
            words: As `elevate.audit.query.parse` reads them.
            mine: Of the own requests only.
            oldest_first: In the order in which they were written.

        Raises:
            AuditError: A key that there is not, or a time that can't be read.
        """
        cursor = ""
        while True:
            asked = Asked(words=words, mine=mine, oldest_first=oldest_first, cursor=cursor)
            told = self.logbook.search(asked, self._me())
            yield from _entries(told)
            if "cursor" not in told:
                return
            cursor = str(told["cursor"])

    def show(self, name: str, *, mine: bool = False) -> dict[str, Json]:
        """Give one request's id (``request``) and its ``entries``, each with ``proven`` where a checkpoint covers it.

        Raises:
            AuditError: No request or token has this name, or more than one.
        """
        return self.logbook.show(name, self._me(), mine=mine)

    def prove(self, position: int, *, mine: bool = False) -> str:
        """Give a proof that an entry is in the log, with what this user may see of it; see `Logbook.prove`."""
        return str(self.logbook.prove(position, self._me(), mine=mine)["proof"])

    def checkpoint(self) -> str:
        """Give a signed checkpoint over all that is in the log."""
        return str(self.logbook.checkpoint(None, None, self._me())["note"])

    def follow(
        self, words: str = "", *, mine: bool = False, position: int | None = None, cancel: Cancel | None = None
    ) -> Iterator[dict[str, Json]]:
        """Give entries as they come, until ``cancel`` fires.

        Args:
            words: As for `search`.
            mine: Of the own requests only.
            position: Begin here; with what comes from now on where it is not given.
            cancel: Ends it.
        """
        own = Cancellation()
        asked = Asked(words=words, mine=mine, position=position, oldest_first=True)
        try:
            with closing(self.logbook.follow(asked, self._me(), cancel=cancel or own)) as pages:
                for told in pages:
                    yield from _entries(told)
        finally:
            own.close()

    def erase(self, subject: str) -> dict[str, Json]:
        """Delete what opens a person's entries; see `elevate.broker.care.Care.erase`."""
        return self.care.erase(subject, self._me())

    def prune(self, before: int, archive: Path) -> dict[str, Json]:
        """Move entries below a position to a new file; see `elevate.broker.care.Care.prune`."""
        with new_archive(archive) as descriptor:
            return self.care.prune(before, descriptor, self._me())

    def rotate_log_key(self) -> str:
        """Hand over to a new log key; give it."""
        return str(self.care.rotate_key(self._me())["key"])

    def _me(self) -> Requester:
        return self.requester(read_process(os.getpid()))


def _entries(told: dict[str, Json]) -> Iterator[dict[str, Json]]:
    entries = told["entries"]
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield entry
