"""An MSI package's signature: what osslsigncode signs holds, and nothing that was changed since does."""

import struct
from pathlib import Path

import olefile
import pytest

from elevate.host.windows import cms
from elevate.host.windows.authenticode import Verdict
from elevate.host.windows.msi_signature import METADATA, SIGNATURE, check
from tests.lab.installers import msi
from tests.tools import run, tool
from tests.unit.host.windows.certificates import AFTER, NOW, Party, contoso, party

SECTOR = 512


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return msi(tmp_path_factory.mktemp("msi"))


@pytest.fixture(scope="module")
def signed(package: Path) -> bytes:
    return sign(package, contoso()[1]).read_bytes()


def sign(package: Path, publisher: Party, *options: str, digest: str = "sha256") -> Path:
    certificate, key, out = (package.with_suffix(suffix) for suffix in (".crt", ".key", f".{len(options)}{digest}.msi"))
    certificate.write_bytes(publisher.pem)
    key.write_bytes(publisher.key_pem)
    out.unlink(missing_ok=True)
    words = ("-certs", certificate, "-key", key, "-h", digest, "-in", package, "-out", out)
    run(tool("osslsigncode", "osslsigncode"), "sign", *options, *words)
    return out


def verdict(data: bytes, folder: Path, *, now: int = NOW, root: Party | None = None) -> tuple[Verdict, str]:
    place = folder / "package.msi"
    place.write_bytes(data)
    found = check(str(place), [(root or contoso()[0]).der], now=now)
    return found.verdict, found.publisher


def place_of(data: bytes, name: str) -> tuple[int, int]:
    """Give where a large stream's first sector lies, and its size."""
    with olefile.OleFileIO(data) as file:
        entry = next(one for one in file.root.kids if one.name == name)
        return (entry.isectStart + 1) * SECTOR, entry.size


def test_what_was_signed_holds(package: Path, signed: bytes, tmp_path: Path) -> None:
    """By a root of ours; without a signature there is none."""
    assert verdict(signed, tmp_path) == (Verdict.SIGNED, "Contoso Ltd")
    assert verdict(package.read_bytes(), tmp_path) == (Verdict.UNSIGNED, "")


@pytest.mark.parametrize("digest", ["sha384", "sha512"])
def test_other_strong_digests_hold(package: Path, tmp_path: Path, digest: str) -> None:
    assert verdict(sign(package, contoso()[1], digest=digest).read_bytes(), tmp_path)[0] is Verdict.SIGNED


def test_a_weak_digest_counts_for_nothing(package: Path, tmp_path: Path) -> None:
    """SHA-1, by which two packages of one digest can be made."""
    assert verdict(sign(package, contoso()[1], digest="sha1").read_bytes(), tmp_path)[0] is Verdict.UNFIT


def test_trust_is_the_same_as_a_programs(package: Path, signed: bytes, tmp_path: Path) -> None:
    """Another root, another time, a certificate for something else."""
    assert verdict(signed, tmp_path, root=party("Other Root", ca=True, key=7)) == (Verdict.UNTRUSTED, "Contoso Ltd")
    assert verdict(signed, tmp_path, now=AFTER) == (Verdict.EXPIRED, "Contoso Ltd")
    web = party("Contoso Web", contoso()[0], signs_code=False, key=6)
    assert verdict(sign(package, web).read_bytes(), tmp_path) == (Verdict.UNFIT, "Contoso Web")


def test_names_and_times_are_covered_where_it_says_so(package: Path, tmp_path: Path) -> None:
    """With the further digest; and that one can't be left out."""
    data = sign(package, contoso()[1], "-add-msi-dse").read_bytes()
    with olefile.OleFileIO(data) as file:
        assert file.exists(METADATA)
    assert verdict(data, tmp_path) == (Verdict.SIGNED, "Contoso Ltd")
    renamed = data.replace(METADATA.encode("utf-16-le"), ("\x05X" + METADATA[2:]).encode("utf-16-le"))
    assert renamed != data
    assert verdict(renamed, tmp_path)[0] is Verdict.TAMPERED


def test_an_entrys_bits_are_covered_where_it_says_so(package: Path, signed: bytes, tmp_path: Path) -> None:
    """Without the further digest nobody vouches for them, and Windows does not look at them either."""
    more = sign(package, contoso()[1], "-add-msi-dse").read_bytes()
    for data, expected in ((signed, Verdict.SIGNED), (more, Verdict.TAMPERED)):
        with olefile.OleFileIO(data) as file:
            chain = [file.first_dir_sector]
            while file.fat[chain[-1]] < 0xFFFFFFF0:
                chain.append(file.fat[chain[-1]])
            entry = next(one for one in file.root.kids if one.name not in {SIGNATURE, METADATA})
        at = (chain[entry.sid * 128 // SECTOR] + 1) * SECTOR + entry.sid * 128 % SECTOR + 96
        assert verdict(data[:at] + b"\x01" + data[at + 1 :], tmp_path)[0] is expected


def test_any_changed_byte_of_a_stream_is_found(signed: bytes, tmp_path: Path) -> None:
    """Of every stream that has one."""
    with olefile.OleFileIO(signed) as file:
        contents = {one.name: file.openstream([one.name]).read() for one in file.root.kids if one.size}
    changed = 0
    for name, content in contents.items():
        at = signed.find(content[:SECTOR])
        if name != SIGNATURE and len(content) > 8:
            changed += 1
            other = signed[: at + 4] + bytes([signed[at + 4] ^ 1]) + signed[at + 5 :]
            assert verdict(other, tmp_path)[0] in {Verdict.TAMPERED, Verdict.APPENDED}, name
    assert changed > 5


def test_any_changed_byte_of_the_signature_is_found(signed: bytes, tmp_path: Path) -> None:
    """But for the certificates' own texts, nothing of it can be another; then no root of ours vouches."""
    with olefile.OleFileIO(signed) as file:
        signature = file.openstream([SIGNATURE]).read()
    at = signed.find(signature[:SECTOR])
    good = []
    for offset in range(0, len(signature), 3):
        place = at + offset
        other = signed[:place] + bytes([signed[place] ^ 0x10]) + signed[place + 1 :]
        good += [offset] if verdict(other, tmp_path)[0] is Verdict.SIGNED else []
    assert good == []


@pytest.mark.parametrize("size", [1, SECTOR, 10 * SECTOR])
def test_bytes_behind_it_are_appended(signed: bytes, tmp_path: Path, size: int) -> None:
    """They are in no digest."""
    assert verdict(signed + b"x" * size, tmp_path)[0] is Verdict.APPENDED


def test_a_sector_that_nothing_holds_is_appended(signed: bytes, tmp_path: Path) -> None:
    """Even where the table says that it is in use."""
    sectors = len(signed) // SECTOR - 1
    with olefile.OleFileIO(signed) as file:
        [table] = [number for number, mark in enumerate(file.fat) if mark == 0xFFFFFFFD]
    for mark in (0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC):
        data = bytearray(signed + b"x" * SECTOR)
        struct.pack_into("<I", data, (table + 1) * SECTOR + 4 * sectors, mark)
        assert verdict(bytes(data), tmp_path)[0] is Verdict.APPENDED, hex(mark)


def test_an_archives_end_beside_the_streams_is_appended(signed: bytes, tmp_path: Path) -> None:
    """In a table's unused rest it would make the file a Java archive, too."""
    assert set(signed[-22:]) == {0xFF}
    assert verdict(signed[:-22] + b"PK\x05\x06" + bytes(18), tmp_path)[0] is Verdict.APPENDED


@pytest.mark.parametrize("data", [b"", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096)])
def test_what_is_no_package_is_told(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MSI"):
        verdict(data, tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x80", b"\x30\x81\x05" + bytes(5), b"\x30\x82\x00\x05" + bytes(5), b"\x30\x05ab"]
)
def test_der_is_read_strictly(data: bytes) -> None:
    """One form for each length, and all of it there."""
    with pytest.raises(ValueError, match=r"element|length|cut off"):
        cms.read(data)
