"""The edges of the pure rooms: what is malformed in each way is refused in its own words."""

from base64 import b64encode

import orjson
import pytest

from elevate.audit import EMPTY, Entry, Origin, body, merkle, opened, parse, seal
from elevate.audit.chain import Anchor, Outcome, Tampering, verify_chain
from elevate.audit.context import MAX_REQUESTS, Context
from elevate.audit.notes import ED25519, Checkpoint, Note, Signer, VerifierKey
from elevate.audit.private import commitment, join
from elevate.audit.proof import HEADER, Proof, check
from elevate.audit.view import line, timeline, when
from elevate.audit.witness import request_body
from elevate.errors import AuditError
from elevate.model import Blob, FileFact, InspectedTask
from elevate.ports import Sync
from elevate.tasks import Task
from elevate.testing import SeededEntropy
from tests.ledgers import draft, sealed

SIGNER = Signer.make("elevate.log/edges", b"e" * 32)
KEY = SIGNER.verifier


def note(data: bytes, *, origin: str = SIGNER.name) -> str:
    return SIGNER.sign(Checkpoint(origin=origin, size=1, root=merkle.leaf(data)).text())


def proof(entry: bytes, *, index: int = 0, text: str = "", openings: bytes = b"") -> Proof:
    return Proof(index=index, hashes=[], note=text or note(entry), entry=entry, openings=openings)


def test_a_proof_of_another_log_is_refused() -> None:
    """Signed by the right key over another log's name."""
    entry = sealed(draft("a"), 0, EMPTY).data
    assert check(proof(entry).text(), KEY).entry.event == "a"
    with pytest.raises(AuditError, match="another log"):
        check(proof(entry, text=note(entry, origin="other.log/x")).text(), KEY)


def test_a_proof_whose_entry_says_another_position_is_refused() -> None:
    """The tree has it at 0, the entry says 5."""
    with pytest.raises(AuditError, match="another position"):
        check(proof(sealed(draft("a"), 5, EMPTY).data).text(), KEY)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (HEADER, "c2sp.org/tlog-proof@v9", "not a proof"),
        ("extra ", "extro ", "not a proof"),
        ("index 0", "index -1", "damaged"),
        ("index 0", "index 0\nAAAA", "damaged"),
        ("extra ", "extra !", "damaged"),
        ("\n\n", "\n", "not a proof"),
    ],
)
def test_a_proof_that_is_malformed_is_refused(old: str, new: str, why: str) -> None:
    """Each line is what the format says."""
    text = proof(sealed(draft("a"), 0, EMPTY).data).text()
    with pytest.raises(AuditError, match=why):
        Proof.parse(text.replace(old, new))


def test_a_proof_without_its_entry_is_refused() -> None:
    """A bare tlog-proof proves nothing that can be read."""
    extra = b64encode(orjson.dumps({"entry": 4})).decode()
    with pytest.raises(AuditError, match="damaged"):
        Proof.parse(f"{HEADER}\nextra {extra}\nindex 0\n\n{note(b'x')}")


@pytest.mark.parametrize("old", ["elevate.log", "\n1\n", "\n\n", "\N{EM DASH}"])
def test_a_note_that_is_no_unicode_text_is_refused(old: str) -> None:
    """So are bytes read that are not UTF-8; nothing of them can be signed."""
    text = note(b"x")
    with pytest.raises(AuditError):
        Note.parse(text.replace(old, f"{old}\udcff", 1)).verify(KEY)


@pytest.mark.parametrize("opening", [b"1", b"{}", b"[1]", b'["s",1,2]', b'["s","n"]', b"x"])
def test_what_an_entry_commits_to_may_still_be_no_opening(opening: bytes) -> None:
    """A log's owner can commit to anything; whoever reads it gets an error."""
    with pytest.raises(AuditError, match="can't be read"):
        join({"_sd": [commitment(opening)]}, opening)


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000", "name+00000000+AQ==", str(KEY)[:-4], f"x{KEY}", "a b+00000000+AAAA", f"\udcff{KEY}"],
)
def test_a_key_that_is_malformed_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(AuditError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+x", SIGNER.secret()[1:], SIGNER.secret().replace("edges", "other")])
def test_a_private_key_that_is_malformed_is_refused(text: str) -> None:
    """Also one whose hash is of another name."""
    with pytest.raises(AuditError):
        Signer.parse(text)
    assert VerifierKey(name="n", kind=ED25519, key=KEY.key).hash != KEY.hash


def test_a_witness_that_has_seen_more_is_told_nothing() -> None:
    """The log was cut, or is an older copy."""
    with pytest.raises(AuditError, match="has seen 2 entries"):
        request_body(note(b"x"), 2, lambda _old, _new: [])


def test_an_entry_beyond_its_bound_is_refused() -> None:
    """Entry and openings are bounded each."""
    long = draft("e", "", decision={"rules": ["r" * 70_000]})
    with pytest.raises(AuditError, match="more than 65535"):
        seal(long, 0, EMPTY, origin=Origin(), draw=SeededEntropy().token_bytes)


def test_the_last_of_a_chain_that_does_not_fit_is_named() -> None:
    """Nothing follows that could say which of the two was changed: it is the one that the last names."""
    first = sealed(draft("a"), 0, EMPTY)
    stranger = sealed(draft("b"), 1, "f" * 64)
    verdict = verify_chain([first.data, stranger.data])
    assert (verdict.outcome, verdict.position, verdict.kind) == (Outcome.TAMPERED, 0, Tampering.EDITED)
    broken = verify_chain([stranger.data.replace(b'"seq":1', b'"seq":0')])
    assert (broken.position, broken.kind) == (0, Tampering.EDITED)
    assert verify_chain([], Anchor(size=0, head=EMPTY)).outcome is Outcome.VERIFIED


def test_a_context_forgets_what_is_long_past() -> None:
    """It is bounded; what comes again is looked up again."""
    asked: list[str] = []

    def look(request: str) -> list[Entry]:
        asked.append(request)
        return []

    context = Context(look)
    for number in range(MAX_REQUESTS + 1):
        context.feed(parse(sealed(draft("e", f"r{number}"), number, EMPTY).data))
    context.feed(parse(sealed(draft("e", "r0"), 0, EMPTY).data))
    assert asked.count("r0") == 2
    assert context.feed(parse(sealed(draft("e"), 0, EMPTY).data)) == {}


@pytest.mark.parametrize(
    ("unix_us", "shown"), [(0, "1970-01-01T00:00:00.000Z"), (10**17, "5138-11-16T09:46:40.000Z"), (2**62, str(2**62))]
)
def test_a_time_that_no_calendar_has_is_shown_as_its_number(unix_us: int, shown: str) -> None:
    """A clock may say anything."""
    assert when(unix_us) == shown


def test_a_timeline_never_goes_back() -> None:
    """Across a boot the monotonic clock begins anew; a step takes no negative time."""
    entries = [
        Entry(seq=at, event="e", request="r", unix_us=0, mono_us=mono, body={}, was="")
        for at, mono in enumerate((9000, 10_500, 3))
    ]
    assert [shown.took_ms for shown in timeline(entries, [True, False, None])] == [0.0, 1.5, 0.0]


def test_every_part_of_a_body_is_shown() -> None:
    """A line says who, what, by which rule, how proven, as whom, how it ended and why."""
    members: body.Body = {
        "actor": {"user": "alice", "uid": 1},
        "task": {"kind": "process.run", "display": "x" * 200},
        "decision": {"outcome": "deny", "rules": []},
        "authentication": {"method": "face", "simulated": True},
        "token": {"jti": "t"},
        "process": {"pid": 5, "identity": {"name": "ADMIN_alice"}, "exit_status": None, "signal": 9},
        "reason": {"code": "denied", "text": "denied"},
    }
    made = sealed(draft("e", "r", **members), 0, EMPTY)
    shown = line(opened(made.data, made.openings))
    assert shown.who == "alice (1)"
    assert shown.what == f"{'x' * 79}…, deny by no rule, face (simulated), token t, as ADMIN_alice pid 5 signal 9, denied"


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        (body.clock(3, Sync(state="synchronised", error_us=2_400)), "clock steady, synchronised within 2.4 ms"),
        (
            body.clock(-90_000_000, Sync(state="unsynchronised", error_us=16_000_000)),
            "clock stepped by -90.0 s, unsynchronised",
        ),
        (body.clock(0, Sync()), "clock steady"),
        (body.access("search", 3, complete=True, question="user:bob"), "search user:bob, 3 entries"),
        (body.access("follow", 9, complete=True, began=4), "follow, 9 entries"),
        ({"erasure": {"entries": 7, "requests": 2, "by_subject": False}}, "openings of 7 entries, of 2 requests"),
        ({"pruning": {"before": 512, "entries": 512}}, "512 entries, those before 512"),
        ({"settings": {"changed": ["ap_mode", "x"], "before": {}, "after": {}}}, "ap_mode x"),
        (body.lockout("bob", "failures", 30), "for 30 s, failures"),
    ],
)
def test_what_is_no_step_of_a_request_is_shown_too(members: body.Body, shown: str) -> None:
    """A line of ``tail`` is never empty of what happened."""
    made = sealed(draft("e", "", **members), 0, EMPTY)
    assert line(opened(made.data, made.openings)).what == shown


def test_the_builders_say_what_was_found() -> None:
    """A file with its hash, the request's digest, and a setting by the digest of its content."""
    asked = Task.run(["/bin/ls"])
    found = InspectedTask(
        task=asked,
        argv=("/bin/ls",),
        cwd="/",
        file=FileFact(path="/bin/ls", sha256="f" * 64, size=1),
        payload=Blob(sha256="0" * 64, size=1),
    )
    made = body.task(found, request_digest="d" * 64)["task"]
    assert isinstance(made, dict)
    assert (made["path"], made["sha256"], made["request_digest"]) == ("/bin/ls", "f" * 64, "d" * 64)
    bare = body.task(InspectedTask(task=asked, argv=(), cwd="/"))["task"]
    assert isinstance(bare, dict)
    assert bare.keys() == {"kind", "display", "digest", "cwd"}
    assert body.setting("policy", "d") == {"setting": {"name": "policy", "digest": "d"}}
    assert body.clock(0, Sync()) == {"clock": {"status": "steady", "drift_us": 0, "sync": "unknown"}}
