"""The policy folder is read only where nobody else can have written to it."""

import os
from pathlib import Path

import pytest

from elevate.errors import PolicyError
from elevate.policy import load
from elevate.store.files import check_file, read_policy, read_sources

RULE = '[[rule]]\nid = "a"\neffect = "deny"\ntask = {}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policy"
    (made / "more").mkdir(parents=True, mode=0o755)
    (made / "b.toml").write_text(RULE)
    (made / "more" / "a.jsonl").write_text('{"id":"b","effect":"deny","task":{}}\n')
    (made / "README").write_text("not a rule file")
    for path in (made, made / "more"):
        path.chmod(0o755)
    for path in (made / "b.toml", made / "more" / "a.jsonl", made / "README"):
        path.chmod(0o644)
    return made


def refusal(folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        read_policy(folder)
    return caught.value.message


def test_reads_rule_files_below_in_name_order(folder: Path) -> None:
    """Files of other kinds are left alone."""
    sources = read_policy(folder)

    assert [source.name for source in sources] == ["b.toml", "more/a.jsonl"]
    assert [rule.id for rule in load(sources).rules] == ["a", "b"]


@pytest.mark.parametrize("name", ["b.toml", "more", "more/a.jsonl", "README", ""])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_writable_by_others_is_refused(folder: Path, name: str, mode: int) -> None:
    """Any file or folder in it, by group or by everyone; the fix is named."""
    path = folder / name
    path.chmod(path.stat().st_mode | mode)

    message = refusal(folder)

    assert "can be written by others" in message
    assert f"chmod go-w {path}" in message


def test_all_that_is_wrong_is_told(folder: Path) -> None:
    """Not the first only."""
    for name in ("b.toml", "more"):
        (folder / name).chmod(0o777)

    assert refusal(folder).count("can be written by others") == 2


def test_folder_above_writable_by_others_is_refused(folder: Path) -> None:
    """Whoever can write above can put another folder in its place."""
    folder.parent.chmod(0o777)

    assert f"chmod go-w {folder.parent}" in refusal(folder)


def test_sticky_folder_above_counts_only_as_roots(folder: Path) -> None:
    """``/tmp`` is good enough; a sticky folder of somebody else's is not, nor is the policy folder itself."""
    folder.chmod(0o1777)

    assert f"chmod go-w {folder}" in refusal(folder)


@pytest.mark.root
@pytest.mark.parametrize("name", ["b.toml", "more", ""])
def test_foreign_owner_is_refused(folder: Path, name: str) -> None:
    """A file of another user's could be changed by that user."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give a file away")
    os.chown(folder / name, 12345, -1)

    assert "belongs to uid 12345" in refusal(folder)


@pytest.mark.parametrize("target", ["b.toml", "."])
def test_links_in_the_folder_are_refused(folder: Path, target: str) -> None:
    """A link to a file, and one that makes the folder contain itself."""
    (folder / "z.toml").symlink_to(target)

    assert "is a link" in refusal(folder)


def test_fifo_is_refused_and_not_opened(folder: Path) -> None:
    """Reading a pipe would wait for ever."""
    os.mkfifo(folder / "p.toml")

    assert "neither a file nor a folder" in refusal(folder)


def test_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    """No traceback, and the place is named."""
    assert "No such file or directory" in refusal(tmp_path / "nowhere")


def test_folders_too_deep_are_refused(folder: Path) -> None:
    """Bounded before anything is parsed."""
    (folder / "/".join("abcdefghij")).mkdir(parents=True)

    assert "folders deep" in refusal(folder)


@pytest.mark.usefixtures("folder")
def test_a_link_above_is_followed_where_it_is_ones_own(tmp_path: Path) -> None:
    """A home folder may be a link that only root or oneself can change."""
    (tmp_path / "link").symlink_to("policy")

    assert len(read_policy(tmp_path / "link")) == 2


def test_links_in_a_circle_above_end(tmp_path: Path) -> None:
    """A circle is an error, not an endless walk."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert "can't be read" in refusal(tmp_path / "one" / "policy")


def test_check_file_looks_at_one_file_and_its_folders(folder: Path) -> None:
    """The same check for a single file, as settings."""
    check_file(folder / "b.toml")
    (folder / "b.toml").chmod(0o666)

    with pytest.raises(PolicyError, match="can be written by others"):
        check_file(folder / "b.toml")


def test_read_sources_reads_what_is_being_written(folder: Path) -> None:
    """For checking only: whoever can write."""
    folder.chmod(0o777)

    assert len(read_sources(folder)) == 2
    assert len(read_sources(folder / "b.toml")) == 1
    with pytest.raises(PolicyError, match="can't be read"):
        read_sources(folder / "nothing.toml")
