"""What is said between a log and a witness: here is my checkpoint, and it follows the one you saw; I have seen it.

Source: C2SP tlog-witness, add-checkpoint; C2SP tlog-cosignature.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence

from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.errors import AuditError


class Conflict(Exception):  # noqa: N818 - an answer of the protocol, caught where it is asked
    """The witness has seen another size before; the proof must begin there."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness has seen {size} entries")
        self.size = size


def request_body(note: str, old: int, consistency: Callable[[int, int], Sequence[bytes]]) -> bytes:
    """Give the body of add-checkpoint.

    Args:
        note: The signed checkpoint.
        old: Size that the witness saw last.
        consistency: Proves that the tree of the first size is the beginning of that of the second.
    """
    size = Checkpoint.parse(Note.parse(note).text).size
    if old > size:
        raise AuditError(f"the witness has seen {old} entries, the log has {size}", hint="the log was cut, or is an older copy")
    proof = "".join(f"{b64encode(found).decode()}\n" for found in consistency(old, size))
    return f"old {old}\n{proof}\n{note}".encode()


def with_cosignature(note: str, answer: str, witness: VerifierKey) -> str:
    """Give the checkpoint with the witness's cosignature, which was checked.

    Raises:
        AuditError: The answer is not this witness's cosignature of this checkpoint.
    """
    cosigned = Note.parse(note + answer)
    if cosigned.text != Note.parse(note).text:
        raise AuditError("the witness has answered with more than signatures")
    cosigned.verify(witness)
    return note + answer
