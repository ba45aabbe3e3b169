"""The side-by-side manifest of a program: which level it asks for, and who built it.

It comes from a file that nobody vouches for, so it is bounded, and a document type (the way to entities) is refused.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from elevate.host.windows.detect import Level

MAX_BYTES = 262_144
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_SPACES = ("urn:schemas-microsoft-com:asm.v3", "urn:schemas-microsoft-com:asm.v2", "urn:schemas-microsoft-com:asm.v1")


class ManifestError(ValueError):
    """The manifest can't be read; nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says; ``level`` is None where it names none."""

    level: Level | None
    ui_access: bool
    identity: str


def parse(text: str) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: Too large, not XML, with a document type, with two levels, or with a level that Windows does not know.
    """
    if len(text) > MAX_BYTES or "<!" in _COMMENT.sub("", text):
        raise ManifestError("the manifest is too large or has a document type")
    try:
        root = ET.fromstring(text.lstrip("\ufeff").strip("\0 \r\n\t").encode())  # noqa: S314 - no document type, bounded
    except (ET.ParseError, UnicodeEncodeError, LookupError, ValueError) as exc:
        raise ManifestError("the manifest is not XML") from exc
    asked = [element for space in _SPACES for element in root.iter(f"{{{space}}}requestedExecutionLevel")]
    if len(asked) > 1:
        raise ManifestError("the manifest asks for two levels")
    attributes = asked[0].attrib if asked else {}
    return Manifest(
        level=_level(attributes.get("level")), ui_access=_flag(attributes.get("uiAccess")), identity=_identity(root)
    )


def _level(value: str | None) -> Level | None:
    if value is None:
        return None
    found = next((level for level in Level if level.lower() == value.strip().lower()), None)
    if found is None:
        raise ManifestError("the manifest asks for a level that Windows does not know")
    return found


def _flag(value: str | None) -> bool:
    if value is None or value.strip().lower() in {"false", "0"}:
        return False
    if value.strip().lower() in {"true", "1"}:
        return True
    raise ManifestError("uiAccess is neither true nor false")


def _identity(root: ET.Element) -> str:
    parts: list[str] = []
    for element in root:
        if element.tag.endswith("}assemblyIdentity"):
            parts.append(element.get("name", ""))
        elif element.tag.endswith("}description"):
            parts.append(element.text or "")
    return "\n".join(parts)
