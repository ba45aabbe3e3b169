"""`.reg` files in and out, integrity labels, tokens and known folders of the emulated machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.errors import HostError
from elevate.host.registry import MACHINE
from elevate.host.windows import hives, known_folders, regfile, tokens
from elevate.host.windows.tokens import Integrity
from elevate.tasks import Task
from tests.unit.host.emulating import Emulated

FILE = (
    "Windows Registry Editor Version 5.00\r\n\r\n"
    "; a comment\r\n"
    "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso]\r\n"
    '@="default"\r\n'
    '"Path"="C:\\\\Notes \\"x\\""\r\n'
    '"Count"=dword:0000002a\r\n'
    '"Long"=hex(b):00,00,00,00,01,00,\\\r\n  00,00\r\n'
    '"Expand"=hex(2):25,00,41,00,25,00,00,00\r\n'
    '"Gone"=-\r\n'
    "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Old]\r\n"
    "[HKEY_CURRENT_USER\\Software\\Contoso]\r\n"
    '"Theme"="dark"\r\n'
)


def test_a_file_is_imported_into_its_hives(machine: Emulated) -> None:
    """HKLM for all, HKCU of the account that is named, removals too."""
    registry, user = machine.host.machine.registry, machine.requester.user
    registry.write(MACHINE, r"SOFTWARE\Contoso", {"Gone": 1})
    registry.write(MACHINE, r"SOFTWARE\Old\Deep", {"a": 1})
    registry.write(MACHINE, r"SOFTWARE\Older", {"a": 1})

    count = hives.apply(machine.host.machine, FILE.encode("utf-16"), user)

    assert count == 8
    assert registry.read(MACHINE, r"software\contoso") == {
        "@": "default",
        "Path": 'C:\\Notes "x"',
        "Count": 42,
        "Long": 1 << 32,
        "Expand": "%A%",
    }
    assert registry.read(MACHINE, r"SOFTWARE\Old\Deep") is None
    assert registry.read(MACHINE, r"SOFTWARE\Older") == {"a": 1}
    assert registry.read(hives.hive_of(machine.host.machine, "HKCU", user), r"Software\Contoso") == {"Theme": "dark"}


def test_10_each_account_has_a_hkcu_of_its_own(machine: Emulated) -> None:
    """What is imported for the user is not in the hidden account's hive, and the other way round."""
    identity = machine.host.provision(machine.requester)
    hives.apply(machine.host.machine, FILE.encode(), machine.requester.user)

    assert "dark" in hives.export(machine.host.machine, "HKCU", machine.requester.user)
    assert "dark" not in hives.export(machine.host.machine, "HKCU", identity.name)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("REGEDIT4\n", 1),
        (FILE + "nonsense\n", 15),
        (FILE.replace("[HKEY_CURRENT_USER", "[HKEY_USERS"), 13),
        (FILE + '"List"=hex(7):00,00\n', 15),
        (FILE + '"x"=hex(2):00,d8\n', 15),
        (FILE + '"x"=hex(b):00,\\\n', 15),
        ("Windows Registry Editor Version 5.00\n" + '"x"="1"\n', 2),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_changed(machine: Emulated, text: str, line: int) -> None:
    before = hives.export(machine.host.machine, "HKLM")

    with pytest.raises(HostError, match=rf"line {line}:"):
        hives.apply(machine.host.machine, text.encode(), machine.requester.user)
    assert hives.export(machine.host.machine, "HKLM") == before


def test_hkcu_needs_an_account(machine: Emulated) -> None:
    with pytest.raises(HostError, match="no such account"):
        hives.apply(machine.host.machine, FILE.encode())


_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="[]\\\x85\u2028\u2029"), min_size=1
)
_KEYS = _NAMES.map(str.strip).filter(bool)


@given(st.dictionaries(_KEYS, st.dictionaries(_NAMES, st.integers(0, 2**64 - 1) | _NAMES, min_size=1)))
def test_what_is_exported_is_what_is_imported(keys: dict[str, dict[str, int | str]]) -> None:
    edits = regfile.parse(regfile.decode(regfile.write("HKLM", keys).encode("utf-16")))

    assert {(edit.key, edit.name, edit.data) for edit in edits} == {
        (key, name, data) for key, values in keys.items() for name, data in values.items()
    }


def test_12_a_process_has_the_lower_of_user_and_file(machine: Emulated) -> None:
    """A program that is labelled low runs low, even as admin; one without a label runs high."""
    program = machine.drive / "ProgramData" / "level"
    program.write_text("#!/bin/sh\nprintf %s $ELEVATE_INTEGRITY\n")
    program.chmod(0o755)

    assert machine.do(Task.run([str(program)])).out == "12288"
    machine.host.machine.label(("ProgramData",), Integrity.LOW)
    assert machine.do(Task.run([str(program)])).out == "4096"


def test_12_nobody_writes_up(machine: Emulated) -> None:
    """A standard user's process, at medium, does not write what is labelled high, whatever the folder is."""
    task = Task.write(r"C:\ProgramData\notes.txt", b"x")

    def writable() -> object:
        inspection = machine.host.inspect(task, machine.requester)
        inspection.close()
        return dict(inspection.task.facts)["writable"]

    assert writable() is True
    machine.host.machine.label(("ProgramData",), Integrity.HIGH)
    assert writable() is False


@pytest.mark.parametrize("subject", list(Integrity))
@pytest.mark.parametrize("target", list(Integrity))
def test_12_levels_are_ordered(subject: Integrity, target: Integrity) -> None:
    assert tokens.may_write(subject, target) == (subject.value >= target.value)
    assert tokens.of_new_process(subject, target).value == min(subject.value, target.value)


def test_03_a_standard_token_has_nothing_of_the_admin_s() -> None:
    """No administrators' group, not even for denying, and none of the privileges that change the machine."""
    standard, admin = tokens.STANDARD, tokens.ADMIN

    assert tokens.ADMINISTRATORS not in {sid for _, sid in standard.groups}
    assert tokens.ADMINISTRATORS in {sid for _, sid in admin.groups}
    assert {name for name, _ in standard.privileges} < {name for name, _ in admin.privileges}
    assert not {"SeDebugPrivilege", "SeBackupPrivilege", "SeImpersonatePrivilege"} & {name for name, _ in standard.privileges}
    assert (standard.integrity.sid, admin.integrity.sid) == ("S-1-16-8192", "S-1-16-12288")


def test_12_whoami_shows_groups_and_privileges(machine: Emulated) -> None:
    groups, privileges = machine.do(Task.run(["whoami", "/groups"])).out, machine.do(Task.run(["whoami", "/priv"])).out

    assert r"BUILTIN\Administrators S-1-5-32-544" in groups
    assert "S-1-16-12288" in groups
    assert all(name in privileges for name, _ in tokens.ADMIN.privileges)


def test_11_known_folders_are_the_profile_s_own(machine: Emulated) -> None:
    """Each account's hive names its own folders, and they are there."""
    identity = machine.host.provision(machine.requester)
    for account in (machine.requester.user, identity.name):
        hive = hives.hive_of(machine.host.machine, "HKCU", account)
        values = machine.host.machine.registry.read(hive, known_folders.SHELL_FOLDERS)

        assert values == known_folders.values(account)
        for path in values.values():
            assert machine.drive.joinpath(*str(path)[3:].split("\\")).is_dir()
    assert known_folders.of("{fdd39ad0-238f-46af-adb4-6c85480369c7}", identity.name) == rf"C:\Users\{identity.name}\Documents"


def test_reg_works_on_the_machine_s_registry(machine: Emulated) -> None:
    """As admin: HKLM is the machine's, HKCU the hidden account's."""
    file = machine.drive / "ProgramData" / "out.reg"
    script = (
        r"reg add 'HKLM\SOFTWARE\Contoso' /v Count /t REG_DWORD /d 0x2a /f &&"
        r" reg add 'HKCU\Software\Contoso' /v Theme /d dark /f &&"
        r" reg query 'hklm\software\contoso' /v count && reg export 'HKLM\SOFTWARE\Contoso' " + f"'{file}' &&"
        r" reg delete 'HKLM\SOFTWARE\Contoso' /v Count && ! reg query 'HKLM\SOFTWARE\Contoso' /v Count &&"
        f" reg import '{file}'" + r" && reg query 'HKLM\SOFTWARE' "
    )
    done = machine.sh(script)

    account = machine.host.provision(machine.requester).name
    assert done.out.splitlines() == ["Count\tREG_DWORD\t42", r"HKLM\SOFTWARE\Contoso", r"HKLM\SOFTWARE\Microsoft"]
    assert (done.ended.exit_status, done.err) == (0, "reg: the value is not there\n")
    assert "dark" in hives.export(machine.host.machine, "HKCU", account)
    assert "dark" not in hives.export(machine.host.machine, "HKCU", machine.requester.user)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("query", "reg query|add"),
        (r"query 'HKLM\None'", "the key is not there"),
        ("add HKLM /v x", "name a key"),
        (r"add 'HKCR\x' /v x", "begins with HKLM or HKCU"),
        (r"add 'HKLM\x' /v x /t REG_BINARY /d 00", "text and numbers only"),
        (r"add 'HKLM\x' /v x /t REG_DWORD /d ten", "invalid literal"),
        ("import /nowhere", "No such file"),
    ],
)
def test_reg_says_what_it_can_t_do(machine: Emulated, words: str, said: str) -> None:
    done = machine.sh(f"reg {words}")

    assert (done.ended.exit_status, done.err.count("\n")) == (1, 1)
    assert said in done.err
