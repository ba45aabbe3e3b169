"""Whatever a rule file holds: a policy, or one error that names its lines; what loads reads back the same."""

import re

from hypothesis import given as given_data
from hypothesis import settings
from hypothesis import strategies as st

from elevate.errors import PolicyError
from elevate.policy import Source, load
from elevate.policy.fmt import format_rules
from elevate.policy.write import toml_of
from tests.property.policies import Table, build, rule_lists
from tests.unit.policy.build import ROOT

SHIPPED = [(ROOT / "policies" / name).read_text() for name in ("kiosk/kiosk.toml", "ci-machine/ci.toml")]
ODD = (
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    '"""',
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\\",
    "\0",
    "é",
    "\u202e",
    "[[rule]]\n",
    "id",
    "9" * 30,
    "-",
    " ",
    "true",
)
LINE = '{"id":"a","effect":"allow","who":{"user":"x"},"task":{"kind":"process.run","path":"/x"},"then":{"token_seconds":5}}'
FAULT = re.compile(r"^f\.(toml|jsonl):\d+:\d+: ", re.MULTILINE)


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> str:
    """A file with a few pieces cut out, put in or moved."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from((0, 0, 1, 5, 60, 600)))
        text = text[:at] + draw(st.sampled_from(("", *ODD))) + text[at + cut :]
    return text


def loads(name: str, data: bytes) -> None:
    told = ""
    try:
        load([Source(name=name, data=data)])
    except PolicyError as exc:
        told = exc.message
    assert not told or FAULT.search(told)


@settings(max_examples=150, deadline=None)
@given_data(text=damaged(SHIPPED))
def test_damaged_toml_is_a_policy_or_one_error(text: str) -> None:
    """With the place of every fault."""
    loads("f.toml", text.encode())


@settings(max_examples=150, deadline=None)
@given_data(text=damaged([LINE, f"{LINE}\n{LINE}"]))
def test_damaged_json_lines_are_a_policy_or_one_error(text: str) -> None:
    """The same for long lists."""
    loads("f.jsonl", text.encode())


@settings(max_examples=100, deadline=None)
@given_data(data=st.binary(max_size=300), kind=st.sampled_from(("f.toml", "f.jsonl")))
def test_any_bytes_are_a_policy_or_one_error(data: bytes, kind: str) -> None:
    """Encodings, control characters, nothing."""
    loads(kind, data)


@settings(max_examples=60, deadline=None)
@given_data(rules=rule_lists())
def test_rules_written_formed_and_read_are_the_same(rules: list[Table]) -> None:
    """To TOML, into the one form, and back."""
    first = build(rules)
    text = format_rules("f.toml", "\n".join(toml_of(rule) + "\n" for rule in first.rules))

    again = load([Source(name="f.toml", data=text.encode())])

    members = ("id", "effect", "who", "kinds", "by", "values", "conditions", "then", "rank")
    told = [[[getattr(rule, name) for name in members] for rule in one.rules] for one in (first, again)]
    assert told[0] == told[1]
    assert format_rules("f.toml", text) == text
