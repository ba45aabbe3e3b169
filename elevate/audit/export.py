"""Entries in the formats that others read: JSON lines, OCSF, RFC 5424, Windows event XML and CSV. One entry is one line.

Every format but CSV carries the entry's position and hash, so that what was exported can be found in the log and proven there.
"""

import json
from collections.abc import Callable, Mapping

from elevate.audit.entry import Entry
from elevate.audit.view import member, when
from elevate.canonical import Json
from elevate.lifecycle import APPROVED, ENDS_TOKEN, NOT_APPROVED, State
from elevate.text import escape

Known = Mapping[str, Json]
Writer = Callable[[Entry, Known, str], str]
"""Gives the line of an entry, from what its request has said up to it and the entry's hash; empty where there is none."""

OCSF_VERSION = "1.9.0-dev"
PRODUCT = {"name": "elevate", "vendor_name": "elevate", "feature": {"name": "audit"}}
COLUMNS = (
    "seq",
    "time",
    "event",
    "request",
    "user",
    "uid",
    "kind",
    "task",
    "decision",
    "rules",
    "method",
    "token",
    "exit",
    "code",
    "why",
)
LUA_PROVIDER = "Microsoft-Windows-LUA"
LUA_GUID = "{93c05d69-51a3-485e-877f-1806a8731346}"
APPROVED_EVENT, REFUSED_EVENT = 15031, 15032

_AUTHPRIV = 10
_NOTICE, _WARNING, _ALERT = 5, 4, 1
_STRUCTURED = "elevate@32473"
_ALARMS = frozenset({"second-use", State.CLEANUP_FAILED.value, State.OUTCOME_UNKNOWN.value})
_PROCESS = {State.RUNNING.value: (1, "Launch"), **{state.value: (2, "Terminate") for state in ENDS_TOKEN}}
_PROMPTS = frozenset({State.PROMPTING.value, State.DECLINED.value, State.TIMED_OUT.value, State.LOCKED_OUT.value})
_SHA256 = 3
_MILLISECOND_US = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, the full-width forms included."""


def jsonl(entry: Entry, known: Known, digest: str) -> str:  # noqa: ARG001 - one form for all formats
    """Give the entry as it is, opened, with its hash."""
    members = {
        "seq": entry.seq,
        "time": when(entry.unix_us),
        "event": entry.event,
        "request": entry.request,
        "boot": entry.boot,
        "broker": entry.broker,
        "machine": entry.machine,
        "mono_us": entry.mono_us,
        "body": dict(entry.body),
        "hash": digest,
        "was": entry.was,
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"


def table(entry: Entry, known: Known, digest: str) -> str:  # noqa: ARG001 - one form for all formats
    """Give a line of CSV, in the order of `COLUMNS`; a text that a spreadsheet would run is quoted by an apostrophe."""
    cells = [str(entry.seq), when(entry.unix_us), entry.event, entry.request, *(_text(known, *path) for path in _CELLS)]
    return ",".join(_cell(escape(cell)) for cell in cells) + "\n"


def _cell(text: str) -> str:
    text = f"'{text}" if text.startswith(_FORMULA) else text
    # RFC 4180 section 2, rules 5 to 7.
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


_CELLS = (
    ("actor", "user"),
    ("actor", "uid"),
    ("task", "kind"),
    ("task", "display"),
    ("decision", "outcome"),
    ("decision", "rules"),
    ("authentication", "method"),
    ("token", "jti"),
    ("process", "exit_status"),
    ("reason", "code"),
    ("reason", "text"),
)


def syslog(entry: Entry, known: Known, digest: str) -> str:
    """Give a line as in RFC 5424: facility authpriv, one structured element, the text after a byte order mark."""
    refused = entry.event in NOT_APPROVED
    severity = _ALERT if entry.event in _ALARMS else _WARNING if refused else _NOTICE
    values = {
        "seq": str(entry.seq),
        "request": entry.request,
        "hash": digest,
        "user": _text(known, "actor", "user"),
        "kind": _text(known, "task", "kind"),
        "rules": _text(known, "decision", "rules"),
        "method": _text(known, "authentication", "method"),
        "code": _text(known, "reason", "code"),
    }
    params = "".join(f' {name}="{_param(value)}"' for name, value in values.items() if value)
    task = _text(known, "task", "display")
    text = escape(f"{entry.event} {_text(known, 'actor', 'user')}: {task}" if task else entry.event)
    stamp = when(entry.unix_us)
    name = (entry.machine or "-")[:255]
    head = f"<{_AUTHPRIV * 8 + severity}>1 {stamp} {name} elevate - {entry.event[:32]}"
    return f"{head} [{_STRUCTURED}{params}] \ufeff{text}\n"


def windows(entry: Entry, known: Known, digest: str) -> str:
    """Give the authorisation outcome as Windows logs it, events 15031 and 15032; empty for every other entry."""
    if entry.event not in APPROVED and entry.event not in NOT_APPROVED:
        return ""
    number = APPROVED_EVENT if entry.event in APPROVED else REFUSED_EVENT
    path = _text(known, "task", "path") or _text(known, "task", "display").split(" ")[0]
    data = {
        "UserSid": _text(known, "actor", "sid"),
        "ApplicationName": path.rpartition("/")[2],
        "ApplicationPath": path,
        "ElevationReason": entry.event,
        "Outcome": "Approved" if entry.event in APPROVED else "NotApproved",
        "SystemManagedAccount": _text(known, "process", "identity", "name"),
        "SystemManagedAccountSid": _text(known, "process", "identity", "sid"),
        "AuthenticationMethod": _text(known, "authentication", "method"),
        "EntryHash": digest,
    }
    fields = "".join(f"<Data Name={_quoted(name)}>{_xml(value)}</Data>" for name, value in data.items())
    system = (
        f'<Provider Name="{LUA_PROVIDER}" Guid="{LUA_GUID}"/><EventID>{number}</EventID><Version>0</Version>'
        f"<Level>{4 if number == APPROVED_EVENT else 3}</Level>"
        f'<TimeCreated SystemTime="{when(entry.unix_us)}"/><EventRecordID>{entry.seq}</EventRecordID>'
        f"<Correlation ActivityID={_quoted(entry.request)}/>"
        f"<Channel>{LUA_PROVIDER}/Operational</Channel><Computer>{_xml(entry.machine)}</Computer>"
        f"<Security UserID={_quoted(_text(known, 'actor', 'sid'))}/>"
    )
    space = "http://schemas.microsoft.com/win/2004/08/events/event"
    return f'<Event xmlns="{space}"><System>{system}</System><EventData>{fields}</EventData></Event>\n'


def ocsf(entry: Entry, known: Known, digest: str) -> str:
    """Give an event of OCSF: authentication (3002), authorisation (3003) or process activity (1007), with its integrity."""
    user = {
        "name": _text(known, "actor", "user") or "erased",
        "uid": _text(known, "actor", "sid") or _text(known, "actor", "uid"),
    }
    members: dict[str, object] = {
        "time": entry.unix_us // _MILLISECOND_US,
        "severity_id": 4 if entry.event in _ALARMS else 3 if entry.event in NOT_APPROVED else 1,
        "status_id": 2 if entry.event in NOT_APPROVED else 1,
        "status_detail": escape(_text(known, "reason", "code") or entry.event),
        "message": escape(f"{entry.event}: {_text(known, 'task', 'display')}"),
        "metadata": {
            "version": OCSF_VERSION,
            "product": PRODUCT,
            "profiles": ["host", "record_integrity"],
            "uid": str(entry.seq),
            "sequence": entry.seq,
            "event_code": entry.event,
            "correlation_uid": entry.request,
        },
        "device": {"type_id": 0, "uid": entry.machine or "unknown", "boot_uid": entry.boot},
        "attestation_list": [_attestation(entry, digest)],
        "actor": {
            "user": user,
            "process": {"pid": _number(known, "actor", "pid"), "path": _text(known, "actor", "executable")},
        },
    }
    members |= _ocsf_class(entry, known, user)
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"


def _ocsf_class(entry: Entry, known: Known, user: Mapping[str, str]) -> dict[str, object]:
    if entry.event in _PROCESS and "process" in known:
        activity, name = _PROCESS[entry.event]
        process = {"pid": _number(known, "process", "pid"), "cmd_line": _text(known, "task", "display")}
        ended = _number(known, "process", "exit_status")
        return _ids(1, 1007, activity, name) | {"process": process} | ({"exit_code": ended} if activity > 1 else {})
    session = {"uid": entry.request, "issuer": entry.broker}
    if entry.event in _PROMPTS:
        service = {"name": "elevate"}
        return _ids(3, 3002, 99, "Prompt") | {"user": dict(user), "service": service, "session": session}
    outcome = entry.event in APPROVED or entry.event in NOT_APPROVED
    activity, name = (1, "Assign Privileges") if outcome else (99, entry.event)
    policy = {"name": " ".join(_list(known, "decision", "rules")) or "default", "uid": _text(known, "decision", "policy")}
    return _ids(3, 3003, activity, name) | {"user": dict(user), "privileges": ["admin"], "session": session, "policy": policy}


def _ids(category: int, number: int, activity: int, name: str) -> dict[str, object]:
    return {
        "category_uid": category,
        "class_uid": number,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": number * 100 + activity,
    }


def _attestation(entry: Entry, digest: str) -> dict[str, object]:
    return {
        "uid": str(entry.seq),
        "chain_uid": entry.broker,
        "fingerprint": {"algorithm_id": _SHA256, "value": digest},
        "prev_event": {"uid": str(entry.seq - 1), "fingerprint": {"algorithm_id": _SHA256, "value": entry.was}},
    }


def _text(known: Known, *path: str) -> str:
    value = member(known, *path)
    if value is None:
        return ""
    return " ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _list(known: Known, *path: str) -> list[str]:
    value = member(known, *path)
    return [str(one) for one in value] if isinstance(value, list) else []


def _number(known: Known, *path: str) -> int:
    value = member(known, *path)
    return value if type(value) is int else 0


def _param(value: str) -> str:
    return escape(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _xml(value: str) -> str:
    return escape(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(value: str) -> str:
    return '"' + _xml(value).replace('"', "&quot;") + '"'


WRITERS: Mapping[str, Writer] = {"jsonl": jsonl, "ocsf": ocsf, "rfc5424": syslog, "windows": windows, "csv": table}
"""The formats by name."""
HEADERS: Mapping[str, str] = {"csv": ",".join(COLUMNS) + "\n"}
"""What goes before the first line."""
