"""What AppLocker and App Control have in common: XML read with care, and Windows paths as the emulated machine writes them."""

import re
import xml.etree.ElementTree as ET

from elevate.policy.importers.common import MAX_BYTES, Table, refuse

DRIVE = "/C:"
_GRANTED = {
    "%OSDRIVE%": DRIVE,
    "%WINDIR%": f"{DRIVE}/Windows",
    "%SYSTEM32%": f"{DRIVE}/Windows/System32",
    "%PROGRAMFILES%": f"{DRIVE}/Program Files",
}
_KNOWN = tuple(
    f"{DRIVE}/{name}"
    for name in (
        "Windows/SysWOW64",
        "Windows/System32",
        "Windows",
        "Program Files (x86)",
        "Program Files",
        "ProgramData",
        "Users",
    )
)
"""Folders whose spelling is sure, the deeper ones first."""
_ALSO = {"%PROGRAMFILES%": f"{DRIVE}/Program Files (x86)", "%SYSTEM32%": f"{DRIVE}/Windows/SysWOW64"}


def parse_xml(data: bytes, root: str) -> ET.Element:
    """Read XML whose outermost element is ``root``, in any namespace.

    Raises:
        PolicyError: Too long, with a document type (entities can be made to grow), not XML, or another document.
    """
    if len(data) > MAX_BYTES:
        raise refuse(f"over {MAX_BYTES // 2**20} MB", "export the rules alone")
    if b"<!DOCTYPE" in data.replace(b"\0", b"") or b"<!ENTITY" in data.replace(b"\0", b""):
        raise refuse("a document type is not read", "remove <!DOCTYPE …>")
    try:
        tree = ET.fromstring(data)  # noqa: S314 - no document type, bounded
    except (ET.ParseError, ValueError, LookupError) as exc:
        line, column = getattr(exc, "position", (1, 0))
        raise refuse(f"line {line}, column {column + 1}: not XML: {exc}", "export the policy again") from exc
    if local(tree) != root:
        raise refuse(f"the document is {local(tree)}, not {root}", f"give a file that begins with <{root}>")
    return tree


def local(element: ET.Element) -> str:
    """Give an element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def children(element: ET.Element, *names: str) -> list[ET.Element]:
    """Give the children with one of these names; all where none is given."""
    return [child for child in element if not names or local(child) in names]


def path_task(path: str, *, deny: bool) -> Table | None:
    r"""Give what a path means: a file, or a folder with ``\*`` at the end; None where no rule can say it.

    A grant takes the first place that a variable names, a deny all of them.
    SECURITY: Windows compares without case, a rule with it. So a grant is narrower, and a deny takes the whole nearest folder
    above whose spelling is sure.
    """
    if path == "*":
        return {}
    places = [_plain(path, _GRANTED), *([_plain(path, {**_GRANTED, **_ALSO})] if deny else [])]
    texts = sorted({place for place in places if place is not None})
    if not texts or None in places:
        return None
    if deny and not any(set(text.removesuffix("/*")) & set("*?") for text in texts):
        texts = sorted({_spelled(text) for text in texts})
    if all(text.endswith("/*") for text in texts):
        folders = [text[:-2] for text in texts]
        return None if any("*" in folder or "?" in folder for folder in folders) else {"directory": folders}
    return None if any(set(text) & set("*?") for text in texts) else {"path": texts}


def _spelled(text: str) -> str:
    """Give the place itself where its spelling is sure, else all of the nearest folder above for which it is."""
    plain = text.removesuffix("/*")
    known = next((one for one in _KNOWN if f"{plain}/".lower().startswith(f"{one}/".lower())), DRIVE)
    rest = plain[len(known) :]
    if rest.lower() == rest.upper():
        return known + text[len(known) :]
    return f"{known}/*"


def _plain(path: str, variables: dict[str, str]) -> str | None:
    match = re.match(r"%[A-Za-z0-9]+%", path)
    if match:
        start = variables.get(match.group().upper())
        path = f"{start}{path[match.end() :]}" if start else ""
    elif re.match(r"[Cc]:\\", path):
        path = DRIVE + path[2:]
    else:
        return None
    if "%" in path:
        return None
    text = path.replace("\\", "/")
    parts = text.split("/")[1:]
    return text if text.startswith("/") and all(parts) and not {".", ".."} & set(parts) else None
