"""What a person could be guessed from stands in no entry, and what is opened is proven by it."""

import json
from hashlib import sha256

import pytest

from elevate.audit import EMPTY, Origin, body, opened, parse, private, seal
from elevate.errors import AuditError
from elevate.model import AdminIdentity, Ended, ProcessIdentity, Requester, VerifiedGesture
from elevate.testing import SeededEntropy
from tests.ledgers import AT, draft

PERSON = Requester(
    user="alice",
    sid="S-1-5-21-1-2-3-1001",
    groups=("developers",),
    machine="alices-laptop",
    process=ProcessIdentity(uid=1000, pid=4711, start_time=99, boot_id="b"),
    executable="/home/alice/bin/tool",
    chain=("bash (4711)",),
)
GESTURE = VerifiedGesture(
    method="pin",
    amr=("pin", "swk"),
    acr="urn:elevate:acr:pin",
    credential="cred-a",
    auth_time=1,
    assertion={"signature": "by-alice"},
)
BODY = (
    body.actor(PERSON, session="s1")
    | {"task": {"kind": "process.run", "display": "cat /home/alice/x", "digest": "d" * 64}}
    | body.authentication(GESTURE)
    | body.process(AdminIdentity(name="ADMIN_alice", sid="S-1", uid=9, home="/h"), pid=5, ended=Ended(exit_status=0))
    | body.reason("denied", "alice may not")
    | {"written": {"first": ["/home/alice/y"]}}
)
SEALED = seal(draft("issued", "r", **BODY), 0, EMPTY, origin=Origin(), draw=SeededEntropy(1).token_bytes)
PERSONAL = ("alice", "1001", "4711", "cred-a", "by-alice", "d" * 64, "S-1-5", "/home")


@pytest.mark.parametrize("word", PERSONAL)
def test_nothing_of_a_person_stands_in_the_entry(word: str) -> None:
    """Neither name nor number, digest, credential or path."""
    assert word not in SEALED.data.decode()
    assert word in SEALED.openings.decode()


def test_what_names_nobody_stands_in_the_entry() -> None:
    """Kind, method, exit status and code stay searchable after an erasure."""
    entry = parse(SEALED.data)
    assert entry.body["task"] == {"kind": "process.run"}
    assert (entry.body["process"], entry.body["reason"]) == (
        {"pid": 5, "exit_status": 0, "signal": None, "timed_out": False, "leftover": 0, "duration_ms": 0},
        {"code": "denied"},
    )


def test_opened_gives_the_whole_body() -> None:
    """As it was written."""
    assert opened(SEALED.data, SEALED.openings).body == json.loads(json.dumps(BODY))


def test_erased_openings_leave_the_entry_readable() -> None:
    """All of them, or some."""
    assert "actor" not in opened(SEALED.data, b"").body
    some = SEALED.openings.split(b"\n")[1]
    assert opened(SEALED.data, some).body.keys() >= {"task", "process"}


def test_42_an_edited_opening_is_refused() -> None:
    """No other value fits the commitment."""
    with pytest.raises(AuditError, match="commits to"):
        opened(SEALED.data, SEALED.openings.replace(b'"user":"alice"', b'"user":"bobby"'))


def test_an_opening_that_is_no_opening_is_refused() -> None:
    """Even where the digest fits."""
    for junk in (b"[]", b"{}", b'[1,"a",2]', b"x"):
        digest = private.commitment(junk)
        with pytest.raises(AuditError, match="can't be read"):
            private.join({"_sd": [digest]}, junk)


def test_the_digest_is_that_of_rfc_9901() -> None:
    """Section 4.2.3 hashes the base64url text of the disclosure; the example is that of section 4.2.1."""
    opening = b'["_26bc4LT-ac6q2KI6cBW5es", "family_name", "M\xc3\xb6bius"]'
    assert private.disclosure(opening) == b"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert private.commitment(opening) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_equal_bodies_have_different_commitments() -> None:
    """The salt hides that the same person did the same again."""
    drawn = SeededEntropy(2).token_bytes
    first, second = (seal(draft("a", "", **BODY), 0, EMPTY, origin=Origin(), draw=drawn) for _ in range(2))
    assert not set(_digests(first.data)) & set(_digests(second.data))


def test_the_salt_is_128_bits() -> None:
    """And is drawn anew for every opening."""
    salts = [json.loads(opening)[0] for opening in SEALED.openings.split(b"\n")]
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {24}


def test_a_guess_can_not_be_checked_without_the_salt() -> None:
    """The digest of the value alone appears nowhere."""
    assert sha256(b"alice").hexdigest() not in SEALED.data.decode()


def test_an_opening_that_is_too_long_is_refused() -> None:
    """As an entry is."""
    with pytest.raises(AuditError, match="openings"):
        seal(draft("e", "", written="x" * 70_000), 0, EMPTY, origin=Origin(), draw=SeededEntropy().token_bytes)
    assert AT.unix_us


def _digests(data: bytes) -> list[str]:
    found = parse(data).body["_sd"]
    assert isinstance(found, list)
    return [str(digest) for digest in found]
