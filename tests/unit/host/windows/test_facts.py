"""What the emulated machine learns of a Windows program, and that a doubt is a doubt."""

from pathlib import Path

import pytest

from elevate.host.windows import facts as windows
from elevate.model import Fact, FactValue
from elevate.tasks import Task
from tests.unit.host.emulating import Emulated
from tests.unit.host.windows.programs import Program, manifest

STRINGS = {"ProductName": "Contoso Notes", "CompanyName": "Contoso", "FileDescription": "Contoso Notes Setup"}


def facts_of(machine: Emulated, data: bytes, name: str = "notes.exe") -> dict[str, FactValue]:
    file = machine.drive / "ProgramData" / name
    file.write_bytes(data)
    file.chmod(0o755)
    inspection = machine.host.inspect(Task.run([str(file)]), machine.requester)
    inspection.close()
    return dict(inspection.task.facts)


def test_30_the_manifest_s_level_is_a_fact(machine: Emulated) -> None:
    """Level and uiAccess of a real PE file reach the policy."""
    facts = facts_of(machine, Program(manifest=manifest("highestAvailable", ui_access="true"), strings=STRINGS).build())

    assert (facts["manifest"], facts["ui_access"]) == ("highestAvailable", True)
    assert (facts["product"], facts["version"], facts["installer"]) == ("Contoso Notes", "1.2.3.4", True)
    assert (facts["signer"], facts["signature"]) == (Fact.ABSENT, "unsigned")


def test_30_no_manifest_is_known_to_be_absent(machine: Emulated) -> None:
    facts = facts_of(machine, Program().build())

    assert facts["manifest"] is Fact.ABSENT
    assert facts["installer"] is False


def test_29_the_name_given_counts_not_the_descriptor_s(machine: Emulated) -> None:
    assert facts_of(machine, Program().build(), "notes-setup.exe")["installer"] is True


@pytest.mark.parametrize("data", [b"MZ", b"MZ" + bytes(5000), Program(manifest=manifest("superuser")).build()])
def test_30_a_file_that_can_t_be_read_is_undetermined(machine: Emulated, data: bytes) -> None:
    """No level, no publisher, not even whether it is an installer: nothing may match that should allow."""
    facts = facts_of(machine, data)

    assert {name: facts[name] for name in windows.NAMES} == dict.fromkeys(windows.NAMES, Fact.UNDETERMINED)


def test_30_without_the_libraries_all_is_undetermined(machine: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra ``windows`` may be missing; what it would have told is then not known, and the machine goes on."""
    monkeypatch.setattr(windows, "library_folders", lambda: ())

    facts = facts_of(machine, Program(manifest=manifest()).build())

    assert facts["manifest"] is Fact.UNDETERMINED
    assert facts["signer"] is Fact.UNDETERMINED


def test_other_programs_have_no_windows_facts(machine: Emulated) -> None:
    facts = facts_of(machine, b"#!/bin/sh\n", "notes")

    assert "manifest" not in facts
    assert facts["signer"] is Fact.ABSENT


def test_the_answer_s_signer_is_a_name_only_when_it_verifies() -> None:
    """A publisher's name in a signature that does not hold never becomes the signer."""
    verdicts = ("tampered", "appended", "untrusted", "expired", "unfit")

    for verdict in verdicts:
        assert windows._signer({"verdict": verdict, "publisher": "Contoso"})["signer"] is Fact.UNDETERMINED
    assert windows._signer({"verdict": "signed", "publisher": "Contoso"})["signer"] == "Contoso"
    assert windows._signer({"verdict": "signed", "publisher": ""})["signer"] is Fact.UNDETERMINED
    assert windows._signer(None)["signer"] is Fact.UNDETERMINED


def test_the_libraries_are_those_of_this_process() -> None:
    import lief

    assert str(Path(lief.__file__).parents[1]) in windows.library_folders()
