"""Steps in a file: TOML or JSON, what goes beside it, and errors that say where."""

import json
from pathlib import Path

import pytest

from elevate.errors import TaskError, TaskKindUnknownError
from elevate.stepfile import MAX_FILE_BYTES, read
from elevate.tasks import MAX_STEPS, Task

TOML = """
[[step]]
kind = "file.write"
path = "notes.ini"
mode = "0600"
content_from = "template.ini"

[[step]]
kind = "process.run"
argv = ["cat"]
input = "one"

[[step]]
kind = "setting.change"
key = 'HKLM\\SOFTWARE\\Contoso'
name = "Count"
value = 3

[[undo]]
kind = "service.control"
service = "contoso"
action = "stop"
"""


def write(folder: Path, text: str, name: str = "steps.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_kind_with_what_goes_beside_it(tmp_path: Path) -> None:
    """Paths begin at the file's folder; what a step reads is read now."""
    (tmp_path / "template.ini").write_bytes(b"a=1\n")
    here = str(tmp_path)
    assert read(write(tmp_path, TOML)) == Task.in_order(
        [
            Task.write("notes.ini", b"a=1\n", mode=0o600, cwd=here),
            Task.run(["cat"], stdin=b"one", cwd=here),
            Task.setting(r"HKLM\SOFTWARE\Contoso", "Count", 3),
        ],
        undo=[Task.service("contoso", "stop")],
    )


def test_json_says_the_same(tmp_path: Path) -> None:
    steps = [{"kind": "file.write", "path": "/etc/x", "content": "x", "cwd": "/", "mode": 0o644}]
    assert read(write(tmp_path, json.dumps({"step": steps}), "steps.json")) == Task.in_order(
        [Task.write("/etc/x", b"x", mode=0o644)]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one step"),
        ("[[undo]]\nkind = 'process.run'\nargv = ['id']", "at least one step"),
        ("step = 1", "is a list of at most"),
        ("[[step]]\nkind = 'process.run'\nargv = ['id']\n" * (MAX_STEPS + 1), "is a list of at most"),
        ("[[steps]]", "unknown table 'steps'"),
        ("step = [1]", "step 1: it is no table"),
        ("[[step]]\nkind = 'process.run'", "step 1: the parameter argv is missing"),
        ("[[step]]\nkind = 'process.run'\nargv = ['id']\ncontent = 'x'", "step 1: process.run has no parameter content"),
        ("[[step]]\nkind = 'process.run'\nargv = ['id']\ninput = 1", "step 1: input is text"),
        ("[[step]]\nkind = 'process.run'\nargv = ['id']\ninput = ''\ninput_from = 'x'", "can't both be given"),
        ("[[step]]\nkind = 'process.run'\nargv = ['id']\ninput_from = 'missing'", "step 1: missing can't be read"),
        ("[[step]]\nkind = 'file.write'\npath = 'x'\nmode = '9'", "step 1: the mode '9' is not octal"),
        ("[[step]\n", "steps.toml: "),
        ("x = 1e400\n" + "#" * MAX_FILE_BYTES, "is over"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        read(write(tmp_path, text))
    assert message in caught.value.message
    assert caught.value.hint


def test_an_unknown_kind_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(TaskKindUnknownError, match="step 1: unknown task kind"):
        read(write(tmp_path, "[[step]]\nkind = 'file.remove'"))
    with pytest.raises(TaskError, match="step 1: "):
        read(write(tmp_path, "[[step]]\nkind = 'steps'"))


@pytest.mark.parametrize("text", ["[]", "1", "{", "[" * 100_000])
def test_json_that_is_no_steps(tmp_path: Path, text: str) -> None:
    with pytest.raises(TaskError, match=r"steps\.json: "):
        read(write(tmp_path, text, "steps.json"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="can't be read: No such file"):
        read(tmp_path / "steps.toml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """It is said as such, and not in a codec's words."""
    path = tmp_path / "steps.toml"
    path.write_bytes(b"\xff\x00\x80")
    with pytest.raises(TaskError, match=r"^steps\.toml: it is no text in UTF-8$"):
        read(path)


def test_a_folder_without_a_name() -> None:
    """The path stands for the name that it has not."""
    with pytest.raises(TaskError, match=r"^/ can't be read: Is a directory$"):
        read(Path("/"))
