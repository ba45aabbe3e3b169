"""Who may see what of the log: decided from the uid that the kernel gives, and from what the broker's owner set.

- An ordinary user sees the entries of own requests, in the form of `elevate.audit.own`.
- Root and the broker's own user see all, and so do members of a group that the setting ``log_readers`` names. Groups are those
  of the machine's user database now, as for policy: who was taken out of a group sees no more from that moment on.
- Whoever may see all can ask for the own entries only (``mine``), and is then an ordinary user.

A look at what others did is written down, root's too. Looking at one's own is not: it tells nobody anything new, and a user
could fill the disk with it. The owner of a personal broker looks at the own log.
"""

from dataclasses import dataclass

from elevate.model import Requester
from elevate.store.pages import Whose


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one reader sees.

    Attributes:
        whose: Only the entries of this one's requests; None for all.
        logged: That somebody reads is an entry.
    """

    whose: Whose | None
    logged: bool


def sight(requester: Requester, log_readers: tuple[str, ...], *, owner_uid: int, mine: bool) -> Sight:
    """Say what a requester sees.

    Args:
        requester: By the kernel's word.
        log_readers: Groups whose members see all.
        owner_uid: As whom the broker runs.
        mine: Only the own entries are asked for.
    """
    uid = requester.process.uid
    everything = uid in {0, owner_uid} or bool({*requester.groups} & {*log_readers})
    if mine or not everything:
        return Sight(whose=Whose(user=requester.user, uid=uid), logged=False)
    return Sight(whose=None, logged=uid != owner_uid or uid == 0)
