"""Whom a token is for: the host, which runs the task, or a helper that the rules and the caller both name."""

from collections.abc import Iterable

from elevate.broker.parts import Parts
from elevate.broker.pinned import PREFIX, Helper
from elevate.errors import DeniedError
from elevate.model import AdminIdentity, Agreement, Allow

_BEFORE = frozenset({"approvals", "approver_groups", "approver_users", "gesture_age_seconds", "helper", "ticket"})
"""What is kept before a token is used; all else only the host keeps, while it runs the task."""


def audience_of(parts: Parts, asked: str, decision: Allow) -> str:
    """Give whom the token is for: the host, or the helper that the rules and the caller both name.

    Raises:
        DeniedError: They do not agree, nobody pinned the helper, or the rules demand what only the host keeps.
    """
    extra = dict(decision.obligations.extra)
    named = str(extra.get("helper", ""))
    if named == "-" or asked != (PREFIX + named if named else ""):
        message, hint = _disagreement(named)
        raise DeniedError(message, hint=hint)
    if not named:
        return parts.host.name
    if _by_name(parts.settings.helpers, named) is None:
        raise DeniedError("the helper of this task is not pinned here", hint=f"the broker's owner can set [helpers.{named}]")
    if unkept := sorted(extra.keys() - _BEFORE):
        raise DeniedError(f"the policy demands of a helper what only the host keeps: {', '.join(unkept)}")
    return PREFIX + named


def _disagreement(named: str) -> tuple[str, str]:
    if named == "-":
        return "the rules that allow this task differ in who carries it out", "see: elevate explain"
    if named:
        return f"this task is for a helper: {named}", "the program that the helper belongs to asks for it"
    return "policy does not hand this task to a helper", "a rule must say: then = { helper = NAME }"


def identity_of(parts: Parts, agreement: Agreement) -> AdminIdentity:
    """Give in whose name the task is done: the requester's hidden account, or the helper."""
    helper = helper_of(parts, agreement.host)
    if helper is None:
        return parts.host.provision(agreement.requester)
    return AdminIdentity(name=helper.audience, sid=f"{helper.uid}@{parts.host.name}", uid=helper.uid, home="")


def helper_of(parts: Parts, audience: str) -> Helper | None:
    """Give the helper that an audience names; None where it is the host."""
    return _by_name(parts.settings.helpers, audience.removeprefix(PREFIX)) if audience.startswith(PREFIX) else None


def _by_name(helpers: Iterable[Helper], name: str) -> Helper | None:
    return next((helper for helper in helpers if helper.name == name), None)
