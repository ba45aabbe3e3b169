"""A PE file's manifest, version strings and width, read with LIEF."""

from typing import TYPE_CHECKING

from elevate.host.windows import manifest
from elevate.host.windows.detect import Traits

if TYPE_CHECKING:
    import lief

MAX_TEXT = 256
_NSIS, _NSIS_MARK = "Nullsoft.NSIS.exehead", b"NullsoftInst"
_PE32, _PE32_PLUS = 0x10B, 0x20B


def read(path: str) -> Traits:
    """Read a program.

    Raises:
        ValueError: Not a PE file, or its manifest can't be read.
    """
    import lief

    lief.logging.disable()
    binary = lief.PE.parse(path)
    if binary is None:
        raise ValueError("not a PE file")
    bits = {_PE32: 32, _PE32_PLUS: 64}.get(int(binary.optional_header.magic.value), 0)
    maker = _NSIS if _NSIS_MARK in bytes(binary.overlay[:64]) else ""
    if not binary.has_resources:
        return Traits(kind="pe", bits=bits, identity=maker)
    resources = binary.resources_manager
    if not isinstance(resources, lief.PE.ResourcesManager):
        raise TypeError("the resources can't be read")
    said = manifest.parse(_text(resources.manifest)) if resources.has_manifest else None
    strings, version = _versions(resources)
    return Traits(
        kind="pe",
        bits=bits,
        level=said.level if said else None,
        ui_access=bool(said and said.ui_access),
        identity=f"{said.identity}\n{maker}" if said else maker,
        strings=strings,
        version=version,
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8")


def _versions(resources: "lief.PE.ResourcesManager") -> tuple[dict[str, str], str]:
    strings: dict[str, str] = {}
    version = ""
    for one in resources.version if resources.has_version else []:
        fixed = one.file_info
        if not version:
            parts = (fixed.file_version_ms >> 16, fixed.file_version_ms & 0xFFFF)
            version = ".".join(map(str, (*parts, fixed.file_version_ls >> 16, fixed.file_version_ls & 0xFFFF)))
        table = one.string_file_info
        for child in table.children if table is not None else []:
            for entry in child.entries:
                strings.setdefault(entry.key[:MAX_TEXT], entry.value[:MAX_TEXT])
    return strings, version
