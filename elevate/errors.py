"""Every error that leaves elevate, as one tree.

::

    ElevateError                       never raised itself
    ├── TaskError                      what was asked is not a task
    │   ├── TaskInvalidError
    │   ├── TaskKindUnknownError
    │   ├── CommandNotFoundError
    │   └── CommandNotExecutableError
    ├── RefusedError                   understood, and refused
    │   ├── DeniedError                policy says no
    │   ├── DeclinedError              the person said no
    │   ├── PromptTimedOutError
    │   ├── LockedOutError
    │   ├── CancelledError             the client left, or Ctrl-C
    │   ├── BusyError                  too many prompts, requests or connections
    │   ├── PolicyChangedError         between prompt and run
    │   ├── GestureError               the proof of the person does not verify
    │   │   ├── PhraseNeededError      after wrong PINs a phrase is typed first
    │   │   ├── DeviceAbsentError      the sensor or security key is not there
    │   │   └── DeviceBusyError        somebody else uses it
    │   ├── GestureDisabledError       a setting of the machine's owner rules this gesture out
    │   └── TokenError                 the token does not verify
    │       ├── TokenSpentError
    │       ├── TokenExpiredError
    │       └── TokenRevokedError
    ├── HelloError                     enrolment and credentials
    │   ├── NotEnrolledError
    │   ├── PinRefusedError            too short, too simple, used before
    │   ├── PinExpiredError            a new one must be chosen first
    │   └── HelloDamagedError          a file is not private, or not what was written
    ├── PolicyError                    a policy that can't be loaded
    ├── AuditError
    │   └── LogTamperedError
    └── BrokerError                    the broker's own failure
        ├── NoBrokerError
        ├── BrokerUntrustedError       somebody else listens there
        ├── ProtocolError
        ├── TransitionError            a step that is not in the table
        ├── StoreError
        │   ├── StoreUnwritableError
        │   ├── StoreForeignError      a file that is not ours
        │   └── StoreNewerError        written by a newer elevate
        ├── HostError
        │   ├── NotStartedError        its process was ended before it executed
        │   └── StartUnknownError      the task may have begun, or not
        └── LabError                   the lab can't run an installer

Each class has a stable ``code`` (kebab-case), an ``exit_code`` and a default ``hint``. What an error says to the caller stands
in its message; what only the log may know stands in ``detail`` and never crosses the socket.

The thin client imports this module, so it imports nothing itself.
"""

EXIT_BROKER = 125
EXIT_REFUSED = 126
EXIT_NOT_FOUND = 127


class ElevateError(Exception):
    """Base of the tree; raise one of its leaves.

    Args:
        message: One line for the caller, lower case, no final full stop.
        hint: What to do next; the class's own where not given.
        detail: The full reason, for the log only.
    """

    code = "error"
    exit_code = EXIT_BROKER
    hint = ""
    windows_code: "int | None" = None

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail or message
        if hint:
            self.hint = hint


class TaskError(ElevateError):
    """What was asked is not a task."""

    code = "task"


class TaskInvalidError(TaskError):
    """A parameter is missing, too long, of the wrong type or not allowed."""

    code = "task-invalid"
    hint = "see: elevate run --help"


class TaskKindUnknownError(TaskError):
    """No task kind has this name."""

    code = "task-kind-unknown"
    hint = "the kinds are process.run, package.install, package.remove, service.control, setting.change and file.write"


class CommandNotFoundError(TaskError):
    """The command is not on the fixed PATH, or the file is not there."""

    code = "command-not-found"
    exit_code = EXIT_NOT_FOUND
    hint = "give the full path; only the system's own folders are searched"
    windows_code = 2


class CommandNotExecutableError(TaskError):
    """The file is there and can't be executed."""

    code = "command-not-executable"
    exit_code = EXIT_NOT_FOUND
    hint = "check that it is a file with the execute permission"
    windows_code = 193


class RefusedError(ElevateError):
    """The request was understood and refused."""

    code = "refused"
    exit_code = EXIT_REFUSED


class DeniedError(RefusedError):
    """Policy does not allow this task."""

    code = "denied"
    hint = "elevate explain -- COMMAND says which rule would allow it"
    windows_code = 740


class DeclinedError(RefusedError):
    """The person declined the prompt."""

    code = "declined"
    hint = "nothing was done; ask again when you agree to the task"
    windows_code = 1223


class PromptTimedOutError(RefusedError):
    """Nobody answered the prompt in time."""

    code = "prompt-timed-out"
    hint = "nothing was done; ask again and answer within two minutes"
    windows_code = 1223


class LockedOutError(RefusedError):
    """Too many wrong tries."""

    code = "locked-out"
    hint = "wait for the time shown, or use another gesture"
    windows_code = 1909


class CancelledError(RefusedError):
    """The client left or cancelled."""

    code = "cancelled"
    hint = "nothing was done; ask again"
    windows_code = 1223


class BusyError(RefusedError):
    """Too many requests wait already."""

    code = "busy"
    hint = "answer or cancel the open prompt first, then ask again"
    windows_code = 170


class PolicyChangedError(RefusedError):
    """The policy changed between the prompt and the run."""

    code = "policy-changed"
    hint = "ask again; the new policy decides"


class GestureError(RefusedError):
    """The proof that the person is there does not verify."""

    code = "gesture-refused"
    hint = "ask again and repeat the gesture"
    windows_code = 1326


class PhraseNeededError(GestureError):
    """After wrong PINs in a row a phrase must be typed before the next; nothing was checked."""

    code = "phrase-needed"
    hint = "type the phrase that is shown, then the PIN"


class DeviceAbsentError(GestureError):
    """The sensor or security key is not there."""

    code = "device-absent"
    hint = "connect it, or use the PIN"


class DeviceBusyError(GestureError):
    """The sensor is in use."""

    code = "device-busy"
    hint = "try again in a moment, or use the PIN"


class GestureDisabledError(RefusedError):
    """The machine's owner has ruled this gesture out."""

    code = "gesture-disabled"
    hint = "use another gesture; elevate hello test shows what is allowed"


class TokenError(RefusedError):
    """The token does not verify; the log says why."""

    code = "token-refused"
    hint = "ask for a new token; each is good for one task, once"


class TokenSpentError(TokenError):
    """The token was used before."""

    code = "token-spent"
    hint = "a token is good for one use; ask again for another"


class TokenExpiredError(TokenError):
    """The token's time is over."""

    code = "token-expired"
    hint = "ask again, and run the task at once"


class TokenRevokedError(TokenError):
    """The token was taken back."""

    code = "token-revoked"
    hint = "ask again if the task is still needed"


class HelloError(ElevateError):
    """Enrolment or a credential is not as needed."""

    code = "hello"
    hint = "see: elevate hello list"


class NotEnrolledError(HelloError):
    """The person has no gesture that can be used here."""

    code = "not-enrolled"
    exit_code = EXIT_REFUSED
    hint = "enrol first: elevate hello enrol"


class PinRefusedError(HelloError):
    """The new PIN breaks a rule."""

    code = "pin-refused"
    hint = "choose at least 6 digits that do not simply repeat or count"


class PinExpiredError(HelloError):
    """The PIN is right but too old; nothing is signed with it."""

    code = "pin-expired"
    exit_code = EXIT_REFUSED
    hint = "choose a new one: elevate hello change-pin"


class HelloDamagedError(HelloError):
    """A file of the gestures is missing, not private, or not what was written; nothing was checked."""

    code = "hello-damaged"
    exit_code = EXIT_REFUSED
    hint = "find out who could write it; then: elevate hello reset"


class PolicyError(ElevateError):
    """A policy can't be loaded; the message has file, line and column."""

    code = "policy-invalid"
    hint = "the policy in force has not changed; correct the file and reload"


class AuditError(ElevateError):
    """The log can't be read or checked."""

    code = "audit"
    hint = "see: elevate audit verify"


class LogTamperedError(AuditError):
    """The log is not what was written."""

    code = "log-tampered"
    hint = "keep a copy of the file, and find out who could write it"


class BrokerError(ElevateError):
    """The broker itself failed; nothing was granted."""

    code = "broker-failed"
    hint = "see: elevate doctor"


class NoBrokerError(BrokerError):
    """Nobody listens on the socket."""

    code = "no-broker"
    hint = "start one: elevate init, then elevate serve"


class BrokerUntrustedError(BrokerError):
    """Somebody else's process listens on the socket."""

    code = "broker-untrusted"
    hint = "do not type a PIN; find out whose process it is"


class ProtocolError(BrokerError):
    """A message that the other side can't mean."""

    code = "protocol"
    hint = "client and broker should be of the same version"


class TransitionError(BrokerError):
    """A step that the state table does not have."""

    code = "transition"


class StoreError(BrokerError):
    """The ledger can't be used."""

    code = "store"


class StoreUnwritableError(StoreError):
    """What can't be recorded is not granted."""

    code = "store-unwritable"
    hint = "check the disk's space and the folder's owner and mode"


class StoreForeignError(StoreError):
    """The file is not elevate's ledger."""

    code = "store-foreign"
    hint = "move the file away; it was not changed"


class StoreNewerError(StoreError):
    """The ledger was written by a newer elevate."""

    code = "store-newer"
    hint = "install that version again; the file was not changed"


class HostError(BrokerError):
    """The machine on which the task should run can't run it."""

    code = "host"


class NotStartedError(HostError):
    """A start was ordered, and the task's process was ended before it executed: nothing of the task ran."""

    code = "not-started"
    hint = "nothing ran; ask for it again, and see who ends processes of the task's user"


class StartUnknownError(HostError):
    """A start was ordered, and no answer came: the task may have begun, and was ended, or not."""

    code = "start-unknown"
    hint = "look at what the task does before you ask for it again"


class LabError(BrokerError):
    """The lab can't run the installer here."""

    code = "lab"
    hint = "see: elevate lab check --help"


def _leaves(root: "type[ElevateError]") -> "list[type[ElevateError]]":
    return [root, *(leaf for child in root.__subclasses__() for leaf in _leaves(child))]


def from_code(code: str, message: str, hint: str = "") -> ElevateError:
    """Rebuild an error that crossed the socket; an unknown code, or the base's, becomes `BrokerError`."""
    kind = next((leaf for leaf in _leaves(ElevateError)[1:] if leaf.code == code), BrokerError)
    return kind(message, hint=hint)
