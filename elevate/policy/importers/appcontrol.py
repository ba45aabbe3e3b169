"""Rules from an App Control for Business (WDAC) policy in XML.

Only what is for programs (signing scenario 12) is taken. Its signers are pinned to a root certificate and its hashes are
Authenticode hashes, while a rule here has a signer's name and a file's SHA-256; so signers and hashes grant nothing, and path
rules do. A deny that no rule can say takes back every grant, since it could reach any of them.
"""

import xml.etree.ElementTree as ET

from elevate.policy.importers.common import Fate, Imported, Table
from elevate.policy.importers.windows import children, local, parse_xml, path_task

_PROGRAMS = "12"
_RUN = "process.run"


def import_appcontrol(data: bytes) -> Imported:
    """Translate.

    Raises:
        PolicyError: Not an App Control policy.
    """
    root = parse_xml(data, "SiPolicy")
    imported = Imported(prefix="appcontrol")
    rules = {rule.get("ID", ""): rule for part in children(root, "FileRules") for rule in children(part)}
    signers = {signer.get("ID", ""): signer for part in children(root, "Signers") for signer in children(part, "Signer")}
    untold = _audit(root)
    scenarios = [one for part in children(root, "SigningScenarios") for one in children(part, "SigningScenario")]
    for scenario in scenarios:
        if scenario.get("Value") != _PROGRAMS:
            imported.note(Fate.LEFT_OUT, f"scenario {scenario.get('Value')}", "it is about drivers")
            continue
        for product in children(scenario, "ProductSigners"):
            untold = _signers(product, signers, imported) or untold
            untold = _files(product, rules, imported) or untold
    if untold:
        imported.leave_out_grants(untold)
    return imported


def _audit(root: ET.Element) -> str:
    """Say why nothing can be granted, where the policy does not decide about programs at all."""
    options = {(option.text or "").strip() for option in root.iter() if local(option) == "Option"}
    return "" if "Enabled:UMCI" in options else "the policy does not look at programs (no option Enabled:UMCI)"


def _signers(product: ET.Element, signers: dict[str, ET.Element], imported: Imported) -> str:
    for entry in [one for part in children(product, "AllowedSigners") for one in children(part)]:
        name = signers[entry.get("SignerId", "")].get("Name", "") if entry.get("SignerId") in signers else ""
        imported.note(Fate.LEFT_OUT, f"allowed signer {name}", "it is pinned to a root certificate, which no rule can say")
    untold = ""
    for entry in [one for part in children(product, "DeniedSigners") for one in children(part)]:
        signer = signers.get(entry.get("SignerId", ""))
        names = [one.get("Value", "") for one in children(signer, "CertPublisher")] if signer is not None else []
        if names and names[0]:
            imported.add("deny", {}, {"kind": _RUN, "signer": names[0]}, f"App Control: denied signer {names[0]}")
            imported.note(Fate.NARROWED, f"denied signer {names[0]}", "it denies the name under any root")
        else:
            untold = "a denied signer has no name that a rule could deny"
    return untold


def _files(product: ET.Element, rules: dict[str, ET.Element], imported: Imported) -> str:
    untold = ""
    references = [one.get("RuleID", "") for part in children(product, "FileRulesRef") for one in children(part, "FileRuleRef")]
    for reference in references:
        rule = rules.get(reference)
        if rule is None:
            imported.note(Fate.LEFT_OUT, reference, "no such rule")
            continue
        name = f"{local(rule)} {rule.get('FriendlyName') or reference}"
        deny = local(rule) == "Deny"
        task = _file_task(rule, deny=deny)
        if task is not None and local(rule) in {"Allow", "Deny"}:
            imported.add("deny" if deny else "allow", {}, {"kind": _RUN, **task}, f"App Control: {name}")
            imported.note(Fate.TRANSLATED, name)
        elif deny:
            untold = f"{name} can't be said"
        else:
            imported.note(Fate.LEFT_OUT, name, "it names files by hash, attribute or pattern, which no rule can say")
    return untold


def _file_task(rule: ET.Element, *, deny: bool) -> Table | None:
    """Give the task of a path rule; a grant with any further limit is none, a deny leaves the limits away."""
    path = rule.get("FilePath")
    limits = {"Hash", "FileName", "MinimumFileVersion", "MaximumFileVersion", "InternalName", "FileDescription", "ProductName"}
    limits |= {"PackageFamilyName", "PackageVersion", "AppIDs"}
    if path is None or (not deny and limits.intersection(rule.keys())):
        return None
    return path_task(path, deny=deny)
