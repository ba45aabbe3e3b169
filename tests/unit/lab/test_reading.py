"""Wine's registry files and traces, read."""

from pathlib import Path

from elevate.lab import hive, state, trace
from elevate.lab.observing import windows_words

HIVE = r"""WINE REGISTRY Version 2
;; All keys relative to REGISTRY\\User\\S-1-5-21-0-0-0-1000

#arch=win64

[Software\\Contoso\\Notes \[2\]] 1795366934
#time=1dd7aa31944a686
@="default"
"Text"="a \"quoted\" \\ path\n"
"Number"=dword:0000002a
"Expand"=str(2):"%USERPROFILE%\\x"
"List"=str(7):"one\0two\0"
"Bytes"=hex:01,02,\
  03,04
"Name=odd"="\x2028"
not a line

[Software\\Empty] 1
"""


def test_a_hive_is_read() -> None:
    """Keys, default values, strings, numbers, bytes over two lines, and names with signs in them."""
    assert hive.parse(HIVE) == {
        "Software\\Contoso\\Notes [2]\\\\": "",
        "Software\\Contoso\\Notes [2]\\\\@": "default",
        "Software\\Contoso\\Notes [2]\\\\Text": 'a "quoted" \\ path\n',
        "Software\\Contoso\\Notes [2]\\\\Number": "dword:0000002a",
        "Software\\Contoso\\Notes [2]\\\\Expand": "%USERPROFILE%\\x",
        "Software\\Contoso\\Notes [2]\\\\List": "one\0two\0",
        "Software\\Contoso\\Notes [2]\\\\Bytes": "hex:01,02,03,04",
        "Software\\Contoso\\Notes [2]\\\\Name=odd": "\u2028",
        "Software\\Empty\\\\": "",
    }


def test_a_place_is_split_into_key_and_name() -> None:
    assert hive.split("HKCU\\Software\\\\Theme") == ("HKCU\\Software", "Theme")
    assert hive.split("C:\\notes.txt") == ("C:\\notes.txt", "")


TRACE = r"""
002c:trace:process:CreateProcessInternalW app L"C:\\windows\\system32\\services.exe" cmdline (null)
0024:trace:process:CreateProcessInternalW app (null) cmdline L"\"C:\\Program Files\\Notes\\u.exe\" /S"
0024:trace:exec:SHELL_execute mask=0x500 hwnd=0 verb=L"RunAs" file=L"C:\\u.exe" parm=L"/S" dir=L"C:" show=1 class=not used
0024:trace:exec:SHELL_execute mask=0x500 hwnd=0 verb=(null) file=L"fodhelper.exe" parm=(null) dir=(null) show=1 class=not used
0024:fixme:exec:SHELL_execute flags ignored: 0x00000100
"""


def test_a_trace_is_read() -> None:
    """Programs by their command lines, and what the shell was asked for, with its verb."""
    found = trace.parse(TRACE)

    assert [(one.program, one.verb) for one in found] == [
        ("C:\\windows\\system32\\services.exe", ""),
        ("C:\\Program Files\\Notes\\u.exe", ""),
        ("C:\\u.exe", "runas"),
        ("fodhelper.exe", "open"),
    ]
    assert [one.name for one in found][1:3] == ["u.exe", "u.exe"]


def test_a_windows_command_is_split_as_windows_does() -> None:
    assert windows_words(r'"C:\Program Files\a\u.exe" /S _?=C:\x') == (r"C:\Program Files\a\u.exe", "/S", r"_?=C:\x")
    assert windows_words(r"MsiExec.exe /X{1-2}") == ("MsiExec.exe", "/X{1-2}")
    assert windows_words('"C:\\open') == ()


def prefix(folder: Path, *, user: str, files: dict[str, bytes]) -> state.State:
    for name, data in files.items():
        path = folder / "drive_c" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "user.reg").write_text(user)
    (folder / "system.reg").write_text("")
    return state.take(folder)


def test_states_are_compared(tmp_path: Path) -> None:
    """Created, changed and removed, files and values, with what they hold; scratch and noise are left out."""
    before = prefix(tmp_path / "a", user='[A] 1\n"x"="1"\n"y"="1"\n', files={"old.txt": b"1", "same.txt": b"1"})
    after = prefix(
        tmp_path / "b",
        user='[A] 2\n"x"="2"\n"z"="noise"\n[Software\\\\Wine] 1\n"v"="w"\n',
        files={"new.txt": b"text", "new.bin": b"\0", "users/a/Temp/t.txt": b"", "lab/a.exe": b""},
    )
    same = before.files["C:\\same.txt"]
    after = state.State(files={**after.files, "C:\\same.txt": same}, values=after.values, root=after.root)

    changes = state.compare(before, after, noise=frozenset({"HKCU\\A\\\\z"}))

    assert [(one.place, one.how, one.data) for one in changes] == [
        ("C:\\new.bin", "created", ""),
        ("C:\\new.txt", "created", "text"),
        ("C:\\old.txt", "removed", ""),
        ("HKCU\\A\\\\x", "changed", "2"),
        ("HKCU\\A\\\\y", "removed", ""),
    ]
