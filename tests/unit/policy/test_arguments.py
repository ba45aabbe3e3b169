"""Patterns and versions: what they take, and what they never take."""

import time

import pytest

from elevate.policy.arguments import Arguments, matches
from elevate.policy.problems import RefusedValue
from elevate.policy.versions import key, parse_range
from tests.unit.policy.build import policy, problems, rule, run


@pytest.mark.parametrize(
    ("pattern", "argument", "taken"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("*", "", True),
        ("*", "abc", True),
        ("*", "a/b", False),
        ("*", "-x", None),
        ("?", "-", None),
        ("-*", "-x", True),
        ("x*", "x-y", True),
        ("a*c", "abbbc", True),
        ("a*c", "abbbd", False),
        ("a*b*c", "a-b-b-c", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("ab*", "a", False),
        ("/srv/*.deb", "/srv/x.deb", True),
        ("/srv/*.deb", "/srv/a/x.deb", False),
        ("/srv/*", "/srv/..", None),
        ("/srv/**", "/srv/a/b", True),
        ("/srv/**", "/srv", False),
        ("/srv/**", "/srv/a/../../etc/shadow", None),
        ("/srv/**", "/srvx/a", False),
        ("**", "/any/thing", True),
        ("**", "--option", None),
        ("*", "a\nb", None),
        ("**", "a\x1bb", None),
        ("*", "x" * 5000, None),
        ("..", "..", True),
        ("/etc/shadow", "/etc//shadow", None),
        ("/etc/shadow", "/tmp/../etc/shadow", None),
        ("/etc/*", "/etc/./x/..", False),
    ],
)
def test_pattern(pattern: str, argument: str, *, taken: bool | None) -> None:
    """A wildcard is surely no option, no way up, no control character, and nothing too long to look at; that is a doubt."""
    assert matches(pattern, argument) is taken


def test_pattern_with_many_wildcards_is_quick() -> None:
    """No pattern makes a decision slow."""
    start = time.process_time()

    assert not matches("*a" * 200 + "b", "a" * 4000)

    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("arguments", "given", "holds", "first_wrong"),
    [
        (Arguments(exact=("a", "b")), ("a", "b"), True, 2),
        (Arguments(exact=("a", "b")), ("a", "c"), False, 1),
        (Arguments(exact=()), ("a",), False, 0),
        (Arguments(prefix=("a",)), ("a", "b"), True, 1),
        (Arguments(prefix=("a", "b")), ("a",), False, 1),
        (Arguments(patterns=(("a",), ("b", "c*"))), ("a", "cd"), True, 2),
        (Arguments(patterns=(("a",), ("b", "c*"))), ("a", "d"), False, 1),
        (Arguments(patterns=(("a",),)), ("a", "b"), False, 1),
        (Arguments(patterns=(("a",),), rest="*.deb"), ("a", "b.deb", "c.deb"), True, 1),
        (Arguments(patterns=(("a",),), rest="*.deb"), ("a", "b.deb", "c"), False, 1),
        (Arguments(patterns=(("a",),), rest="*"), (), False, 0),
        (Arguments(contains=("--force",)), ("a", "--force"), True, 0),
        (Arguments(contains=("--force",)), ("a",), False, 0),
        (Arguments(prefix=("a",), contains=("b",)), ("a", "c"), False, 1),
    ],
)
def test_arguments(arguments: Arguments, given: tuple[str, ...], *, holds: bool, first_wrong: int) -> None:
    """Exact, prefix, one pattern for each position, the rest, and one anywhere."""
    assert arguments.hold(given) is holds
    assert arguments.first_wrong(given) == first_wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("3", "arguments are a list, or a table"),
        ("{}", "arguments are a list, or a table"),
        ("[3]", "a list of texts is needed"),
        ('{ exact = ["a"], prefix = ["a"] }', "exact says it all"),
        ('{ rest = "a" }', "rest comes after patterns"),
        ('{ patterns = "a" }', "patterns are a list"),
        ("{ patterns = [3] }", "a pattern is text"),
        ("{ patterns = [[]] }", "an empty list matches nothing"),
        ('{ contains = "a***" }', "** stands only"),
        (f'{{ contains = "{"x" * 2000}" }}', "at most 1024 characters"),
        ("[" + '"a",' * 300 + "]", "more than 256 arguments"),
    ],
)
def test_arguments_that_are_none_are_told(arguments: str, message: str) -> None:
    """With the place of the key that is wrong."""
    told = problems(rule("a", task=f'{{ kind = "process.run", arguments = {arguments} }}'))

    assert "a.toml:4:" in told
    assert message in told


def test_explain_says_which_argument_is_wrong() -> None:
    """By position, or that none is there."""
    wanted = {
        '["a", "b"]': "argument 2 is c",
        '["a", "c", "d"]': "only 2 arguments",
        '{ contains = "--force" }': "no such argument in a c",
    }
    for arguments, found in wanted.items():
        text = rule("r", task=f'{{ kind = "process.run", arguments = {arguments} }}')
        (miss,) = policy(text).explain(run("/x", "a", "c")).near_misses
        assert miss.found == found


def test_versions_are_in_debians_order() -> None:
    """``~`` before everything, numbers as numbers, the epoch first."""
    for one, other in [("1.0~rc1", "1.0"), ("1.0", "1.0-1"), ("1.2", "1.10"), ("1.10", "2"), ("2", "1:0.1"), ("1.0", "1.0.1")]:
        assert key(one) < key(other)
    assert key("1.0") == key("1.0-0") == key("0:1.0")


@pytest.mark.parametrize(
    ("text", "version", "within"),
    [
        (">=1.2, <2", "1.2", True),
        (">=1.2, <2", "2", False),
        ("1.2.3", "1.2.3", True),
        ("=1.2.3", "1.2.4", False),
        ("==1.2", "1.2", True),
        ("<=1.2", "1.2", True),
        (">1.2", "1.2", False),
        (">1.2", "1.2.1", True),
    ],
)
def test_range(text: str, version: str, *, within: bool) -> None:
    """All bounds must hold; a bare version is exact."""
    assert parse_range(text).holds(version) is within


@pytest.mark.parametrize("text", ["", ">=", "a b", "!=1", "1,,2", ">=" + "1" * 200])
def test_range_that_is_none_is_refused(text: str) -> None:
    """One clear error."""
    with pytest.raises(RefusedValue):
        parse_range(text)
