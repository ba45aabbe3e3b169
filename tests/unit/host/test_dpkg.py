"""What Debian's package database says of a command."""

from pathlib import Path

from elevate.host.dpkg import PackageIndex
from elevate.model import Fact

STATUS = """\
Package: tools
Status: install ok installed
Version: 1.0
Description: Version: 9
 Version: 9

Package: gone
Status: deinstall ok config-files
Version: 2.0
"""


def database(root: Path) -> PackageIndex:
    (root / "info").mkdir()
    (root / "status").write_text(STATUS)
    (root / "info/tools:amd64.list").write_text("/.\n/bin/tool\n/usr/share/doc/tools\n")
    (root / "info/gone.list").write_text("/usr/bin/old\n")
    return PackageIndex(root)


def test_command_has_package_and_version(tmp_path: Path) -> None:
    """By its merged path; what is not installed any more has none, and what is no command is not known."""
    index = database(tmp_path)
    assert index.facts("/usr/bin/tool") == {"package": "tools", "version": "1.0"}
    assert index.facts("/usr/bin/old")["package"] is Fact.ABSENT
    assert index.facts("/usr/share/doc/tools")["package"] is Fact.UNDETERMINED
    assert (index.version("tools"), index.version("gone")) == ("1.0", "")


def test_database_that_is_being_written_leaves_a_doubt(tmp_path: Path) -> None:
    """While a list is not there nothing is said, not even what was known; then all is read again."""
    index = database(tmp_path)
    assert index.facts("/usr/bin/tool")["version"] == "1.0"
    (tmp_path / "status").write_text(STATUS.replace("1.0", "1.1") + "\n")
    (tmp_path / "info/new.list").symlink_to(tmp_path / "nothing")
    assert index.facts("/usr/bin/tool")["package"] is Fact.UNDETERMINED
    assert index.version("tools") == ""
    (tmp_path / "info/new.list").unlink()
    assert index.facts("/usr/bin/tool") == {"package": "tools", "version": "1.1"}
