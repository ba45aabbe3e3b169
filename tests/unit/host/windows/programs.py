"""Windows programs built byte by byte: headers, a section of code, and a section of resources with manifest and versions."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">'
    '<assemblyIdentity version="1.0.0.0" name="{identity}" type="win32"/>'
    '<trustInfo xmlns="urn:schemas-microsoft-com:asm.v3"><security><requestedPrivileges>'
    '<requestedExecutionLevel level="{level}" uiAccess="{ui_access}"/>'
    "</requestedPrivileges></security></trustInfo></assembly>"
)
BARE = '<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0"></assembly>'
_ALIGN, _PAGE, _RSRC = 0x200, 0x1000, 0x2000


def manifest(level: str = "requireAdministrator", *, ui_access: str = "false", identity: str = "Contoso.Notes") -> str:
    """Give a manifest's text."""
    return MANIFEST.format(level=level, ui_access=ui_access, identity=identity)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to build."""

    manifest: str | None = None
    strings: Mapping[str, str] = field(default_factory=dict)
    version: tuple[int, int, int, int] = (1, 2, 3, 4)
    bits: int = 64

    def build(self) -> bytes:
        """Give the file's bytes."""
        resources: dict[int, bytes] = {16: _version(self.version, self.strings)} if self.strings else {}
        if self.manifest is not None:
            resources[24] = self.manifest.encode()
        section = _resources(resources) if resources else b""
        return _image(self.bits, section)


def _pad(data: bytes, size: int = 4) -> bytes:
    return data + bytes(-len(data) % size)


def _block(key: str, value: bytes = b"", *children: bytes, text: bool = False) -> bytes:
    head = _pad(bytes(6) + key.encode("utf-16-le") + b"\0\0")
    body = head + value
    for child in children:
        body = _pad(body) + child
    return struct.pack("<HHH", len(body), len(value) // 2 if text else len(value), int(text)) + body[6:]


def _version(parts: tuple[int, int, int, int], strings: Mapping[str, str]) -> bytes:
    high, low = parts[0] << 16 | parts[1], parts[2] << 16 | parts[3]
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x10000, high, low, high, low, 0x3F, 0, 0x40004, 1, 0, 0, 0)
    entries = [_block(name, value.encode("utf-16-le") + b"\0\0", text=True) for name, value in strings.items()]
    table = _block("StringFileInfo", b"", _block("040904b0", b"", *entries, text=True), text=True)
    translation = _block("VarFileInfo", b"", _block("Translation", struct.pack("<HH", 0x409, 1200)), text=True)
    return _block("VS_VERSION_INFO", fixed, table, translation)


def _directory(entries: Mapping[int, int]) -> bytes:
    rows = b"".join(struct.pack("<II", name, place) for name, place in sorted(entries.items()))
    return struct.pack("<IIHHHH", 0, 0, 0, 0, 0, len(entries)) + rows


def _resources(data: Mapping[int, bytes]) -> bytes:
    kinds = sorted(data)
    root, level = 16 + 8 * len(kinds), 24
    names = {kind: root + number * level for number, kind in enumerate(kinds)}
    languages = {kind: root + (len(kinds) + number) * level for number, kind in enumerate(kinds)}
    leaves = {kind: root + 2 * len(kinds) * level + 16 * number for number, kind in enumerate(kinds)}
    place = root + 2 * len(kinds) * level + 16 * len(kinds)
    out = _directory({kind: names[kind] | 1 << 31 for kind in kinds})
    out += b"".join(_directory({1: languages[kind] | 1 << 31}) for kind in kinds)
    out += b"".join(_directory({1033: leaves[kind]}) for kind in kinds)
    blobs = b""
    for kind in kinds:
        out += struct.pack("<IIII", _RSRC + place + len(blobs), len(data[kind]), 0, 0)
        blobs += _pad(data[kind], 8)
    return out + blobs


def _image(bits: int, resources: bytes) -> bytes:
    code = b"\xc3".ljust(_ALIGN, b"\0")
    raw = _pad(resources, _ALIGN)
    wide = bits == 64
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 14, 0, _ALIGN, len(raw), 0, _PAGE, _PAGE)
    optional += struct.pack("<Q", 0x140000000) if wide else struct.pack("<II", _RSRC, 0x400000)
    optional += struct.pack("<IIHHHHHHIIIIHH", _PAGE, _ALIGN, 6, 0, 0, 0, 6, 0, 0, 0x10000, 0x400, 0, 3, 0x8160)
    optional += struct.pack("<4Q" if wide else "<4I", 0x100000, 0x1000, 0x100000, 0x1000) + struct.pack("<II", 0, 16)
    directories = [(0, 0)] * 16
    directories[2] = (_RSRC, len(resources)) if resources else (0, 0)
    optional += b"".join(struct.pack("<II", *one) for one in directories)
    machine, flags = (0x8664, 0x22) if wide else (0x14C, 0x102)
    coff = struct.pack("<HHIIIHH", machine, 2, 0, 0, 0, len(optional), flags)
    sections = struct.pack("<8sIIIIIIHHI", b".text", 1, _PAGE, _ALIGN, 0x400, 0, 0, 0, 0, 0x60000020)
    sections += struct.pack("<8sIIIIIIHHI", b".rsrc", len(resources), _RSRC, len(raw), 0x600, 0, 0, 0, 0, 0x40000040)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional + sections
    return head.ljust(0x400, b"\0") + code + raw
