"""What the broker writes into the log's entries, step by step, from the parts of `elevate.audit.body`."""

from elevate import canonical
from elevate.audit import body
from elevate.audit.body import Body
from elevate.canonical import Json
from elevate.errors import ElevateError
from elevate.host.processes import ProcessFacts
from elevate.model import (
    AdminIdentity,
    Agreement,
    Deny,
    Ended,
    InspectedTask,
    ProcessIdentity,
    Requester,
    VerifiedGesture,
    request_digest,
)
from elevate.tasks import Task

MAX_DISPLAY_CHARS = 4096
MAX_WRITTEN = 64
MAX_WRITTEN_BYTES = 16_384


def requested(requester: Requester, task: Task, reason: str, *, session: str) -> Body:
    """Who asked for what, and why; nothing has been looked up yet."""
    asked: Body = {"kind": task.kind, "display": task.display()[:MAX_DISPLAY_CHARS], "why": reason}
    return body.actor(requester, session=session) | {"task": asked}


def denied(task: InspectedTask, decision: Deny, policy: str) -> Body:
    """Which rules said no to what."""
    return body.task(task) | body.decision(decision, policy) | body.reason("denied", decision.message)


def prompting(agreement: Agreement) -> Body:
    """What the person is asked to agree to."""
    digest = request_digest(agreement).hex()
    return body.task(agreement.task, request_digest=digest) | body.decision(agreement.decision, agreement.policy_digest)


def issued(
    agreement: Agreement, gesture: VerifiedGesture, identity: AdminIdentity, *, jti: str, expires_at: int, epoch: str
) -> Body:
    """Which token is issued, for what, on whose proof."""
    binding: ProcessIdentity = agreement.requester.process
    return (
        prompting(agreement)
        | body.actor(agreement.requester, session=agreement.session)
        | body.authentication(gesture)
        | body.token(jti, expires_at=expires_at, audience=agreement.host, epoch=epoch, binding=binding)
        | body.process(identity)
    )


def used(jti: str, redeem_id: str, by: Body) -> Body:
    """Which token was used, by which call, and by whom."""
    use: Body = {"token": {"jti": jti, "redeem_id": redeem_id}}
    return use | by


def presenter(process: ProcessIdentity, requester: Requester) -> Body:
    """Who presents a token: the process that asked, as it was known then, or another one."""
    if process == requester.process:
        return body.actor(requester, brief=True)
    return {"actor": {"uid": process.uid, "pid": process.pid, "start_time": process.start_time, "boot": process.boot_id}}


def looked_at(facts: ProcessFacts, user: str = "") -> Body:
    """Which process acts, from kernel facts alone; in short, unless its user's name was looked up."""
    other = Requester(
        user=user,
        sid="",
        groups=(),
        machine="",
        process=facts.process,
        executable=facts.executable,
        chain=facts.chain,
        remote=facts.remote,
        audit_uid=facts.audit_uid,
        executable_sha256=facts.executable_sha256,
    )
    return body.actor(other, brief=not user)


def running(pid: int, identity: AdminIdentity) -> Body:
    """Which process runs as whom."""
    return body.process(identity, pid=pid)


def step(number: int, agreement: Agreement, *, before: Ended | None = None) -> Body:
    """Which step of several is started, after how the one before it ended."""
    task, _ = agreement.steps[number - 1]
    forward = len(agreement.steps) - agreement.task.task.undo
    members: Body = {"number": number, "of": forward, "undo": number > forward, "digest": task.digest}
    return {"step": members | ({"before": body.ended(before)} if before else {})}


def destroyed(pid: int, identity: AdminIdentity, ended: Ended) -> Body:
    """How the task ended and what it left."""
    first: list[Json] = []
    room = MAX_WRITTEN_BYTES
    for one in ended.written[:MAX_WRITTEN]:
        shown: Json = {"path": one.path, "change": one.change, "sha256": one.sha256}
        room -= len(canonical.encode(shown))  # a control character takes six bytes
        if room < 0:
            break
        first.append(shown)
    steps: Body = {"steps": {"ended": [body.ended(one) for one in ended.steps]}} if ended.steps else {}
    return body.process(identity, pid=pid, ended=ended) | steps | {"written": {"count": len(ended.written), "first": first}}


def failed(error: ElevateError) -> Body:
    """Why not: the code, and the full reason that only the log may know."""
    return body.reason(error.code, error.detail)
