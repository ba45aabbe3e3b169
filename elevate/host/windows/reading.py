"""Everything that can be told of one file: what it is, who built it and who signed it.

Runs in a child process where a broker asks (`elevate.host.windows.program`): the file is hostile until it is read.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from elevate.host.windows import authenticode, msi, msi_signature, pe
from elevate.host.windows.authenticode import Signed
from elevate.host.windows.detect import Judged, Traits, judge

PE_MAGIC = b"MZ"
MSI_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One file."""

    traits: Traits
    judged: Judged
    signed: Signed

    @property
    def product(self) -> str:
        """The product's name; empty where none is given."""
        return self.traits.strings.get("ProductName", "")

    def json(self) -> dict[str, object]:
        """Give plain values for printing."""
        return {**asdict(self), "product": self.product}


def looks_known(head: bytes) -> bool:
    """Say by its first bytes whether a file is one that can be examined."""
    return head.startswith((PE_MAGIC, MSI_MAGIC))


def examine(path: str, name: str, roots: Sequence[bytes] = (), *, now: int) -> Examined:
    """Read a program or a package.

    Args:
        path: Where it can be opened.
        name: What it is called; its words count.
        roots: Certificates (DER) that are trusted.
        now: Unix seconds.

    Raises:
        ValueError: Neither, or it can't be read.
        ImportError: The extra ``windows`` is not installed.
    """
    with Path(path).open("rb") as file:
        head = file.read(len(MSI_MAGIC))
    if head.startswith(PE_MAGIC):
        traits = pe.read(path)
        return Examined(traits=traits, judged=judge(name, traits), signed=authenticode.check(path, roots, now=now))
    if head != MSI_MAGIC:
        raise ValueError("neither a Windows program nor an MSI package")
    traits = msi.read(path)
    return Examined(traits=traits, judged=judge(name, traits), signed=msi_signature.check(path, roots, now=now))
