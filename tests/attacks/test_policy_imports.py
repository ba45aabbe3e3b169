"""Row 34 by way of importers: what an imported file takes away must stay away, and none keeps the importer busy."""

import json
import time

import pytest

from elevate.errors import PolicyError
from elevate.policy.importers import Fate, import_sudoers
from tests.unit.policy.test_importers import ALLOWED, appcontrol, applocker, path_rule, run, spec, sudoers

MAX_SECONDS = 10
SUSE = {"runasusers": [{"username": "ALL"}]}
POWERSHELL = "/C:/Windows/System32/WindowsPowerShell/v1.0/powershell.exe"


@pytest.mark.parametrize("option", ["targetpw", "rootpw", "runaspw", "noexec", "intercept", "runchroot", "role", "type"])
def test_34_sudoers_default_that_asks_for_more_grants_nothing(option: str) -> None:
    """With targetpw everybody may do everything who knows root's password; a rule would ask for one's own PIN."""
    line = spec([{"command": "ALL"}], [{"username": "ALL"}], **SUSE)

    assert run(sudoers(line), "/usr/bin/id")
    imported = sudoers(line, Defaults=[{"Options": [{option: True}]}])
    assert imported.rules == []
    assert [note.fate for note in imported.notes] == [Fate.LEFT_OUT]
    assert run(sudoers(line, Defaults=[{"Options": [{option: False}]}]), "/usr/bin/id")


def test_34_sudoers_option_beside_another_is_not_overlooked() -> None:
    """Two names in one option: the second counts, too."""
    assert sudoers(spec([{"command": "/opt/x"}], Options=[{"mail": True, "chroot": "/srv"}])).rules == []


@pytest.mark.parametrize(
    "path",
    [r"%SYSTEM32%\WINDOWSPOWERSHELL\V1.0\POWERSHELL.EXE", r"c:\windows\SYSTEM32\windowspowershell\*", r"%windir%\system32\*"],
)
def test_34_windows_deny_holds_however_it_is_spelled(path: str) -> None:
    """Exported policies write capitals; a deny that compares them with case would be none."""
    assert not run(applocker(path_rule("*") + path_rule(path, "Deny")), POWERSHELL)
    assert not run(applocker(path_rule("*", exceptions=f'<FilePathCondition Path="{path}"/>')), POWERSHELL)
    everything = ALLOWED.replace("Program Files\\*", "*")
    assert run(appcontrol(everything), POWERSHELL)
    assert not run(appcontrol(everything + f'<Deny ID="D" FilePath="{path}"/>'), POWERSHELL)


def test_34_deny_by_an_organisation_takes_back_every_grant() -> None:
    """A rule knows the certificate's common name only, so that such a deny would reach nobody."""
    publisher = '<FilePublisherRule Name="n" UserOrGroupSid="S-1-1-0" Action="Deny"><Conditions>'
    publisher += '<FilePublisherCondition PublisherName="O=EVIL CORP, C=US"/></Conditions></FilePublisherRule>'

    assert not run(applocker(path_rule("*") + publisher), POWERSHELL, task={"signer": "Evil Corp"})


def bombs() -> dict[str, bytes]:
    nested = {f"A{at}": [{"useralias": f"A{at + 1}"}] * 10 for at in range(15)} | {"A15": [{"username": "alice"}]}
    circle = {"A": [{"useralias": "A"}] * 10}
    commands = {f"A{at}": [{"cmndalias": f"A{at + 1}"}] * 10 for at in range(15)} | {"A15": [{"command": "/opt/x"}]}
    users = [{"useralias": "A0"}]
    many = [spec([{"command": f"/opt/x{at}"}]) for at in range(5_000)]
    documents: dict[str, object] = {
        "nested": {"User_Aliases": nested, "User_Specs": [spec([{"command": "/opt/x"}], users)]},
        "circle": {"User_Aliases": circle, "User_Specs": [spec([{"command": "/opt/x"}], [{"useralias": "A"}])]},
        "commands": {"Command_Aliases": commands, "User_Specs": [spec([{"cmndalias": "A0"}])]},
        "long": {"User_Specs": many},
    }
    return {name: json.dumps(document).encode() for name, document in documents.items()}


@pytest.mark.parametrize("name", ["nested", "circle", "commands", "long"])
def test_43_no_file_keeps_an_importer_busy(name: str) -> None:
    """Aliases that name each other many times are refused; a long file takes a time in proportion."""
    data, start = bombs()[name], time.process_time()
    if name == "long":
        assert len(import_sudoers(data).rules) == 5_000
    else:
        with pytest.raises(PolicyError, match="members"):
            import_sudoers(data)
    assert time.process_time() - start < MAX_SECONDS
