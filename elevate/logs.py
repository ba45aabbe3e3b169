"""The log for a program that is connected to a broker, with the words of a broker inside: `elevate.broker.reading.Reading`.

Everybody sees the entries of own requests. Root, the own user of the broker, and members of the groups in its setting
``log_readers`` see all, and that they look at what others did is in the log. An entry is a mapping, as docs/wire.md has it.
"""

import contextlib
import os
import threading
from binascii import a2b_base64
from collections.abc import Iterator
from typing import cast

from elevate.canonical import Json
from elevate.errors import StoreUnwritableError
from elevate.wire import Wire

Told = dict[str, Json]


@contextlib.contextmanager
def new_archive(path: str | os.PathLike[str]) -> Iterator[int]:
    """Make the file that entries are moved to.

    Raises:
        StoreUnwritableError: It is there already, or can't be made.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreUnwritableError(f"the archive can't be written: {exc.strerror}: {os.fspath(path)}") from exc
    try:
        yield fd
    finally:
        os.close(fd)


class Wired:
    """What has a connection to a broker."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close it; what is open on it is cancelled, and unused grants are taken back."""
        self._wire.close()

    def _call(self, method: str, parameters: dict[str, object], fds: tuple[int, ...] = (), *, member: str = "") -> Told:
        with self._lock:
            self._wire.send(method, parameters, fds=fds)
            told, _ = self._receive()
        return cast("Told", told.get(member, {}) if member else told)

    def _receive(self) -> tuple[dict[str, object], bool]:
        with self._cut_off():
            return self._wire.receive()

    @contextlib.contextmanager
    def _cut_off(self) -> Iterator[None]:
        """On Ctrl-C or the like: leave, so that the broker cancels; half an answer is no use to anyone."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._wire.close()
            raise


class Logs(Wired):
    """The broker's log."""

    def search(
        self,
        words: str = "",
        *,
        mine: bool = False,
        oldest_first: bool = False,
        position: int | None = None,
        context: bool = False,
    ) -> Iterator[Told]:
        """Give the entries that words mean, as ``user:alice outcome:denied since:24h``, the newest first, all of them.

        Args:
            words: Keys are user, event, outcome, rule, kind, code, method, since and until; ``-`` in front turns a word round.
            mine: Of the own requests only, for those who may see all.
            oldest_first: In the order in which they were written.
            position: Begin below this position, or at it where the oldest come first.
            context: ``known`` tells what a request said before, where its first entry here is not its first.

        Raises:
            AuditError: A key that there is not, or a time that can't be read.
        """
        asked: dict[str, object] = {"words": words, "mine": mine, "oldest_first": oldest_first, "position": position}
        asked |= {"context": context}
        while True:
            told = self._call("AuditSearch", asked)
            yield from cast("list[Told]", told["entries"])
            if told.get("cursor") is None:
                return
            asked["cursor"] = told["cursor"]

    def show(self, name: str, *, mine: bool = False) -> Told:
        """Give one request's id (``request``) and its ``entries``, each with ``proven`` where a checkpoint covers it.

        Args:
            name: Id of a request or a token, or the beginning of a request's.
            mine: Look among the own requests only.

        Raises:
            AuditError: No request or token has this name, or more than one.
        """
        return self._call("AuditShow", {"id": name, "mine": mine})

    def prove(self, position: int, *, mine: bool = False) -> str:
        """Give a proof (C2SP tlog-proof) that an entry is in the log, with what this user may see of it.

        Args:
            position: The entry's ``seq``.
            mine: As an entry of the own requests only.

        Raises:
            AuditError: This user may see no entry there.
        """
        return str(self._call("AuditProve", {"position": position, "mine": mine})["proof"])

    def checkpoint(self) -> str:
        """Give a signed checkpoint over all that is in the log: an anchor, where it is kept elsewhere."""
        return str(self._call("AuditCheckpoint", {})["note"])

    def log_keys(self) -> list[str]:
        """Give the log's keys, the first one first."""
        return [str(key) for key in cast("list[Json]", self._call("AuditCheckpoint", {})["keys"])]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that the log of ``old`` entries is the beginning of that of ``new`` (RFC 6962 section 2.1.2).

        Raises:
            AuditError: The log never had these sizes.
        """
        told = self._call("AuditCheckpoint", {"old": old, "new": new})["hashes"]
        return [a2b_base64(str(one)) for one in cast("list[Json]", told)]

    def pages(
        self,
        words: str = "",
        *,
        mine: bool = False,
        position: int | None = None,
        lines: int = 0,
        context: bool = False,
    ) -> Iterator[tuple[list[Told], int]]:
        """Give entries as they come, page by page, each with the position to go on at; the connection is given up at the end.

        Args:
            words: As for `search`.
            mine: As for `search`.
            position: Begin here; where it is not given, with what comes from now on.
            lines: Begin with the last so many that are there.
            context: As for `search`.
        """
        asked: dict[str, object] = {"words": words, "mine": mine, "position": position, "lines": lines, "context": context}
        with self._lock:
            try:
                self._wire.send("AuditFollow", asked, flag="more")
                continues = True
                while continues:
                    told, continues = self._receive()
                    yield cast("list[Told]", told["entries"]), cast("int", told["next"])
            finally:
                self._wire.close()

    def follow(self, words: str = "", *, mine: bool = False, position: int | None = None) -> Iterator[Told]:
        """Give entries as they come; arguments as for `pages`. It ends with the connection, or with the broker."""
        for entries, _ in self.pages(words, mine=mine, position=position):
            yield from entries

    def erase(self, subject: str) -> Told:
        """Delete what opens a person's entries, by user name or SID; for root and the broker's own user.

        Raises:
            AuditError: Nobody of that name is in the log, or a request of theirs has not ended.
        """
        return self._call("AuditErase", {"subject": subject})

    def prune(self, before: int, archive: str | os.PathLike[str]) -> Told:
        """Move entries below a position, in whole tiles, to a new file; for root and the broker's own user.

        Raises:
            StoreUnwritableError: The file is there already, or can't be written.
        """
        with new_archive(archive) as fd:
            return self._call("AuditPrune", {"before": before, "archive_fd": 0}, (fd,))

    def rotate_log_key(self) -> str:
        """Hand over to a new log key; give it. For root and the broker's own user."""
        return str(self._call("AuditRotateKey", {})["key"])
