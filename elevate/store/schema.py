"""What a ledger's file is made of, statement by statement, so that what stands in it and is not of these is known.

SECURITY: attacks.md row 42. A trigger would run in the broker's own writer, and a view could stand in for a table of ours; so
statements are compared, not just the names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import apsw

from elevate.errors import StoreForeignError

PERSONAL_TABLES = {
    "openings": ("CREATE TABLE {table}(seq INTEGER PRIMARY KEY, data BLOB NOT NULL);", "seq"),
    "requests": (
        """
CREATE TABLE {table}(
    n INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, state TEXT NOT NULL, user TEXT NOT NULL, uid INTEGER NOT NULL,
    session TEXT NOT NULL, host TEXT NOT NULL, epoch TEXT NOT NULL, request_digest TEXT NOT NULL, jti TEXT NOT NULL,
    expires_at INTEGER NOT NULL, deadline_ns INTEGER NOT NULL, redeem_id TEXT NOT NULL, position INTEGER NOT NULL,
    result TEXT NOT NULL, positions TEXT NOT NULL, last INTEGER NOT NULL);
CREATE INDEX requests_user{mark} ON {table}(user, n);
CREATE UNIQUE INDEX requests_jti{mark} ON {table}(jti) WHERE jti <> '';
""",
        "n",
    ),
}
"""The tables that hold what a person could be guessed from, and their keys; an erasure builds them anew."""
SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries(seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE tiles(id INTEGER PRIMARY KEY, hashes BLOB NOT NULL, root BLOB NOT NULL);
CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE rotations(seq INTEGER PRIMARY KEY, old TEXT NOT NULL, new TEXT NOT NULL, signature TEXT NOT NULL);
CREATE TABLE loose(request TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(request, seq)) WITHOUT ROWID;
"""
QUERY = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
"""What `wrong` is given."""

Part: TypeAlias = tuple[str, str, str | None]
"""Type, name and statement, as `sqlite_schema` has them."""

_MAKES = re.compile(r"CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER) (\w+)")
_QUOTED = re.compile(r'"(\w+)"')
_MARKED = re.compile(r"\b(requests_(?:user|jti))_\d+\b")
_OF_SQLITE = re.compile(r"sqlite_autoindex_\w+")


def carriers(table: str) -> Iterator[tuple[str, str]]:
    """Give the triggers, by name, that let a new personal table follow the old one."""
    key = PERSONAL_TABLES[table][1]
    carry = f"INSERT OR REPLACE INTO {table}_next SELECT * FROM {table} WHERE {key} = NEW.{key}"  # noqa: S608 - constant names
    for name, event, work in (
        ("added", "INSERT", carry),
        ("changed", "UPDATE", carry),
        ("gone", "DELETE", f"DELETE FROM {table}_next WHERE {key} = OLD.{key}"),  # noqa: S608 - the same
    ):
        yield f"erasing_{name}", f"CREATE TRIGGER erasing_{name} AFTER {event} ON {table} BEGIN {work}; END"


def wrong(found: Iterable[Sequence[object]], *, erasing: bool) -> str:
    """Say what is in a file and no part of a ledger, or what is missing; empty where all is well.

    Args:
        found: The rows of `QUERY`.
        erasing: An erasure goes on, which makes tables and triggers and takes them away before it ends.
    """
    parts = {_plain(*row) for row in found}
    allowed = _WHOLE | _OF_AN_ERASURE if erasing else _WHOLE
    for kind, name, sql in sorted(parts - allowed, key=str):
        if not (kind == "index" and sql is None and _OF_SQLITE.fullmatch(name)):
            return f"{f'{kind} {name}'[:60]!r} is no part of a ledger"
    missing = sorted(f"{kind} {name}" for kind, name, _ in _WHOLE - parts)
    return f"{missing[0]!r} of the ledger is missing" if missing else ""


def check(connection: apsw.Connection) -> None:
    """Refuse a file with anything in it that is not ours, before anything of it is used.

    Raises:
        StoreForeignError: There is, or something of ours is missing.
    """
    found = connection.execute(QUERY).fetchall()
    # Whether an erasure goes on stands in a table: first see that it is one.
    why = wrong(found, erasing=True)
    why = why or wrong(found, erasing=bool(connection.execute("SELECT 1 FROM meta WHERE name = 'erasing'").get))
    if why:
        raise StoreForeignError(
            f"somebody changed the ledger: {why}", hint="nothing was written; keep a copy, and see: elevate audit verify"
        )


def _plain(kind: object, name: object, sql: object) -> Part:
    """Give a part without what differs from ledger to ledger: quotes and spaces, and the marks of an erasure's indexes."""
    text = None if sql is None else _MARKED.sub(r"\1", _QUOTED.sub(r"\1", " ".join(str(sql).split())))
    return str(kind), _MARKED.sub(r"\1", str(name)), text


def _parts(script: str) -> Iterator[Part]:
    for statement in filter(None, map(str.strip, script.split(";"))):
        if made := _MAKES.match(statement):
            yield _plain(made[1].lower(), made[2], statement)


def _personal(suffix: str) -> Iterator[Part]:
    for table, (script, _) in PERSONAL_TABLES.items():
        yield from _parts(script.format(table=table + suffix, mark=""))


_WHOLE = frozenset(_parts(SCHEMA)) | frozenset(_personal(""))
_OF_AN_ERASURE = frozenset(part for suffix in ("_next", "_old") for part in _personal(suffix)) | frozenset(
    _plain("trigger", name, sql) for table in PERSONAL_TABLES for name, sql in carriers(table)
)
