"""What an ordinary user may see of the entries of their own requests: what they asked, what was shown, how it ended.

The log has two audiences. It keeps the full reason of a refusal, and what the broker found out about files that the user may
not be able to read; a caller gets the code. What is listed here was told to the requester by the broker or came from there;
every other member, and every one that is added later, is left out. Pure.

SECURITY: a search over one's own entries looks at this form of them only. Else words become an oracle: ``ab12`` found or not
found says digit by digit what the hash is of a file that only root can read.
"""

from collections.abc import Mapping
from dataclasses import replace

from elevate.audit import private
from elevate.audit.entry import Entry, opened
from elevate.audit.proof import Proof
from elevate.canonical import Json
from elevate.lifecycle import State

_SEEN: Mapping[str, frozenset[str] | None] = {
    "actor": None,
    "task": frozenset({"kind", "display", "why", "cwd", "environment", "brought", "mode", "run_as"}),
    "decision": None,
    "authentication": None,
    "token": None,
    "process": None,
    "step": None,
    "steps": None,
    "written": None,
    "reason": frozenset({"code"}),
}
"""Members of each part; None stands for all. What was written the receipt tells, too."""
_SHOWN = frozenset({"path", "sha256", "digest", "request_digest", "steps"})
"""Of a task, once the person was asked to agree to it."""
_AGREED = frozenset({State.PROMPTING.value, State.ISSUED.value})
_OTHERS = frozenset({"user", "uid"})
"""Of somebody else who acted on the request, as root who took its token back."""


def own_view(entry: Entry, uid: int) -> Entry:
    """Give an entry of a request as its requester may see it.

    Args:
        entry: Opened.
        uid: The requester's.
    """
    body = {part: _part(part, value, entry.event, uid) for part, value in entry.body.items() if part in _SEEN}
    return replace(entry, body=body)


def own_proof(text: str, uid: int) -> str:
    """Give a proof of an entry of a request as its requester may have it.

    An opening opens a part as a whole: it is left out where the requester is told less than that.

    Args:
        text: A proof, with all openings.
        uid: The requester's.
    """
    proof = Proof.parse(text)
    entry = opened(proof.entry, proof.openings)
    told = own_view(entry, uid).body
    openings = proof.openings.split(b"\n") if proof.openings else []
    shown = [one for one in openings if (part := private.part_of(one)) in told and told[part] == entry.body[part]]
    return replace(proof, openings=b"\n".join(shown)).text()


def _part(part: str, value: Json, event: str, uid: int) -> Json:
    names = _SEEN[part]
    if not isinstance(value, dict):
        return None
    if part == "actor" and value.get("uid") != uid:
        names = _OTHERS
    elif part == "task" and event in _AGREED and names is not None:
        names = names | _SHOWN
    return value if names is None else {name: member for name, member in value.items() if name in names}
