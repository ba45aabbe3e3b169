"""Who a certificate chain and a table of signatures vouch for."""

import struct
from pathlib import Path

import pytest

from elevate.host.windows.authenticode import Table, Verdict, check, der_length, exactly_covered, find_table, trust
from tests.unit.host.windows.certificates import AFTER, NOW, Party, contoso, party
from tests.unit.host.windows.programs import Program


def verdict(leaf: Party, others: list[Party], roots: list[Party], *, now: int = NOW) -> Verdict:
    return trust(leaf.certificate, [one.certificate for one in others], [one.certificate for one in roots], now=now)


def test_a_root_of_ours_vouches() -> None:
    root, leaf = contoso()

    assert verdict(leaf, [], [root]) is Verdict.SIGNED


def test_a_chain_over_an_intermediate_holds() -> None:
    root, _ = contoso()
    middle = party("Test Intermediate", root, ca=True, key=3)
    leaf = party("Contoso Ltd", middle, key=2)

    assert verdict(leaf, [middle], [root]) is Verdict.SIGNED
    assert verdict(leaf, [], [root]) is Verdict.UNTRUSTED


def test_a_root_in_the_bundle_is_no_root_of_ours() -> None:
    """What travels in the file proves nothing by being there."""
    root, leaf = contoso()

    assert verdict(leaf, [root], []) is Verdict.UNTRUSTED


def test_a_root_of_the_same_name_is_another() -> None:
    """A wrong authority that took the name of ours has another key."""
    _, leaf = contoso()
    impostor = party("Test Root", ca=True, key=4)

    assert verdict(leaf, [], [impostor]) is Verdict.UNTRUSTED


def test_one_who_is_no_authority_can_t_vouch() -> None:
    root, publisher = contoso()
    leaf = party("Fabrikam", publisher, key=5)

    assert verdict(leaf, [publisher], [root]) is Verdict.UNTRUSTED


def test_a_certificate_for_something_else_is_unfit() -> None:
    root, _ = contoso()

    assert verdict(party("Contoso Web", root, signs_code=False, key=6), [], [root]) is Verdict.UNFIT


@pytest.mark.parametrize(("now", "expected"), [(AFTER, Verdict.EXPIRED), (1, Verdict.EXPIRED), (NOW, Verdict.SIGNED)])
def test_a_certificate_counts_in_its_time_only(now: int, expected: Verdict) -> None:
    root, leaf = contoso()

    assert verdict(leaf, [], [root], now=now) is expected


DER = b"\x30\x03abc"


def entry(body: bytes, *, extra: bytes = b"") -> bytes:
    data = struct.pack("<IHH", 8 + len(body), 0x200, 2) + body
    return data + bytes(-len(data) % 8) + extra


@pytest.mark.parametrize(
    ("table", "covered"),
    [
        (entry(DER), True),
        (entry(DER) + entry(DER), True),
        (entry(DER + bytes(7)), True),
        (entry(DER + bytes(8)), False),
        (entry(DER + b"payload"), False),
        (entry(DER, extra=b"tail"), False),
        (entry(b"\x31\x00"), False),
        (b"\0" * 8, False),
    ],
)
def test_a_table_holds_signatures_and_nothing_else(tmp_path: Path, table: bytes, covered: bool) -> None:  # noqa: FBT001
    """A payload behind the signature, in its padding or behind the table is not covered by it."""
    file = tmp_path / "signed"
    file.write_bytes(b"head" + table)

    assert exactly_covered(str(file), Table(offset=4, size=len(table))) is covered


def test_bytes_after_the_table_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "signed"
    file.write_bytes(entry(DER) + b"x")

    assert not exactly_covered(str(file), Table(offset=0, size=len(entry(DER))))


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"\x30\x00", 2),
        (b"\x30\x81\x01a", 4),
        (b"\x30\x82\x00\x01a", 5),
        (b"\x30\x05ab", None),
        (b"\x30\x80", None),
        (b"0", None),
    ],
)
def test_a_sequence_s_length(data: bytes, length: int | None) -> None:
    assert der_length(data) == length


@pytest.mark.parametrize("bits", [32, 64])
def test_a_program_without_a_table_is_unsigned(tmp_path: Path, bits: int) -> None:
    file = tmp_path / "a.exe"
    file.write_bytes(Program(bits=bits).build())

    assert find_table(str(file)) == Table(offset=0, size=0)
    assert check(str(file), [], now=NOW).verdict is Verdict.UNSIGNED


@pytest.mark.parametrize("data", [b"", b"MZ", b"ELF" * 100, b"MZ".ljust(64, b"\xff")])
def test_what_is_no_program_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.exe"
    file.write_bytes(data)

    with pytest.raises(ValueError, match="not a PE file"):
        find_table(str(file))
