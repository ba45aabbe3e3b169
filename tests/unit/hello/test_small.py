"""Small pure parts: the signed method, the rules of a PIN, a TPM's word cut short."""

import pytest

from elevate.errors import GestureError, HelloDamagedError, PinRefusedError
from elevate.hello import PinRules, cbor, keys, uvm
from elevate.hello.container import Container, Protector, SecurityKeyCredential
from elevate.hello.lockout import Tries
from elevate.hello.pins import check_new_pin, is_simple, wipe
from elevate.hello.settings import Characters
from elevate.hello.tpm_attest import check_certified
from elevate.hello.tries import spell


@pytest.mark.parametrize(
    "extensions",
    [
        b"",
        b"\xff",
        cbor.encode({}),
        cbor.encode({"uvm": []}),
        cbor.encode({"uvm": [[4, 1]]}),
        cbor.encode({"uvm": [[3, 1, 1]]}),
    ],
)
def test_a_method_that_can_not_be_read_is_refused(extensions: bytes) -> None:
    """None, broken, empty, no triple, unknown."""
    with pytest.raises(GestureError):
        uvm.decode(extensions)


def test_methods_are_read_back_in_order() -> None:
    """The first one first."""
    assert uvm.decode(uvm.encode(("pin", "face"))) == ("pin", "face")


@pytest.mark.parametrize(
    ("pin", "rules", "reason"),
    [
        (b"27182", PinRules(), "6 to 127"),
        (b"27182\xc3", PinRules(), "keyboard"),
        (b"abcdefh", PinRules(), "needs digits"),
        (b"27182x", PinRules(), "no small letters"),
        (b"27182X", PinRules(), "no capital letters"),
        (b"27182!", PinRules(), "no special characters"),
        (b"271828", PinRules(special=Characters.REQUIRED), "needs special characters"),
    ],
)
def test_a_pin_that_breaks_a_rule_is_told_which(pin: bytes, rules: PinRules, reason: str) -> None:
    """One rule at a time."""
    with pytest.raises(PinRefusedError, match=reason):
        check_new_pin(bytearray(pin), rules)


def test_letters_are_never_simple() -> None:
    """The rule is of digits."""
    assert not is_simple(b"abcdef")
    assert not is_simple(b"12345x")


def test_nothing_is_wiped_where_nothing_is() -> None:
    """And something where something is."""
    secret = bytearray(b"271828")
    wipe(None)
    wipe(secret)
    assert secret == bytes(6)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (1, "1 s"), (60, "1 min"), (599, "9 min 59 s")])
def test_a_time_to_wait_in_words(seconds: int, text: str) -> None:
    """Minutes and seconds."""
    assert spell(seconds) == text


@pytest.mark.parametrize("attest", [b"", b"\xffTCG", b"\xffTCG\x80\x17\x00\x05ab"])
def test_a_tpms_word_that_is_cut_short_is_refused(attest: bytes) -> None:
    """Even when it is signed."""
    key = keys.new_key(keys.ES256)
    signature = keys.sign(key, attest)
    with pytest.raises(GestureError):
        check_certified(attest, signature, keys.cose(key, keys.ES256), public=b"", challenge=b"")


@pytest.mark.parametrize("public", [b"\xff", cbor.encode([1]), cbor.encode({1: 2, 3: -7, -1: 1}), cbor.encode({1: 1, 3: -7})])
def test_a_key_that_is_none_verifies_nothing(public: bytes) -> None:
    """Not CBOR, no map, no point, another type."""
    with pytest.raises(GestureError):
        keys.verify(public, b"s", b"d", algorithms=(keys.ES256,))


def test_a_container_comes_back_as_it_was_kept() -> None:
    """With all its parts; another owner's file, another version and a broken one are refused."""
    one = Protector(gesture="pin", secret="s", sealed=b"x", created_at=1, salt=b"y")
    device = SecurityKeyCredential(credential="AA", public_key=b"p", model="00", created_at=2)
    kept = Container(
        user="a", owner="o", credential="c", algorithm=-7, public_key=b"k", protectors=(one,), security_keys=(device,)
    )
    assert Container.decode(kept.encode(), owner="o") == kept
    bad = [b"", b"[]", kept.encode().replace(b'"v":1', b'"v":2'), kept.encode().replace(b'"gesture"', b'"gestur"')]
    for data, owner in [(kept.encode(), "other"), *((data, "o") for data in bad)]:
        with pytest.raises(HelloDamagedError):
            Container.decode(data, owner=owner)


@pytest.mark.parametrize("members", [{}, {"failed": "3"}, {**Tries().to_json(), "more": 1}])
def test_a_counters_record_of_another_shape_is_refused(members: dict[str, bool | int | str]) -> None:
    """What can't be counted is not checked."""
    with pytest.raises(HelloDamagedError):
        Tries.from_json(dict(members))
