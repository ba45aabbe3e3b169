"""The log for asyncio: the same surface as `elevate.logs`. Every question has a connection of its own."""

import os
from binascii import a2b_base64
from collections.abc import AsyncIterator
from typing import cast

from elevate.canonical import Json
from elevate.logs import Told, new_archive
from elevate.streams import AsyncWire


class AsyncWired:
    """What knows a way to the broker."""

    def __init__(self, path: str, uid: int) -> None:
        self._place = (path, uid)

    async def _call(
        self, method: str, parameters: dict[str, object], fds: tuple[int, ...] = (), *, member: str = ""
    ) -> dict[str, Json]:
        wire = await AsyncWire.open(*self._place)
        try:
            await wire.send(method, parameters, fds=fds)
            told, _ = await wire.receive()
        finally:
            wire.close()
        return cast("dict[str, Json]", told.get(member, {}) if member else told)


class AsyncLogs(AsyncWired):
    """The broker's log."""

    async def search(
        self, words: str = "", *, mine: bool = False, oldest_first: bool = False, position: int | None = None
    ) -> AsyncIterator[Told]:
        """Give the entries that words mean, all of them; as `elevate.Connection.search`."""
        asked: dict[str, object] = {"words": words, "mine": mine, "oldest_first": oldest_first, "position": position}
        while True:
            told = await self._call("AuditSearch", asked)
            for entry in cast("list[Told]", told["entries"]):
                yield entry
            if told.get("cursor") is None:
                return
            asked["cursor"] = told["cursor"]

    async def show(self, name: str, *, mine: bool = False) -> Told:
        """Give one request's life; as `elevate.Connection.show`."""
        return await self._call("AuditShow", {"id": name, "mine": mine})

    async def prove(self, position: int, *, mine: bool = False) -> str:
        """Give a proof that an entry is in the log; as `elevate.Connection.prove`."""
        return str((await self._call("AuditProve", {"position": position, "mine": mine}))["proof"])

    async def checkpoint(self) -> str:
        """Give a signed checkpoint; as `elevate.Connection.checkpoint`."""
        return str((await self._call("AuditCheckpoint", {}))["note"])

    async def log_keys(self) -> list[str]:
        """Give the log's keys; as `elevate.Connection.log_keys`."""
        return [str(key) for key in cast("list[Json]", (await self._call("AuditCheckpoint", {}))["keys"])]

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that one log is the beginning of another; as `elevate.Connection.consistency`."""
        told = (await self._call("AuditCheckpoint", {"old": old, "new": new}))["hashes"]
        return [a2b_base64(str(one)) for one in cast("list[Json]", told)]

    async def follow(self, words: str = "", *, mine: bool = False, position: int | None = None) -> AsyncIterator[Told]:
        """Give entries as they come; as `elevate.Connection.follow`. Cancelling whoever waits ends it."""
        wire = await AsyncWire.open(*self._place)
        try:
            await wire.send("AuditFollow", {"words": words, "mine": mine, "position": position}, flag="more")
            continues = True
            while continues:
                told, continues = await wire.receive()
                for entry in cast("list[Told]", told["entries"]):
                    yield entry
        finally:
            wire.close()

    async def erase(self, subject: str) -> Told:
        """Delete what opens a person's entries; as `elevate.Connection.erase`."""
        return await self._call("AuditErase", {"subject": subject})

    async def prune(self, before: int, archive: str | os.PathLike[str]) -> Told:
        """Move entries to a new file; as `elevate.Connection.prune`."""
        with new_archive(archive) as fd:
            return await self._call("AuditPrune", {"before": before, "archive_fd": 0}, (fd,))

    async def rotate_log_key(self) -> str:
        """Hand over to a new log key; as `elevate.Connection.rotate_log_key`."""
        return str((await self._call("AuditRotateKey", {}))["key"])
