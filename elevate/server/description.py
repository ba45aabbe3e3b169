"""The Varlink interface ``io.elevate.Broker`` in its own words.

Members of a call are only ever appended, optional ones first of all.

Source: https://varlink.org/Interface-Definition; https://varlink.org/Service.
"""

from collections.abc import Mapping

NAME = "io.elevate.Broker"
SERVICE = "org.varlink.service"

DESCRIPTION = """\
# Give admin to one task, once.
#
# A member that ends in _fd is an index into the descriptors that travel beside the message. Who asks is known from the
# kernel and is never a parameter. Closing the connection, or its writing half, cancels what is open on it.
interface io.elevate.Broker

# What is asked: a kind (process.run, package.install, package.remove, service.control, setting.change or file.write) and the
# parameters of that kind. Or several tasks, of the kind "steps" and with no parameters: they are done in order up to the first
# that fails, and then the last ones, as many as undo says.
type Task (kind: string, params: object, steps: ?[]Step, undo: ?int)

# One of several. What the steps read lies in payload_fd, one after the other; input_bytes says how much of it is this one's.
type Step (kind: string, params: object, input_bytes: ?int)

# A step that begins, or has ended. One whose number is above steps undoes.
type Progress (
  step: int,
  steps: int,
  undo: bool,
  task: string,
  ended: bool,
  exit_status: ?int,
  signal: ?int,
  timed_out: bool,
  problem: string
)

# A right to run the task once. It is bound to this connection and ends with it.
type Grant (request: string, expires_at: int, claims: object)

# How the task ended: exit_status or signal, and the receipt.
type Outcome (exit_status: ?int, signal: ?int, timed_out: ?bool, receipt: ?object)

# Inspect, decide, prompt, issue. With "more" every state is told as it is reached; the last reply has the grant.
# terminal_fd: the requester's terminal, for the broker's prompt. payload_fd: a sealed memory file.
# audience: "helper:NAME" for a token that a pinned helper redeems; it comes as token_fd, a sealed memory file.
method Elevate(task: Task, reason: ?string, terminal_fd: ?int, payload_fd: ?int, audience: ?string) -> (
  state: string,
  request: ?string,
  grant: ?Grant,
  token_fd: ?int
)

# The person's terminal, for a task that may have one of its own: its size, its kind, and which of the caller's standard streams
# are not on it.
type Window (rows: int, columns: int, term: ?string, input_piped: ?bool, output_piped: ?bool, error_piped: ?bool)

# Use a grant: once. With "more" a reply with state "running" comes first. With descriptors the task's output comes as the
# read ends of two pipes beside that reply; without, as replies with stream and data (base64), or not at all without "more".
# Of several tasks each step is told by a reply with step, as it begins and as it has ended, after that first reply.
# With a window, where a rule says interactive, the task has a terminal of its own, whose other end comes as terminal_fd; a byte
# from jobs_fd is the number of the signal that has stopped it.
method Redeem(request: string, redeem_id: string, descriptors: ?bool, window: ?Window) -> (
  state: string,
  request: ?string,
  stdout_fd: ?int,
  stderr_fd: ?int,
  terminal_fd: ?int,
  jobs_fd: ?int,
  stream: ?string,
  data: ?string,
  outcome: ?Outcome,
  step: ?Progress
)

# Elevate and Redeem in one call. With "brief" no reply says how far the request has come; the first is that the task runs.
method Run(
  task: Task,
  reason: ?string,
  terminal_fd: ?int,
  payload_fd: ?int,
  descriptors: ?bool,
  window: ?Window,
  brief: ?bool
) -> (
  state: string,
  request: ?string,
  stdout_fd: ?int,
  stderr_fd: ?int,
  terminal_fd: ?int,
  jobs_fd: ?int,
  stream: ?string,
  data: ?string,
  outcome: ?Outcome,
  step: ?Progress
)

# For helpers: the key set (RFC 7517) that tokens are verified with, and the issuer's name. New at each start of the broker.
method Keys() -> (keys: object, issuer: string)

# For the pinned helper alone: use a token, once; the helper does the task then, on this connection, and reports its end.
# With "descriptors" the input comes as a sealed memory file. With "more" the replies go on: a cancellation is told, and how it
# ended is the last of them; FinishToken is sent "oneway" then. Whoever is told has 5 s to stop and to report.
method RedeemToken(token: string, redeem_id: string, descriptors: ?bool) -> (
  state: string,
  request: string,
  claims: ?object,
  task: ?object,
  requester: ?object,
  reason: ?string,
  time_limit_seconds: ?int,
  input_fd: ?int,
  outcome: ?Outcome
)

# How it ended; without exit_status, or where the connection is closed first, the outcome is unknown.
method FinishToken(request: string, exit_status: ?int) -> (state: string, request: string, outcome: ?Outcome)

# Pass a signal to the task that runs on this connection; meant to be sent "oneway" while Redeem or Run is under way.
method Signal(request: string, signal: int) -> ()

# Say what policy makes of a task; nobody is asked.
method Explain(task: Task, payload_fd: ?int) -> (explanation: object)

# The kinds of task that this machine has: name, display_name, params, and what one of its own runs.
method Kinds() -> (kinds: []object)

# The rules that are for the caller: id, effect (allow, deny or require), task in words, and why.
method ListRules() -> (rules: []object)

# Cancel a request of one's own that has not been granted yet.
method Cancel(request: string) -> ()

# Take back a token of one's own, by its id.
method Revoke(jti: string) -> ()

# What a request of one's own left behind.
method Receipt(request: string) -> (receipt: object)

# How the broker is.
method Status() -> (status: object)

# Who is asking, as the broker sees it.
method WhoAmI() -> (requester: object)

# Load the policy again; the last good one stays where the new one is bad. For root and the broker's own user.
method ReloadPolicy() -> (policy: object)

# An entry of the log. body: with what is still open of it. hash: RFC 6962 leaf hash of the entry as it stands in the log.
# user: whose request it belongs to. known: what its request said before it. proven: the last checkpoint's proof holds.
type Entry (
  seq: int,
  event: string,
  request: string,
  unix_us: int,
  mono_us: int,
  boot: string,
  broker: string,
  machine: string,
  was: string,
  body: object,
  hash: string,
  user: ?string,
  known: ?object,
  proven: ?bool
)

# One request's life, by its id, the beginning of it, or its token's. Everybody sees own requests, in the form that the
# requester was told; root, the broker's own user, and members of the groups in the setting log_readers see all; so below, too.
# mine: own requests only.
method AuditShow(id: string, mine: ?bool) -> (request: string, entries: []Entry)

# A proof (C2SP tlog-proof) that the entry at a position is in the log, with what the requester may see of it.
method AuditProve(position: int, mine: ?bool) -> (proof: string)

# The log's keys, the first one first, and a checkpoint over all that is there; with old and new instead of it the hashes that
# lead from the log of old entries to that of new (RFC 6962). For everybody: nothing in them tells of anybody.
method AuditCheckpoint(old: ?int, new: ?int) -> (keys: []string, note: ?string, hashes: ?[]string)

# One page of what words mean, as "user:alice outcome:denied since:24h"; the newest first. position: begin below it, or with
# oldest_first at it. context: tell with the first entry of a request on a page what it said before. cursor: of the page before.
method AuditSearch(
  words: ?string,
  position: ?int,
  oldest_first: ?bool,
  limit: ?int,
  context: ?bool,
  mine: ?bool,
  cursor: ?string
) -> (entries: []Entry, cursor: ?string)

# What comes, the oldest first, from a position on, or from now on with the last so many lines before; with "more" until the
# connection closes, without it one page. next: where to go on.
method AuditFollow(words: ?string, position: ?int, lines: ?int, context: ?bool, mine: ?bool) -> (entries: []Entry, next: int)

# Delete what opens a person's entries, by user name or SID. before: nothing names the person below this position; later: so
# many entries do from there on, as they were written meanwhile. This and the next two: for root and the broker's own user.
method AuditErase(subject: string) -> (entries: int, requests: int, before: int, later: int)

# Write entries below a position to an empty file and take them out of the log; it begins there then.
method AuditPrune(before: int, archive_fd: int) -> (began: int)

# Hand over to a new log key.
method AuditRotateKey() -> (key: string)

# Gestures of the requester, or of another user where root asks. What is typed goes to the broker's own prompt on terminal_fd.
method HelloEnrol(gesture: ?string, label: ?string, user: ?string, terminal_fd: ?int) -> (enrolled: object)

method HelloList(user: ?string) -> (gestures: []object)

# Make a gesture and have it verified; nothing is elevated.
method HelloVerify(terminal_fd: ?int) -> (verified: object)

# What each sensor and key store is and can do.
method HelloTest() -> (devices: []object)

method HelloRename(gesture: string, label: string, user: ?string) -> (enrolled: object)

method HelloRemove(gesture: string, terminal_fd: ?int) -> (gestures: []object)

# gesture: what proves the person, where the PIN is forgotten.
method HelloChangePin(gesture: ?string, terminal_fd: ?int) -> (enrolled: object)

# Destroy all gestures and keys; on a machine's broker for root.
method HelloReset(user: ?string) -> ()

# Forget wrong PINs and keep the gestures; on a machine's broker for root.
method HelloUnlock(user: ?string) -> (gestures: []object)

error Failed (code: string, message: string, hint: string, exit_code: int, windows_code: ?int, request: ?string)
"""

SERVICE_DESCRIPTION = """\
# The interface that every Varlink service has.
interface org.varlink.service

method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)

error MethodNotFound (method: string)

error MethodNotImplemented (method: string)

error InvalidParameter (parameter: string)
"""

DESCRIPTIONS: Mapping[str, str] = {SERVICE: SERVICE_DESCRIPTION, NAME: DESCRIPTION}
