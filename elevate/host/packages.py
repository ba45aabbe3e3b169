"""Packages that the emulated machine installs: wheels, and source archives (.tar.gz) with their PKG-INFO.

An archive is hostile until it is read: names go nowhere but below the package's own folder, there are plain files only, and
counts and sizes are bounded. A wheel's files must be those of its RECORD. Standard library only; runs in a child of the
launcher's.
"""

import base64
import csv
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_FILES = 20_000
MAX_BYTES = 512 * 2**20
MAX_METADATA_BYTES = 1 << 18
MAX_DEPTH = 32
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,63}")
_PART = re.compile(r"[^\x00-\x1f\x7f/\\:*?\"<>|]{1,200}")


class PackageError(ValueError):
    """The file is no package that can be installed; nothing was written."""


class Entry(NamedTuple):
    """One file of a package: steps below the package's folder, whether it is executable, and its bytes."""

    steps: tuple[str, ...]
    executable: bool
    data: bytes


class Package(NamedTuple):
    """What the metadata says."""

    name: str
    version: str
    summary: str
    kind: str


def describe(file: IO[bytes]) -> Package:
    """Read a package's metadata.

    Raises:
        PackageError: Not a package.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return _describe_wheel(archive)
        file.seek(0)
        return _describe_source(file)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, UnicodeError, NotImplementedError, RuntimeError) as exc:
        raise PackageError(f"the archive can't be read: {type(exc).__name__}") from exc


def entries(file: IO[bytes], package: Package) -> Iterator[Entry]:
    """Give the files, each checked; the archive's end is checked, too.

    Raises:
        PackageError: Anything in it is not allowed.
    """
    seen: set[tuple[str, ...]] = set()
    total = 0
    try:
        for entry in _wheel_entries(file) if package.kind == "wheel" else _source_entries(file):
            total += len(entry.data)
            if entry.steps in seen or len(seen) >= MAX_FILES or total > MAX_BYTES:
                raise PackageError("the package names a file twice, or is too large")
            seen.add(entry.steps)
            yield entry
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, UnicodeError, NotImplementedError, RuntimeError) as exc:
        raise PackageError(f"the archive can't be read: {type(exc).__name__}") from exc


def steps_of(name: str) -> tuple[str, ...]:
    """Split a name in an archive into steps that can only lead down.

    Raises:
        PackageError: Absolute, upwards, with a drive, a backslash, a control character, or too deep.
    """
    steps = tuple(name.split("/"))
    if len(steps) > MAX_DEPTH or any(step in {".", ".."} or step.endswith(" ") or not _PART.fullmatch(step) for step in steps):
        raise PackageError(f"the package holds a file name that is not allowed: {name[:100]!r}")
    return steps


def _describe_wheel(archive: zipfile.ZipFile) -> Package:
    if len(archive.infolist()) > MAX_FILES:
        raise PackageError("the package is too large")
    found = [info for info in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", info.filename)]
    if len(found) != 1 or found[0].file_size > MAX_METADATA_BYTES:
        raise PackageError("the archive is no wheel: it has not one METADATA")
    package = _parse(archive.read(found[0]), "wheel")
    folder = found[0].filename.split("/")[0]
    if _plain(folder) != _plain(f"{package.name}-{package.version}.dist-info"):
        raise PackageError("the wheel's folder and its METADATA name different packages")
    return package


def _describe_source(file: IO[bytes]) -> Package:
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        for number, member in enumerate(archive):
            if number > MAX_FILES or member.size > MAX_BYTES:
                raise PackageError("the package is too large")
            if re.fullmatch(r"[^/]+/PKG-INFO", member.name) and member.isreg():
                data = _read(archive, member, MAX_METADATA_BYTES)
                return _parse(data, "source")
    raise PackageError("the archive is no package: it has no PKG-INFO")


def _parse(data: bytes, kind: str) -> Package:
    head = data.decode().replace("\r\n", "\n").partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in reversed(head.split("\n")) if ": " in line and not line.startswith(" "))
    name, version = fields.get("Name", ""), fields.get("Version", "")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise PackageError("the metadata has no valid Name and Version")
    return Package(name, version, fields.get("Summary", "")[:200], kind)


def _wheel_entries(file: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        record = _record(archive)
        for info in archive.infolist():
            if info.is_dir():
                continue
            steps = steps_of(info.filename)
            mode = info.external_attr >> 16
            if info.file_size > MAX_BYTES or mode & 0o170000 not in {0, 0o100000}:
                raise PackageError(f"not a plain file: {info.filename[:100]!r}")
            data = archive.read(info)
            if not steps[-1].startswith("RECORD") and record.get(info.filename) != hashlib.sha256(data).digest():
                raise PackageError(f"RECORD does not vouch for {info.filename[:100]!r}")
            yield Entry(steps, bool(mode & 0o111), data)


def _record(archive: zipfile.ZipFile) -> dict[str, bytes]:
    names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    if len(names) != 1 or archive.getinfo(names[0]).file_size > MAX_BYTES // 16:
        raise PackageError("the wheel has not one RECORD")
    vouched: dict[str, bytes] = {}
    for row in csv.reader(io.StringIO(archive.read(names[0]).decode())):
        if len(row) == 3 and row[1].startswith("sha256="):  # noqa: PLR2004 - name, digest, size
            vouched[row[0]] = base64.urlsafe_b64decode(row[1][7:] + "==")
    return vouched


def _source_entries(file: IO[bytes]) -> Iterator[Entry]:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        top = ""
        for member in archive:
            steps = steps_of(member.name.rstrip("/"))
            top = top or steps[0]
            if steps[0] != top or not (member.isreg() or member.isdir()) or member.size > MAX_BYTES:
                raise PackageError(f"not a plain file in one folder: {member.name[:100]!r}")
            if member.isreg():
                yield Entry(steps[1:] or steps, bool(member.mode & 0o111), _read(archive, member, MAX_BYTES))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> bytes:
    stream = archive.extractfile(member)
    if stream is None or member.size > max_bytes:
        raise PackageError("the package is too large")
    return stream.read(max_bytes + 1)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
