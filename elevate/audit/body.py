"""The typed parts of an entry's body.

Each function gives one member; a body is their union::

    Draft(event="issued", request=..., at=now, body=actor(requester) | task(inspected) | token(...))

What an entry says of a person or of what a person did stands only in these members. From format 1 on all of it is committed to
and kept erasable, but for the members in `PUBLIC`; a member that is not listed there is treated as personal.
"""

from collections.abc import Mapping, Sequence

from elevate.canonical import Json
from elevate.model import (
    HIGH_INTEGRITY,
    MEDIUM_INTEGRITY,
    AdminIdentity,
    Allow,
    Decision,
    Ended,
    InspectedTask,
    ProcessIdentity,
    Requester,
    VerifiedGesture,
    brought_of,
    environment_of,
    mode_of,
    run_as_of,
)
from elevate.ports import Sync

Body = dict[str, Json]

STEPPED_US = 1_000_000
"""A larger difference between the clocks is named ``stepped``."""

PUBLIC: Mapping[str, frozenset[str]] = {
    "task": frozenset({"kind"}),
    "decision": frozenset({"outcome", "rules", "policy"}),
    "authentication": frozenset({"method", "amr", "acr", "auth_time", "simulated"}),
    "token": frozenset({"jti", "exp", "aud", "epoch", "position"}),
    "process": frozenset({"pid", "exit_status", "signal", "timed_out", "leftover", "duration_ms"}),
    "step": frozenset({"number", "of", "undo", "before"}),
    "steps": frozenset({"ended"}),
    "reason": frozenset({"code"}),
    "setting": frozenset({"name", "digest"}),
    "broker": frozenset({"version", "epoch", "key", "settings"}),
    "log_key": frozenset({"old", "new", "signature"}),
    "erasure": frozenset({"entries", "requests", "before", "by_subject"}),
    "access": frozenset({"kind", "entries", "complete", "began"}),
    "pruning": frozenset({"before", "entries", "lost", "blanked"}),
    "clock": frozenset({"status", "drift_us", "sync", "error_us"}),
    "lockout": frozenset({"layer", "wait_seconds"}),
    "settings": frozenset({"plain", "changed", "before", "after"}),
}
"""Members of each part that no person can be guessed from."""


def actor(requester: Requester, *, session: str = "", brief: bool = False) -> Body:
    """Say who acts.

    Args:
        requester: Kernel facts.
        session: Session id, where there is one.
        brief: Leave out what the first entry of the same request has said; what is not known, too.
    """
    process = requester.process
    members: Body = {
        "user": requester.user,
        "uid": process.uid,
        "sid": requester.sid,
        "audit_uid": requester.audit_uid,
        "pid": process.pid,
        "start_time": process.start_time,
        "boot": process.boot_id,
        "executable": requester.executable,
        "executable_sha256": requester.executable_sha256,
    }
    if brief:
        return {"actor": {name: value for name, value in members.items() if value != ""}}
    return {
        "actor": {
            **members,
            "integrity": MEDIUM_INTEGRITY,
            "machine": requester.machine,
            "session": session,
            "service": requester.service,
            "remote": requester.remote,
            "chain": list(requester.chain),
        }
    }


def task(inspected: InspectedTask, *, request_digest: str = "") -> Body:
    """Say what was asked, as the prompt showed it."""
    members: Body = {
        "kind": inspected.task.kind,
        "display": inspected.task.display(),
        "digest": inspected.digest,
    }
    members |= _details(inspected)
    if inspected.steps:
        members["steps"] = [{"kind": step.task.kind, "digest": step.digest, **_details(step)} for step in inspected.steps]
    if request_digest:
        members["request_digest"] = request_digest
    return {"task": members}


def _details(inspected: InspectedTask) -> Body:
    members: Body = {"cwd": inspected.cwd}
    members |= {"run_as": who} if (who := run_as_of(inspected)) else {}
    members |= {"environment": env} if (env := environment_of(inspected)) else {}
    members |= {"brought": step} if (step := brought_of(inspected)) else {}
    members |= {"mode": mode} if (mode := mode_of(inspected)) else {}
    members |= {"path": inspected.file.path, "sha256": inspected.file.sha256} if inspected.file else {}
    return members


def decision(decided: Decision, policy_digest: str) -> Body:
    """Say what policy decided, by which rules of which policy."""
    outcome = decided.outcome.value if isinstance(decided, Allow) else "deny"
    members: Body = {"outcome": outcome, "rules": list(decided.rules), "policy": policy_digest}
    return {"decision": members}


def authentication(gesture: VerifiedGesture) -> Body:
    """Say how the person proved to be there, with the assertion itself, so that it can be checked again later."""
    return {
        "authentication": {
            "method": gesture.method,
            "amr": list(gesture.amr),
            "acr": gesture.acr,
            "auth_time": gesture.auth_time,
            "simulated": gesture.simulated,
            "credential": gesture.credential,
            "assertion": dict(gesture.assertion),
        }
    }


def token(jti: str, *, expires_at: int, audience: str, epoch: str, binding: ProcessIdentity) -> Body:
    """Name a token: its id, its end in Unix seconds, its one host, and the process it is bound to."""
    return {"token": {"jti": jti, "exp": expires_at, "aud": audience, "epoch": epoch, "binding": _binding(binding)}}


def _binding(process: ProcessIdentity) -> Body:
    return {"uid": process.uid, "pid": process.pid, "start_time": process.start_time, "boot_id": process.boot_id}


def process(identity: AdminIdentity, *, pid: int = 0, ended: Ended | None = None) -> Body:
    """Say what ran, as whom, and how it ended."""
    members: Body = {"pid": pid, "identity": _identity(identity)}
    if ended is not None:
        members |= _end(ended)
    return {"process": members}


def ended(one: Ended) -> Body:
    """Say how one step of several ended; nothing in it names anybody."""
    return {"number": one.step, "started": not one.problem, **_end(one)}


def _end(one: Ended) -> Body:
    return {
        "exit_status": one.exit_status,
        "signal": one.signal,
        "timed_out": one.timed_out,
        "leftover": one.leftover,
        "duration_ms": one.duration_ms,
    }


def _identity(identity: AdminIdentity) -> Json:
    return {"name": identity.name, "sid": identity.sid, "uid": identity.uid, "integrity": HIGH_INTEGRITY}


def reason(code: str, text: str = "") -> Body:
    """Say why: a stable code (`ElevateError.code`) and the full text, which only the log may know."""
    return {"reason": {"code": code, "text": text}}


def log_key(old: str, new: str, signature: str) -> Body:
    """Name the log's new key, in text form, with the old one's signature over `rotation_text`, base64."""
    return {"log_key": {"old": old, "new": new, "signature": signature}}


def rotation_text(old: str, new: str, position: int) -> bytes:
    """Give what the old key signs when it hands over to the new one at this position of the log."""
    return f"elevate-log-key-rotation/v1\n{old}\n{new}\n{position}\n".encode()


def clock(drift_us: int, sync: Sync) -> Body:
    """Say how the wall clock went against the monotonic one since the last time, and whether others set it.

    Args:
        drift_us: How far they went apart; as far as `STEPPED_US` the wall clock has ``stepped``, else it is ``steady``.
        sync: As the kernel says.
    """
    status = "stepped" if abs(drift_us) >= STEPPED_US else "steady"
    bound: Body = {"error_us": sync.error_us} if sync.error_us >= 0 else {}
    return {"clock": {"status": status, "drift_us": drift_us, "sync": sync.state, **bound}}


def setting(name: str, digest: str) -> Body:
    """Name a policy or setting that changed, by the digest of its new content."""
    return {"setting": {"name": name, "digest": digest}}


def lockout(user: str, layer: str, wait_seconds: int) -> Body:
    """Say who is shut out for how long, and why: ``failures`` or ``restart`` of the PIN, or ``prompts`` that were refused."""
    return {"lockout": {"layer": layer, "wait_seconds": wait_seconds, "user": user}}


def access(
    kind: str, entries: int, *, complete: bool, question: str = "", named: Sequence[str] = (), began: int | None = None
) -> Body:
    """Say how the log was looked at.

    Args:
        kind: ``search``, ``show`` or ``follow``.
        entries: So many were handed out.
        complete: That was all.
        question: What was asked.
        named: The words in it that could be people's names, in the form that `elevate audit erase` looks for.
        began: Position of the entry that said who asked, in one that only says the end.
    """
    members: Body = {"kind": kind, "entries": entries, "complete": complete}
    members |= {"question": question, "named": [{"user": name} for name in named]} if began is None else {"began": began}
    return {"access": members}
