"""Packages built in memory, good ones and hostile ones."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: A test package\n\nText: not a header\n"


def wheel(
    path: Path,
    files: Mapping[str, bytes],
    *,
    name: str = "notes",
    version: str = "1.0",
    vouched: bool = True,
    mode: int = 0o100644,
) -> Path:
    """Write a wheel; with ``vouched`` False its RECORD lists nothing."""
    info = f"{name}-{version}.dist-info"
    members = {**files, f"{info}/METADATA": METADATA.format(name=name, version=version).encode()}
    record = "".join(f"{member},{_digest(data)},{len(data)}\n" for member, data in members.items()) if vouched else ""
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, f"{info}/RECORD": record.encode()}.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return path


def source(path: Path, members: Mapping[str, bytes | tarfile.TarInfo], *, name: str = "notes", version: str = "1.0") -> Path:
    """Write a source archive; a member may be a ready `TarInfo` without data."""
    top = f"{name}-{version}"
    info = METADATA.format(name=name, version=version).encode()
    with tarfile.open(path, "w:gz") as archive:
        for member, data in {f"{top}/PKG-INFO": info, **members}.items():
            entry = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(member)
            if isinstance(data, bytes):
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    """Give a link member."""
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    return entry


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
