"""Claims: every one required, typed and bounded, both sides of every bound; others can't be made."""

from dataclasses import fields, replace

import pytest

from elevate.canonical import MAX_INTEGER
from elevate.errors import TokenError
from elevate.model import ProcessIdentity
from elevate.token import Claims, new_jti, thumbprint
from elevate.token.claims import MAX_CLAIM_CHARS, MAX_DISPLAY_CHARS, MAX_METHODS, MAX_STEPS, MAX_TOKEN_SECONDS
from tests.tokens import CLAIMS, KEY, NOW, PROCESS, claims

TEXTS = ["iss", "sub", "aud", "client_id", "acr", "kind", "request", "session", "epoch"]
WRONG_TYPES = [None, True, 1, 1.5, b"x", ["x"], {"a": 1}, ()]
LONGEST_LIFE = {"iat": NOW, "exp": NOW + MAX_TOKEN_SECONDS}


def _refused(name: str, **changes: object) -> None:
    with pytest.raises(TokenError) as caught:
        claims(**changes)
    assert caught.value.detail == f"out of bounds: {name}"
    assert name not in caught.value.message


def _process(**changes: object) -> ProcessIdentity:
    return replace(PROCESS, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TEXTS)
def test_text_claim(name: str) -> None:
    """1 to MAX_CLAIM_CHARS characters of text."""
    for good in ("a", "é" * MAX_CLAIM_CHARS):
        assert getattr(claims(**{name: good}), name) == good
    for bad in ("", "a" * (MAX_CLAIM_CHARS + 1), *WRONG_TYPES):
        _refused(name, **{name: bad})


def test_display() -> None:
    """1 to MAX_DISPLAY_CHARS characters that show as they are."""
    for good in ("a", "a" * MAX_DISPLAY_CHARS, "'a\\n é'"):
        assert claims(display=good, steps=(good,)).display == good
    for bad in ("", "a" * (MAX_DISPLAY_CHARS + 1), *WRONG_TYPES):
        _refused("display", display=bad)
        _refused("steps", steps=(bad,))
    for hidden in ("a\nb", "\x1b[2J", "\u202etxt", "\u3164"):
        _refused("display", display=hidden)
        _refused("display", steps=("a", hidden))


@pytest.mark.parametrize(("name", "most"), [("amr", MAX_METHODS), ("steps", MAX_STEPS)])
def test_list_claim(name: str, most: int) -> None:
    """A tuple of at least one text, and of so many at most."""
    for good in (("a",), ("a",) * most):
        assert getattr(claims(**{name: good}), name) == good
    for bad in ((), ("a",) * (most + 1), ["a"], "a", None, {"a"}, ("",), (1,), (None,)):
        _refused(name, **{name: bad})
    longest = {"amr": MAX_CLAIM_CHARS, "steps": MAX_DISPLAY_CHARS}[name]
    claims(**{name: ("a" * longest,)})
    _refused(name, **{name: ("a" * (longest + 1),)})


@pytest.mark.parametrize("name", ["request_digest", "policy"])
def test_digest_claim(name: str) -> None:
    """64 lower-case hexadecimal characters."""
    assert getattr(claims(**{name: "0123456789abcdef" * 4}), name)
    for bad in ("", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", "a" * 64 + "\n", *WRONG_TYPES):
        _refused(name, **{name: bad})


@pytest.mark.parametrize("last", "AQgw")
def test_jti_canonical(last: str) -> None:
    """22 characters of base64url whose last four bits are zero."""
    assert claims(jti="A" * 21 + last).jti == "A" * 21 + last


@pytest.mark.parametrize(
    "jti",
    ["", "A" * 21, "A" * 23, "A" * 21 + "B", "A" * 21 + "_", "A" * 20 + "+A", "A" * 22 + "=", "A" * 22 + "\n", *WRONG_TYPES],
)
def test_jti_refused(jti: object) -> None:
    """No second spelling of the same 16 bytes, no other length or alphabet."""
    _refused("jti", jti=jti)


def test_new_jti() -> None:
    """A token is named after 16 bytes, no more and no fewer."""
    assert new_jti(bytes(16)) == "A" * 22
    assert new_jti(b"\xff" * 16) == "_" * 21 + "w"
    for size in (0, 15, 17):
        with pytest.raises(ValueError, match="16 bytes"):
            new_jti(bytes(size))


@pytest.mark.parametrize("life", [1, 30, MAX_TOKEN_SECONDS])
def test_life_within(life: int) -> None:
    """A token lives 1 to MAX_TOKEN_SECONDS seconds."""
    assert claims(exp=NOW + life).exp == NOW + life


@pytest.mark.parametrize("life", [-1, 0, MAX_TOKEN_SECONDS + 1, 10**6])
def test_life_beyond(life: int) -> None:
    """No token is born expired or lives longer."""
    _refused("exp", exp=NOW + life)


@pytest.mark.parametrize("name", ["iat", "exp", "auth_time"])
@pytest.mark.parametrize("value", [-1, 253_402_300_800, 10**18, 2**63, "1800000000", 1.8e9, None, True, [1]])
def test_time_claim(name: str, value: object) -> None:
    """Integers of Unix seconds until the end of the year 9999."""
    _refused(name, **{name: value})


def test_time_bounds() -> None:
    """Zero and the last second of 9999 are times."""
    assert claims(iat=0, exp=1, auth_time=0).exp == 1
    last = 253_402_300_799
    assert claims(iat=last - 1, exp=last).exp == last


def test_gesture_comes_before_the_token() -> None:
    """A gesture can't be later than the token that it led to."""
    assert claims(auth_time=NOW).auth_time == NOW
    _refused("auth_time", auth_time=NOW + 1)


def test_position() -> None:
    """A position in the log: 0 to 2^53 - 1; -1 is the mark of a token that was never issued."""
    assert claims(position=0).position == 0
    assert claims(position=MAX_INTEGER).position == MAX_INTEGER
    for bad in (-1, MAX_INTEGER + 1, 2**63, "1", 1.0, True, None):
        _refused("position", position=bad)


@pytest.mark.parametrize(
    ("name", "smallest", "largest"), [("uid", 0, 2**32 - 2), ("pid", 1, 2**22), ("start_time", 0, 2**53 - 1)]
)
def test_process_numbers(name: str, smallest: int, largest: int) -> None:
    """Numbers that the kernel can give: uid 2^32 - 1 means "no change" and is nobody; pid 0 is nobody's."""
    for good in (smallest, largest):
        assert claims(binding=_process(**{name: good})).binding == _process(**{name: good})
    for bad in (smallest - 1, largest + 1, str(largest), 1.0, True, None):
        _refused(name, binding=_process(**{name: bad}))


@pytest.mark.parametrize("boot_id", ["", "a" * (MAX_CLAIM_CHARS + 1), None, 1])
def test_process_boot_id(boot_id: object) -> None:
    """The boot id is a text claim."""
    _refused("boot_id", binding=_process(boot_id=boot_id))


def test_key_binding() -> None:
    """Instead of a process: the canonical thumbprint of a key."""
    assert claims(binding=thumbprint(KEY.public)).to_json()["cnf"] == {"jkt": KEY.kid}
    for bad in ("", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "=", "A" * 43 + "\n"):
        _refused("jkt", binding=bad)


def test_to_json() -> None:
    """The members as they stand in the token."""
    assert CLAIMS.to_json() == {
        "iss": CLAIMS.iss,
        "sub": CLAIMS.sub,
        "aud": CLAIMS.aud,
        "client_id": CLAIMS.client_id,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 30,
        "jti": "AAECAwQFBgcICQoLDA0ODw",
        "auth_time": NOW - 3,
        "amr": ["pin", "swk"],
        "acr": CLAIMS.acr,
        "cnf": {"process": {"uid": 1000, "pid": 4711, "start_time": 98_765, "boot_id": PROCESS.boot_id}},
        "authorization_details": [
            {
                "type": "urn:elevate:task",
                "kind": "process.run",
                "request_digest": "ab" * 32,
                "display": CLAIMS.display,
                "steps": [CLAIMS.display],
            }
        ],
        "elv": {
            "request": CLAIMS.request,
            "session": CLAIMS.session,
            "epoch": CLAIMS.epoch,
            "policy": "cd" * 32,
            "position": 41,
            "integrity": 12_288,
            "requester_integrity": 8192,
        },
    }


def test_every_field_has_a_bound() -> None:
    """No claim takes a value of a type that no claim has: a new one must be checked, too."""
    for field in fields(Claims):
        for wrong in (None, 1.5, {}, object()):
            with pytest.raises(TokenError):
                claims(**{field.name: wrong})


def test_from_json_gives_the_claims_back() -> None:
    """What `to_json` gives is read, with either binding."""
    for good in (CLAIMS, claims(binding=KEY.kid), claims(steps=("a", "b"))):
        assert Claims.from_json(good.to_json()) == good


@pytest.mark.parametrize("name", ["integrity", "requester_integrity"])
def test_12_integrity_levels_are_those_of_windows(name: str) -> None:
    """And nothing between or above them, nor of another type."""
    for level in (0, 4096, 8192, 8448, 12_288, 16_384):
        assert getattr(claims(**{name: level}), name) == level
    for bad in (-1, 1, 8193, 20_480, 2**63, True, 8192.0, "8192", None):
        _refused(name, **{name: bad})
