"""What ``elevate run`` loads, in one file: ``install-service`` writes it, and the launcher runs from it.

Seven modules that are searched, opened and read one by one cost 0.4 ms more than one file that is read at once. The file is
root's, as the launcher is, and its place is fixed. It counts only for the Python that made it, by its name, and only while the
sources are those from which it was made, by their sizes and times; else the launcher loads the modules as any program does.
"""

import marshal
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import elevate

FOLDER = Path("usr/local/lib/elevate")
MAX_BYTES = 131_072
MODULES = ("elevate", "elevate.late", "elevate.wire", "elevate.copying", "elevate.words", "elevate.client", "elevate.__main__")
_START = """\
import posix
import sys

for path, size, changed in sources:
    found = posix.stat(path)
    if found.st_size != size or found.st_mtime_ns != changed:
        raise OSError("made from other sources")
for name, code in modules:
    module = sys.modules[name] = type(sys)(name)
    if name == "elevate":
        module.__path__ = [package]
    else:
        setattr(sys.modules["elevate"], name.rpartition(".")[2], module)
    exec(code, module.__dict__)
"""

Bundle = tuple[CodeType, str, tuple[tuple[str, int, int], ...], tuple[tuple[str, CodeType], ...]]


def place() -> Path:
    """Give where it lies, below the root folder."""
    return FOLDER / f"run.{sys.implementation.cache_tag}"


def all_below(root: Path) -> list[Path]:
    """Give what is there, of other Pythons, too."""
    return sorted((root / FOLDER).glob("run.*"))


def make() -> bytes:
    """Give the file's bytes; two of the same sources may differ, see `is_fresh`."""
    return marshal.dumps(_bundle())


def is_fresh(found: bytes) -> bool:
    """Say whether the file is what these sources make; for one that only root can write, since reading it trusts it."""
    try:
        kept: Any = marshal.loads(found)  # noqa: S302 - root's own file, as the modules beside it are
    except (EOFError, ValueError, TypeError):
        return False
    return bool(kept == _bundle())


def _bundle() -> Bundle:
    package = Path(elevate.__file__).resolve().parent
    paths = {name: package / f"{name.partition('.')[2] or '__init__'}.py" for name in MODULES}
    stats = ((str(path), path.stat()) for path in paths.values())
    return (
        _compiled(_START, "<start>"),
        str(package),
        tuple((path, found.st_size, found.st_mtime_ns) for path, found in stats),
        tuple((name, _compiled(path.read_bytes(), str(path))) for name, path in paths.items()),
    )


def _compiled(source: str | bytes, name: str) -> CodeType:
    code: CodeType = compile(source, name, "exec", dont_inherit=True, optimize=2)
    return code
