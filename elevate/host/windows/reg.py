r"""The emulated ``reg``: query, add, delete, export and import, on the registry of the machine that started the task.

A program of its own, run by ``C:\Windows\System32\reg`` as ``python -I -S reg.py VERB …``. HKCU is the hive of the account in
whose name it runs: the hidden one's. Exit status 0, or 1 with one line on standard error. Standard library only.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host.folders import Folder
from elevate.host.registry import MACHINE, Data, Registry, user_hive
from elevate.host.windows import regfile

SCRIPT = """#!/bin/sh
# The emulated reg: reads and writes the machine's registry.
exec "$ELEVATE_PYTHON" -I -S "$ELEVATE_REG" "$@"
"""
_NUMBER_TYPES = ("REG_DWORD", "REG_QWORD")
_TEXT_TYPES = ("REG_SZ", "REG_EXPAND_SZ")


class RegError(Exception):
    """It can't be done; one line says why."""


class _Tool:
    def __init__(self) -> None:
        self.registry = Registry(Folder.open(Path(os.environ["ELEVATE_DRIVE_C"]).parent / "registry"))

    def query(self, words: Sequence[str]) -> None:
        hive, key = self._place(words)
        values = self.registry.read(hive, key)
        below = self.registry.keys(hive, key)
        if values is None and not below:
            raise RegError("the key is not there")
        wanted = _option(words, "/v")
        shown = {name: data for name, data in (values or {}).items() if wanted is None or name.lower() == wanted.lower()}
        if wanted is not None and not shown:
            raise RegError("the value is not there")
        for name, data in sorted(shown.items()):
            _say(f"{name}\t{'REG_SZ' if isinstance(data, str) else 'REG_DWORD'}\t{data}")
        if wanted is None:
            for name in below:
                _say(f"{words[0]}\\{name}")

    def add(self, words: Sequence[str]) -> None:
        hive, key = self._place(words)
        name = _option(words, "/v")
        values = {} if name is None else {name: _data(_option(words, "/t") or "REG_SZ", _option(words, "/d") or "")}
        self.registry.write(hive, key, values)

    def delete(self, words: Sequence[str]) -> None:
        hive, key = self._place(words)
        self.registry.remove(hive, key, _option(words, "/v"))

    def export(self, words: Sequence[str]) -> None:
        root, _, key = words[0].partition("\\")
        hive = self._hive(root)
        keys = self.registry.all(hive)
        start = key.lower()
        chosen = {name: values for name, values in keys.items() if not key or f"{name.lower()}\\".startswith(f"{start}\\")}
        text = regfile.write(regfile.ROOTS[root.upper()], chosen)
        Path(words[1]).write_bytes(text.encode("utf-16"))

    def load(self, words: Sequence[str]) -> None:
        edits = regfile.parse(regfile.decode(Path(words[0]).read_bytes()))
        for edit in edits:
            hive = self._hive(edit.root)
            if edit.name is None or edit.data is None:
                self.registry.remove(hive, edit.key, edit.name)
            else:
                self.registry.write(hive, edit.key, {edit.name: edit.data})

    def _place(self, words: Sequence[str]) -> tuple[str, str]:
        root, _, key = words[0].partition("\\")
        if not key:
            raise RegError("name a key below HKLM or HKCU")
        return self._hive(root), key

    def _hive(self, root: str) -> str:
        known = regfile.ROOTS.get(root.upper())
        if known is None:
            raise RegError("a key begins with HKLM or HKCU")
        return MACHINE if known == MACHINE else user_hive(os.environ["ELEVATE_ADMIN_SID"])


def _data(kind: str, text: str) -> Data:
    if kind in _TEXT_TYPES:
        return text
    if kind in _NUMBER_TYPES:
        return int(text, 0)
    raise RegError("the emulated registry holds text and numbers only")


def _option(words: Sequence[str], name: str) -> str | None:
    low = [word.lower() for word in words]
    place = low.index(name) + 1 if name in low else len(words)
    return words[place] if place < len(words) else None


def _say(text: str) -> None:
    print(text)  # noqa: T201 - a program's output


def _refuse(_words: Sequence[str]) -> None:
    raise RegError("reg query|add|delete|export|import KEY …")


def main(words: list[str]) -> int:
    """Do one verb."""
    try:
        tool = _Tool()
        verbs: dict[str, Callable[[Sequence[str]], None]] = {
            "query": tool.query,
            "add": tool.add,
            "delete": tool.delete,
            "export": tool.export,
            "import": tool.load,
        }
        verbs.get(words[0].lower() if words[1:] else "", _refuse)(words[1:])
    except (RegError, OSError, ValueError, IndexError, KeyError) as exc:
        print(f"reg: {exc}", file=sys.stderr)  # noqa: T201 - a program's output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
