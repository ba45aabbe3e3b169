"""Which PINs may be chosen. Pure; a PIN is a ``bytearray``, so that it can be wiped.

A PIN of digits with one constant difference between neighbours, modulo 10, is simple: 10 first digits times 10 differences are
exactly 100 of each length. So ``111111``, ``123456``, ``975319``. Source: Windows, hello.md row 13.
"""

from itertools import pairwise

from elevate.errors import PinRefusedError
from elevate.hello.settings import Characters, PinRules

_DIGITS = frozenset(b"0123456789")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SPECIAL = frozenset(range(0x20, 0x7F)) - _DIGITS - _LOWER - _UPPER


def check_new_pin(pin: bytearray, rules: PinRules) -> None:
    """Refuse a PIN that breaks a rule.

    Raises:
        PinRefusedError: The message names the rule, never the PIN.
    """
    if not rules.minimum_length <= len(pin) <= rules.maximum_length:
        raise PinRefusedError(f"a PIN has {rules.minimum_length} to {rules.maximum_length} characters")
    given = frozenset(pin)
    if not given <= _DIGITS | _LOWER | _UPPER | _SPECIAL:
        raise PinRefusedError("a PIN has only characters that every keyboard can type")
    classes = (
        ("digits", _DIGITS, rules.digits),
        ("small letters", _LOWER, rules.lowercase),
        ("capital letters", _UPPER, rules.uppercase),
        ("special characters", _SPECIAL, rules.special),
    )
    for name, members, rule in classes:
        _check_class(name, rule, present=not given.isdisjoint(members))
    if is_simple(pin):
        raise PinRefusedError("this PIN is one of the hundred simple ones of its length")


def is_simple(pin: bytes | bytearray) -> bool:
    """Say whether all neighbours of an all-digit PIN differ by the same number, modulo 10."""
    if not _DIGITS.issuperset(pin):
        return False
    return len({(after - before) % 10 for before, after in pairwise(pin)}) <= 1


def wipe(secret: bytearray | None) -> None:
    """Overwrite a secret with zeros."""
    if secret is not None:
        secret[:] = bytes(len(secret))


def _check_class(name: str, rule: Characters, *, present: bool) -> None:
    if rule is Characters.REQUIRED and not present:
        raise PinRefusedError(f"a PIN needs {name}")
    if rule is Characters.NOT_ALLOWED and present:
        raise PinRefusedError(f"a PIN has no {name}")
