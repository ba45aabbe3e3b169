"""Bad rule files: every mistake with file, line, column and a fix; never a traceback; never a policy."""

import pytest

from elevate.errors import PolicyError
from elevate.policy import Settings, Source, load, parse_sources
from tests.unit.policy.build import problems, rule

HEAD = '[[rule]]\nid = "a"\neffect = "allow"\n'


@pytest.mark.parametrize(
    ("text", "place", "message", "fix"),
    [
        ('[[rule]]\nid = "a"\nefect = "x"\n', "3:1", "unknown key 'efect' in a rule", "did you mean effect?"),
        (HEAD + 'task = { kind = "proces.run" }\n', "4:10", "kind: 'proces.run' is not known", "did you mean process.run?"),
        (HEAD + 'task = { kind = "process.run", paht = "/x" }\n', "4:32", "unknown key 'paht'", "did you mean path?"),
        (HEAD + 'task = { kind = "file.write", signer = "x" }\n', "4:31", "file.write has no signer", "signer goes with"),
        (HEAD + 'task = { service = "x", path = "/x" }\n', "4:25", "no kind of task has both", "path goes with"),
        (HEAD + "task = {}\nthen = { token_seconds = 121 }\n", "5:10", "121 is out of range", "from 1 to 120"),
        (HEAD + 'task = {}\nthen = { token_seconds = "30" }\n', "5:10", "a whole number is needed, not text", "without quotes"),
        (HEAD + "task = {}\nthen = { network = 0 }\n", "5:10", "true or false is needed, not a number", "without quotes"),
        (HEAD + "task = {}\nthen = { token_seconds = 1.5 }\n", "5:10", "not a fraction", "without quotes"),
        (HEAD + 'task = {}\nwho = "alice"\n', "5:1", "who is a table", "write who = { … }"),
        (HEAD + 'task = {}\nwho = { user = ["alice", 3] }\n', "5:26", "a user is text, not a number", "write it like"),
        (HEAD + "task = {}\nwho = { group = [] }\n", "5:9", "an empty list matches nothing", "leave the key out"),
        (HEAD + 'task = { path = "usr/bin/x" }\n', "4:10", "is not a full path", "begin with a slash"),
        (HEAD + 'task = { path = "/usr/../bin/x" }\n', "4:10", "is not in plain form", "without //"),
        (HEAD + 'task = { path = "/usr/bin/*" }\n', "4:10", "a path has no wildcard", "use directory"),
        (HEAD + 'task = { sha256 = "AB" }\n', "4:10", "'AB' is not a SHA-256", "64 lower-case"),
        (HEAD + 'task = { package = "a", version = "!=1" }\n', "4:25", "no negation", "deny rule"),
        (HEAD + 'task = { version = ">=1" }\n', "4:10", "version alone says nothing", "add signer or package"),
        (HEAD + 'task = { kind = "process.run", arguments = { patterns = ["a**b"] } }\n', "4:58", "** stands only", "like"),
        (
            HEAD + 'task = { kind = "process.run", arguments = { exat = [] } }\n',
            "4:46",
            "unknown key 'exat'",
            "did you mean exact?",
        ),
        (HEAD + 'task = {}\nwhen = { start = "08:00" }\n', "5:1", "end is missing", "start and end"),
        (HEAD + 'task = {}\nwhen = { start = "8", end = "09:00" }\n', "5:10", "'8' is not a time of day", "08:30"),
        (HEAD + 'task = {}\nwhen = { days = ["mon"], zone = "Mars/X" }\n', "5:26", "no time zone 'Mars/X'", "Europe/Berlin"),
        (HEAD + 'task = {}\nwhen = { not_after = "2026-02-30" }\n', "5:10", "no such moment", "like"),
        (HEAD + 'task = {}\nmessage = "x"\n', "5:1", "message does not go with effect allow", "it goes with deny"),
        ('[[rule]]\nid = "a"\neffect = "require"\ntask = {}\n', "1:1", "a require that demands nothing", "add what it demands"),
        (
            '[[rule]]\nid = "a"\neffect = "deny"\ntask = {}\nthen = { reason = "required" }\n',
            "5:10",
            "does not go with effect deny",
            "remove it",
        ),
        ('[[rule]]\nid = "a b"\neffect = "deny"\ntask = {}\n', "2:1", "'a b' is not an id", "write it like"),
        ('[[rule]]\nid = "a"\neffect = "deny"\n', "1:1", "the rule has no task", "{} is every task"),
        ("[rule]\nid = 1\n", "1:1", "rule is a list of tables", "begin each with [[rule]]"),
        ('id = "a"\n', "1:1", "unknown key 'id'", "begin the rule with a line [[rule]]"),
        ('include = "x"\n', "1:1", "unknown key 'include'", "there are no includes"),
        ("format = 2\n", "1:1", "format 2 is not known", "reads format 1"),
        ('[[test]]\nexpect = { outcome = "denied" }\n', "1:1", "the test has no given", "given and expect"),
        (
            '[[test]]\ngiven = { task = { kind = "x" } }\nexpect = { outcome = "denied" }\n',
            "2:20",
            "unknown task kind x",
            "the kinds are",
        ),
        (
            '[[test]]\ngiven = { usr = "a" }\nexpect = { outcome = "denied" }\n',
            "2:11",
            "unknown key 'usr'",
            "did you mean user?",
        ),
        (
            '[[test]]\ngiven = { task = { kind = "process.run", path = "/x" } }\nexpect = { outcome = "deny" }\n',
            "3:12",
            "'deny' is no outcome",
            "did you mean denied?",
        ),
        ('[[service]]\nname = "x"\nuid = "0"\nexecutable = "/x"\n', "3:1", "a whole number is needed", "without quotes"),
        ('[[service]]\nname = "x"\nuid = 0\n', "1:1", "the key executable is missing", "name, uid and executable"),
    ],
)
def test_mistake_is_told_with_its_place_and_a_fix(text: str, place: str, message: str, fix: str) -> None:
    """File, line, column, what is wrong and how to put it right."""
    told = problems(text)

    assert f"a.toml:{place}: " in told
    assert message in told
    assert fix in told


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[rule]]\nid = "a\n', "2:8"),
        ("[[rule]\n", "1:7"),
        ("[[rule]]\nid = 'a'\nid = 'b'\n", "3:9"),
        ("[[rule]]\nwho = { a = 1\n", "2:14"),
        ("x = [1, 2\n", "1:10"),
        ("x = tru\n", "1:5"),
        ("x\n", "1:2"),
        (f"x = {'9' * 5000}\n", "1:5"),
    ],
)
def test_syntax_error_is_told_with_its_place(text: str, place: str) -> None:
    """What tomllib finds, where it finds it."""
    assert f"a.toml:{place}: not TOML: " in problems(text)


def test_every_block_with_a_mistake_is_told() -> None:
    """A syntax error in one rule hides nothing in the others, and places stay true."""
    text = '[[rule]]\nid = "a\n\n[[rule]]\nid = b\n\n[[rule]]\nid = "c"\neffect = "alow"\ntask = {}\n'

    told = problems(text)

    assert told.startswith("the policy has 3 problems")
    assert [line.split(": ")[0] for line in told.splitlines() if line.startswith("a.toml")] == [
        "a.toml:2:8",
        "a.toml:5:6",
        "a.toml:9:1",
    ]


def test_caret_stands_below_the_key() -> None:
    """The line as it stands, and a caret."""
    lines = problems(HEAD + 'task = { kind = "process.run", paht = "/x" }\n').splitlines()

    assert lines[2].index("paht") == lines[3].index("^")


def test_duplicate_ids_are_told_across_files() -> None:
    """The second one is wrong, and the first is named."""
    sources = [Source(name=f"{name}.toml", data=rule("same", "deny", task="{}").encode()) for name in "ab"]

    with pytest.raises(PolicyError, match=r"b\.toml:2:1: duplicate id 'same'") as caught:
        load(sources)

    assert "the first is in a.toml:1" in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe[\x00", "a.toml:1:1: not UTF-8"),
        (b'[[rule]]\nid = "\xe9"\n', "a.toml:2:7: not UTF-8"),
        (b"\xef\xbb\xbfformat = 1\n", "byte order mark"),
        (b"x = " + b"[" * 100_000, "nested deeper than 32"),
        (b"x = " + b"{a=" * 100_000, "nested deeper than 32"),
        (b"\0\1\2" * 3_500_000, "over 4 MB"),
        (b"\0\1\2" * 1000, "not TOML"),
        (b"a." * 100_000 + b"b = 1\n", ""),
    ],
)
def test_nonsense_is_one_clear_error(data: bytes, message: str) -> None:
    """Wrong encodings, deep nesting, 10 MB of nothing: told and bounded."""
    assert message in problems(data)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nope", "a.jsonl:2:1: not JSON"),
        (b'{"id":"a"', "a.jsonl:2:10: not JSON"),
        (b'{"id":"b","id":"c"}', "the key 'id' stands here twice"),
        (b'{"id": "b", "effect": "deny", "task": {}, "x": 1}', "a.jsonl:2:43: unknown key 'x'"),
        (b'["a"]', "a rule is a table"),
        (b"[" * 50_000, "not JSON"),
        (b'{"id":"' + b"x" * 70_000 + b'"}', "a line of over 65536 bytes"),
        (b"\xff\xfe", "not JSON"),
        (b'{"id":"\\ud800","effect":"deny","task":{}}', "not JSON"),
    ],
)
def test_bad_json_line_is_told_with_its_line(line: bytes, message: str) -> None:
    """One rule on each line; the line is named."""
    good = b'{"id":"a","effect":"deny","task":{}}\n'

    assert message in problems(good + line + b"\n", name="a.jsonl")


def test_ten_megabytes_of_bad_lines_end_soon() -> None:
    """What is kept is bounded, and the rest is counted."""
    told = problems(b"nonsense\n" * 1_200_000, name="a.jsonl")

    assert told.splitlines()[-1].startswith("and ")
    assert len(told) < 20_000


def test_other_files_are_no_rule_files() -> None:
    """A source of another kind is refused, not skipped."""
    assert "its name ends in .toml or .jsonl" in problems("", name="rules.yaml")


def test_good_rules_are_kept_beside_bad_ones() -> None:
    """The tools see what could be read."""
    text = rule("good", "deny", task="{}") + rule("bad", "dny", task="{}")

    parsed = parse_sources([Source(name="a.toml", data=text.encode())], Settings())

    assert [one.id for one in parsed.rules] == ["good"]
    assert len(parsed.problems) == 1
