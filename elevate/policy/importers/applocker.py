"""Rules from an AppLocker policy, the XML that ``Get-AppLockerPolicy -Xml`` gives.

AppLocker says what may run; here the same says what may run as admin, after a credential. Programs (Exe) and installers (Msi)
are taken. A hash there is an Authenticode hash, which is not the file's SHA-256, so hash rules grant nothing; and a deny or an
exception by hash or by an organisation's name, which no rule can say, takes back every grant of its collection. Deny wins in
both. Windows compares paths without case; here a grant's case counts, and a deny takes a folder whose spelling is sure.
"""

import re
import xml.etree.ElementTree as ET

from elevate.policy.importers.common import Fate, Imported, Table
from elevate.policy.importers.windows import children, local, parse_xml, path_task

_KINDS = {"Exe": "process.run", "Msi": "package.install"}
_EVERYONE = {"S-1-1-0", "S-1-5-11"}
_GROUPS = {"S-1-5-32-544": "Administrators", "S-1-5-32-545": "Users"}
_DISTINGUISHED = re.compile(r"\s*[A-Za-z.0-9]+\s*=")
_RULES = ("FilePathRule", "FilePublisherRule", "FileHashRule")


def import_applocker(data: bytes) -> Imported:
    """Translate.

    Raises:
        PolicyError: Not an AppLocker policy.
    """
    imported = Imported(prefix="applocker")
    for collection in children(parse_xml(data, "AppLockerPolicy"), "RuleCollection"):
        kind = _KINDS.get(collection.get("Type", ""))
        if kind is None:
            for rule in children(collection, *_RULES):
                imported.note(Fate.LEFT_OUT, _name(rule), f"no task is of the type {collection.get('Type')}")
        else:
            _collection(collection, kind, imported)
    return imported


def _name(rule: ET.Element) -> str:
    return f"{rule.get('Action', '')} {rule.get('Name') or rule.get('Id') or local(rule)}"


def _collection(collection: ET.Element, kind: str, imported: Imported) -> None:
    part = Imported(prefix=imported.prefix, rules=[])
    untold = ""
    for rule in children(collection, *_RULES):
        translate = _allow if rule.get("Action") == "Allow" else _deny
        untold = translate(rule, kind, part) or untold
    if untold:
        part.leave_out_grants(untold)
    imported.notes += part.notes
    for rule_table in part.rules:
        who, task = rule_table["who"], rule_table["task"]
        if isinstance(who, dict) and isinstance(task, dict):
            imported.add(str(rule_table["effect"]), who, task, str(rule_table["why"]))


def _allow(rule: ET.Element, kind: str, part: Imported) -> str:
    """Add a grant; give why the collection's grants must go, where an exception can't be said."""
    who, narrowed = _who(rule, deny=False)
    tasks = [_task(condition, kind, deny=False) for condition in _conditions(rule, "Conditions")]
    known = [task for task in tasks if task is not None]
    if who is None or not known:
        part.note(Fate.LEFT_OUT, _name(rule), narrowed or "it names files by hash or by a pattern that no rule has")
        return ""
    for condition in _conditions(rule, "Exceptions"):
        excepted = _task(condition, kind, deny=True)
        if excepted is None:
            return f"the exception of {_name(rule)} can't be said"
        part.add("deny", {}, excepted, f"AppLocker: exception of {_name(rule)}")
        narrowed = "its exceptions deny in every rule"
    for task in known:
        part.add("allow", who, task, f"AppLocker: {_name(rule)}")
    narrowed = "some of its conditions are left out" if len(known) < len(tasks) else narrowed
    part.note(Fate.NARROWED if narrowed else Fate.TRANSLATED, _name(rule), narrowed)
    return ""


def _deny(rule: ET.Element, kind: str, part: Imported) -> str:
    who, widened = _who(rule, deny=True)
    for condition in _conditions(rule, "Conditions"):
        task = _task(condition, kind, deny=True)
        if task is None:
            return f"{_name(rule)} can't be said"
        part.add("deny", who or {}, task, f"AppLocker: {_name(rule)}")
    part.note(Fate.NARROWED if widened or _conditions(rule, "Exceptions") else Fate.TRANSLATED, _name(rule), widened)
    return ""


def _conditions(rule: ET.Element, name: str) -> list[ET.Element]:
    return [condition for part in children(rule, name) for condition in children(part)]


def _who(rule: ET.Element, *, deny: bool) -> tuple[Table | None, str]:
    """Give for whom a rule is. A SID may be a person's or a group's: a grant takes it as a person's, a deny as everybody's."""
    sid = rule.get("UserOrGroupSid", "")
    if sid in _EVERYONE:
        return {}, ""
    if sid in _GROUPS:
        return {"group": _GROUPS[sid]}, ""
    if deny:
        return {}, "it now denies everybody"
    if not sid.startswith("S-1-5-21-"):
        return None, "it is for an account that no rule can name"
    return {"sid": sid}, "it is for one person, not for a group with this SID"


def _task(condition: ET.Element, kind: str, *, deny: bool) -> Table | None:
    match local(condition):
        case "FilePathCondition":
            found = path_task(condition.get("Path", ""), deny=deny)
            return None if found is None else {"kind": kind, **found}
        case "FilePublisherCondition":
            return _publisher(condition, kind, deny=deny)
        case _:
            return None


def _publisher(condition: ET.Element, kind: str, *, deny: bool) -> Table | None:
    """Give a publisher's task. A deny leaves product, name and version away; ``*`` for any publisher can't be granted.

    SECURITY: AppLocker names an organisation, a rule the certificate's common name; the one does not say the other.
    """
    signer = condition.get("PublisherName", "*")
    if deny and _DISTINGUISHED.match(signer):
        return None
    if deny:
        return {"kind": kind} if signer == "*" else {"kind": kind, "signer": signer}
    if signer == "*" or condition.get("BinaryName", "*") != "*":
        return None
    task: Table = {"kind": kind, "signer": signer}
    if condition.get("ProductName", "*") != "*":
        task["product"] = condition.get("ProductName", "")
    bounds = [
        sign + version
        for limits in children(condition, "BinaryVersionRange")
        for sign, version in ((">=", limits.get("LowSection", "*")), ("<=", limits.get("HighSection", "*")))
        if version != "*"
    ]
    return {**task, "version": ", ".join(bounds)} if bounds else task
