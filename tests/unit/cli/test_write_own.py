"""Files that a command writes for its user: whole or not at all, and nothing that is no file is destroyed."""

import os
import pty
import stat
from pathlib import Path

import pytest

from elevate.cli.audit_common import write_own
from elevate.cli.audit_proofs import _archived
from elevate.errors import AuditError


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """It is the owner's alone, and no draft stays beside it."""
    path = tmp_path / "page.html"
    path.write_text("before")
    write_own(path, "after")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("after", 0o600)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing", "folder"])
def test_what_is_no_file_stays(tmp_path: Path, kind: str) -> None:
    """A pipe, a link or a folder is not exchanged for a file."""
    path, other = tmp_path / "named", tmp_path / "other"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
    before = path.lstat()
    if kind == "link":
        other.write_text("other")
    with pytest.raises(OSError, match="it is no regular file") as caught:
        write_own(path, "text")
    assert caught.value.strerror == "it is no regular file"
    assert path.lstat() == before
    assert not other.exists() or other.read_text() == "other"


def test_a_device_takes_what_is_written() -> None:
    """As /dev/null does; it is not exchanged for a file, either."""
    ours, theirs = pty.openpty()
    try:
        path = Path(os.ttyname(theirs))
        write_own(path, "text")
        assert os.read(ours, 100) == b"text"
        assert stat.S_ISCHR(path.lstat().st_mode)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_device_is_no_archive() -> None:
    """An entry is not looked for in what may never end."""
    with pytest.raises(AuditError, match="that is not an archive: /dev/null"):
        _archived(Path("/dev/null"), 0)
