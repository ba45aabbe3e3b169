"""Attacks by way of the policy's files: rows 33, 34 and 43."""

import os
from pathlib import Path

import pytest

from elevate.errors import PolicyError
from elevate.model import Deny
from elevate.policy import Policy, Source, load, question
from elevate.store.files import read_policy

NO = '[[rule]]\nid = "no"\neffect = "deny"\ntask = {}\n'
PLANTED = '[[rule]]\nid = "mine"\neffect = "allow"\ntask = {}\n'


def make(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True)
    (folder / "a.toml").write_text(NO)
    (folder / "a.toml").chmod(0o644)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        read_policy(folder)
    return caught.value.message


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_33_policy_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """The attacker appends a rule to a file that is writable; it never loads."""
    folder = make(tmp_path / "policy")
    (folder / "a.toml").chmod(mode)
    with (folder / "a.toml").open("a") as file:
        file.write(PLANTED)

    assert "can be written by others" in refused(folder)


def test_33_file_planted_in_a_writable_include_folder_is_refused(tmp_path: Path) -> None:
    """A folder below the policy folder is checked as the folder itself."""
    folder = make(tmp_path / "policy")
    (folder / "more").mkdir()
    (folder / "more").chmod(0o777)
    (folder / "more" / "z.toml").write_text(PLANTED)

    assert f"{folder}/more" in refused(folder)


@pytest.mark.parametrize("depth", [1, 2])
def test_33_writable_folder_above_is_refused(tmp_path: Path, depth: int) -> None:
    """Whoever can write above moves the folder away and puts another in its place."""
    folder = make(tmp_path / "a" / "b" / "policy")
    above = folder.parents[depth - 1]
    above.chmod(0o777)
    folder.rename(folder.with_name("gone"))
    make(folder)
    (folder / "a.toml").write_text(PLANTED)

    assert f"chmod go-w {above}" in refused(folder)


def test_33_link_to_a_file_that_the_attacker_owns_is_refused(tmp_path: Path) -> None:
    """A link in the folder is never followed, wherever it leads."""
    folder = make(tmp_path / "policy")
    (tmp_path / "evil.toml").write_text(PLANTED)
    (folder / "b.toml").symlink_to(tmp_path / "evil.toml")

    assert "is a link" in refused(folder)


@pytest.mark.root
def test_33_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner could change it at any time."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give a file away")
    folder = make(tmp_path / "policy")
    os.chown(folder / "a.toml", 54321, 54321)

    assert "belongs to uid 54321" in refused(folder)


@pytest.mark.parametrize(
    "who", ['user = "!root"', 'group = "ALL"', 'user = ["alice", "!bob"]', 'user = "*"', "not = { user = 'root' }"]
)
@pytest.mark.parametrize("effect", ["allow", "deny", "require"])
def test_34_negation_and_all_are_load_errors(who: str, effect: str) -> None:
    """``!root`` once meant everybody but root, and uid -1 was root all the same."""
    then = '\nthen = { reason = "required" }' if effect == "require" else ""
    text = f'[[rule]]\nid = "a"\neffect = "{effect}"\ntask = {{}}\nwho = {{ {who} }}{then}\n'

    with pytest.raises(PolicyError, match=r"a\.toml:5:"):
        load([Source(name="a.toml", data=text.encode())])


def test_34_deny_wins_in_any_order_and_any_file() -> None:
    """No order and no file name brings an allow before a deny."""
    allow = f'[[rule]]\nid = "exact"\neffect = "allow"\nwho = {{ user = "eve" }}\ntask = {{ sha256 = "{"a" * 64}" }}\n'
    asked = question({"user": "eve", "task": {"kind": "process.run", "path": "/x", "sha256": "a" * 64}})

    for first, second in ((allow, NO), (NO, allow)):
        sources = [Source(name="0.toml", data=first.encode()), Source(name="1.toml", data=second.encode())]
        assert isinstance(load(sources).decide(asked), Deny)
        assert isinstance(load(reversed(sources)).decide(asked), Deny)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 1_000_000,
        b"a." * 500_000 + b"b = 1",
        b"\0" * 11_000_000,
        b"x = " + b"9" * 10_000,
        b'[[rule]]\nid = "x"\neffect = "allow"\n',
        b'[[rule]]\nid = "mine"\neffect = "allow"\ntask = {}\n' * 2,
        b"[[rule]]\n" * 5_000,
        "\N{RIGHT-TO-LEFT OVERRIDE}[[rule]]".encode(),
    ],
    ids=["empty", "utf16", "deep", "long-key", "nonsense", "number", "half", "twice", "hollow", "turned"],
)
def test_43_bad_update_never_crashes_and_never_allows(data: bytes) -> None:
    """Whatever the file holds: a policy that allows nothing, or one clear error; the old policy goes on deciding."""
    before = load([Source(name="a.toml", data=NO.encode())])
    asked = question({"user": "eve", "task": {"kind": "process.run", "path": "/x"}})

    after: Policy | PolicyError
    try:
        after = load([Source(name="a.toml", data=data)])
    except PolicyError as exc:
        after = exc

    assert before.decide(asked).rules == ("no",)
    if isinstance(after, Policy):
        assert isinstance(after.decide(asked), Deny)
    else:
        assert "a.toml:" in after.message
        assert len(after.message) < 100_000


def test_43_one_bad_file_among_good_ones_loads_nothing() -> None:
    """Half a policy could lack its denies."""
    with pytest.raises(PolicyError):
        load([Source(name="a.toml", data=PLANTED.encode()), Source(name="b.toml", data=b"[[rule]\n")])
