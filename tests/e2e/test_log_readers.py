"""The log of a root broker as several ordinary users see it: their own, and all of it for a group and for root."""

import json
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import Outcome
from elevate.cli.audit_verify import run as verify
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from tests.e2e.test_linux import PLACE, ROOT
from tests.unit.host.acting import a_user

pytestmark = pytest.mark.root


@dataclass
class People:
    """Users of the tests' own; the auditor is a member of the group."""

    alice: str
    bob: str
    auditor: str
    group: str


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    with ExitStack() as stack:
        alice, bob, auditor = (stack.enter_context(a_user()).pw_name for _ in range(3))
        group = f"{auditor}-g"
        subprocess.run(["/usr/sbin/groupadd", group], check=True, capture_output=True)
        stack.callback(subprocess.run, ["/usr/sbin/groupdel", group], check=False, capture_output=True)
        subprocess.run(["/usr/sbin/usermod", "-aG", group, auditor], check=True, capture_output=True)
        yield People(alice, bob, auditor, group)


def play(tmp_path: Path, people: People, *steps: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Let users do things one after the other; give what each got."""
    tmp_path.chmod(0o755)
    argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", PLACE, "sh"]
    argv += [sys.executable, "-m", "tests.e2e.rooted_log", str(tmp_path), people.group]
    told = [{"as": who, "do": what, "with": given} for who, what, *given in steps]
    done = subprocess.run(
        argv, cwd=ROOT, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=100, start_new_session=True
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(step: int, member: str) -> dict[str, Any]:
    """Name what an earlier step gave."""
    return {"of": [step, member]}


def bodies(tmp_path: Path, event: str) -> list[dict[str, Any]]:
    """Give the opened bodies of an event from the ledger's file, after the daemon."""
    with LedgerReader(tmp_path / "state/ledger.sqlite") as reader:
        return [dict(entry.body) for entry in reader.opened() if entry.event == event]


def test_everybody_sees_what_is_theirs(tmp_path: Path, people: People) -> None:
    """By search, show, follow and the command line; a foreign id is answered as an unknown one; the group and root see all."""
    alice, bob, auditor = people.alice, people.bob, people.auditor
    told = play(
        tmp_path,
        people,
        (alice, "ask", ["/bin/true", "alices-secret"]),
        (bob, "ask", ["/bin/true", "bobs-secret"]),
        (alice, "search", ""),
        (alice, "search", f"user:{bob}"),
        (alice, "search", "bobs-secret"),
        (alice, "show", of(0, "request")),
        (alice, "show", of(1, "request")),
        (alice, "show", "f" * 32),
        (alice, "follow", 0),
        (auditor, "search", "event:requested"),
        ("root", "search", "event:requested"),
        (auditor, "show", of(1, "request")),
        (alice, "cli", ["tail"]),
        (alice, "cli", ["report", "since:1h"]),
        (auditor, "cli", ["search", f"user:{bob}", "event:requested"]),
        (alice, "cli", ["export", "-F", "ocsf"]),
    )
    mine, theirs = told[0]["request"], told[1]["request"]
    assert {one["request"] for one in told[2]["found"]} == {mine}
    assert (told[3]["found"], told[4]["found"]) == ([], [])
    assert told[5]["entries"][0]["event"] == "requested"
    assert {told[6]["message"].replace(theirs, "X"), told[7]["message"].replace("f" * 32, "X")} == {
        "no request or token of yours is named X"
    }
    assert told[6]["hint"] == told[7]["hint"]
    assert {one["request"] for one in told[8]["found"]} == {mine}
    for step in (9, 10):
        assert {one["request"] for one in told[step]["found"]} == {mine, theirs}
    assert told[11]["request"] == theirs
    assert [json.loads(line)["request"] for line in told[12]["out"].splitlines()] == [mine] * len(told[2]["found"])
    assert json.loads(told[13]["out"])["users"] == {alice: 1}
    assert [json.loads(line)["request"] for line in told[14]["out"].splitlines()] == [theirs]
    assert bob not in told[15]["out"]
    assert "alices-secret" in told[15]["out"]
    seen = bodies(tmp_path, "access")
    assert [(one["actor"]["user"], one["access"]["kind"], one["access"]["entries"]) for one in seen] == [
        (auditor, "search", 2),
        ("root", "search", 2),
        (auditor, "show", len(told[11]["entries"])),
        (auditor, "search", 1),
    ]
    assert seen[3]["access"]["named"] == [{"user": bob}]


def test_42_everybody_gets_proofs_of_what_is_theirs(tmp_path: Path, people: People) -> None:
    """Of own entries, opened as far as they are shown; checkpoints and what leads from one to another are for everybody."""
    alice, bob, auditor = people.alice, people.bob, people.auditor
    file = str(tmp_path / "page.html")
    told = play(
        tmp_path,
        people,
        (alice, "ask", ["/bin/true", "alices-secret"]),
        (alice, "checkpoint"),
        (bob, "ask", ["/no/such/file"]),
        (alice, "search", "event:requested"),
        (bob, "search", ""),
        (alice, "prove", of(3, "seq")),
        (bob, "prove", of(3, "seq")),
        (bob, "prove", 999_999),
        (auditor, "prove", of(3, "seq")),
        (bob, "prove", of(4, "seq")),
        (auditor, "prove", of(4, "seq")),
        (alice, "consistency", 3, 5),
        (alice, "consistency", 3, 999_999),
        (alice, "cli", ["prove", "999999"]),
        (alice, "cli", ["key", "--json"]),
        (alice, "cli", ["checkpoint"]),
        (alice, "cli", ["verify"]),
        ("root", "cli", ["html", file]),
    )
    assert told[1]["note"].startswith("elevate.log/")
    # How long the log is, is no secret to keep from them: the proof of their own entry says it, too.
    assert told[5]["size"] > int(told[1]["note"].split("\n")[1])
    mine = told[5]
    assert mine["body"]["task"]["display"].endswith("alices-secret")
    assert mine["body"]["actor"]["user"] == alice
    assert told[6]["message"].split(" at ")[0] == told[7]["message"].split(" at ")[0] == "no entry of yours stands"
    assert told[8]["body"] == mine["body"]
    assert (told[9]["event"], told[10]["event"]) == ("failed", "failed")
    assert "text" in told[10]["body"]["reason"]
    assert set(told[9]["body"]["reason"]) == {"code"}
    assert told[11]["hashes"]
    assert "never had" in told[12]["message"] or "the log has" in told[12]["message"]
    assert (told[13]["status"], told[16]["status"]) == (125, 125)
    assert set(json.loads(told[14]["out"])) == {"first", "now", "keys"}
    assert told[15]["out"].count("\n") == 5
    assert told[17]["status"] == 0
    assert alice in Path(file).read_text()
    assert "was not verified for this page" in Path(file).read_text()
    seen = bodies(tmp_path, "access")
    assert [(one["actor"]["user"], one["access"]["kind"], one["access"]["entries"]) for one in seen] == [
        (auditor, "prove", 1),
        (auditor, "prove", 1),
        ("root", "search", seen[2]["access"]["entries"]),
    ]


def test_only_root_cares_for_the_log_and_it_is_written(tmp_path: Path, people: People) -> None:
    """On the running broker: nobody is stopped for it, the proofs hold, and the person is gone from every file."""
    alice, bob, auditor = people.alice, people.bob, people.auditor
    told = play(
        tmp_path,
        people,
        (alice, "ask", ["/bin/true"]),
        (bob, "ask", ["/bin/true"]),
        (auditor, "search", f"user:{alice}"),
        (alice, "erase", alice),
        (auditor, "erase", bob),
        (auditor, "rotate"),
        ("root", "erase", alice),
        ("root", "rotate"),
        ("root", "cli", ["erase", "--subject", "nobody-of-that-name"]),
        (alice, "search", ""),
        (auditor, "search", ""),
        (bob, "ask", ["/bin/true"]),
    )
    assert [one["error"] for one in told[3:6]] == ["denied"] * 3
    assert (told[6]["requests"], told[7]["key"][:12]) == (1, "elevate.log/")
    assert told[8]["status"] == 125
    assert told[9]["found"] == []
    assert {one.get("user") for one in told[10]["found"]} == {bob, None}
    assert told[11]["request"]
    for event in ("erased", "log-key-rotated"):
        assert [one["actor"]["user"] for one in bodies(tmp_path, event)] == ["root"]
    files = [path for path in (tmp_path / "state").glob("ledger*") if alice.encode() in path.read_bytes()]
    assert files == []
    assert verify(Plan(tmp_path / "state/ledger.sqlite")).outcome is not Outcome.TAMPERED


def test_49_followers_that_read_nothing_leave_room_for_others(tmp_path: Path, people: People) -> None:
    """One user opens as many as it can: each further one is refused, and everybody else asks and follows as before."""
    alice, bob = people.alice, people.bob
    hung, asked, followed = play(tmp_path, people, (alice, "hang", 20), (bob, "ask", ["/bin/true"]), (bob, "follow", 0))
    assert hung == {"refused": 18, "protected": True}
    assert asked["request"]
    assert {one["request"] for one in followed["found"]} == {asked["request"]}


def test_uids_are_who_asks(people: People) -> None:
    """The users of these tests are three, and ordinary."""
    assert len({pwd.getpwnam(name).pw_uid for name in (people.alice, people.bob, people.auditor)} - {0}) == 3
