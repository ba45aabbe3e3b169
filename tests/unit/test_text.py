"""What is shown: no character of it acts on the terminal, hides, or passes for another."""

import re
import shlex
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elevate.text import escape, is_shown, shell_words

_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|([nrt0\\]))")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\"}

ANY_TEXT = st.text(st.characters(categories=None))


def _unescape(shown: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _LETTERS[found[2]], shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text, 1 ~!", "plain text, 1 ~!"),
        ("žluťoučký 漢字 😀", "žluťoučký 漢字 😀"),
        ("a\nb", "a\\nb"),
        ("a\r\tb\0c", "a\\r\\tb\\0c"),
        ("\\n", "\\\\n"),
        ("\\", "\\\\"),
        ("\x1b[2J", "\\u{1b}[2J"),
        ("\x7f\x80\x9b", "\\u{7f}\\u{80}\\u{9b}"),
        ("\u202etxt.exe", "\\u{202e}txt.exe"),
        ("\u2066a\u2069", "\\u{2066}a\\u{2069}"),
        ("\u2028\u2029", "\\u{2028}\\u{2029}"),
        ("\u200b\u200d\ufeff\u00ad", "\\u{200b}\\u{200d}\\u{feff}\\u{ad}"),
        ("\ud800", "\\u{d800}"),
        ("\ue000\U0010fffd", "\\u{e000}\\u{10fffd}"),
        ("\u0378\uffff\U0010ffff", "\\u{378}\\u{ffff}\\u{10ffff}"),
        ("\u00a0\u3000", "\\u{a0}\\u{3000}"),
        ("a\u3164\u115f\ufe0f\U000e0100\U000e0041", "a\\u{3164}\\u{115f}\\u{fe0f}\\u{e0100}\\u{e0041}"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    """Control, bidi, unseen, surrogate, private and unassigned characters are named; all others are kept."""
    assert escape(text) == shown


def test_every_code_point() -> None:
    """No code point comes through that is not a letter, mark, number, sign, symbol or the ASCII space."""
    kept = [char for char in map(chr, range(sys.maxunicode + 1)) if escape(char) == char]
    assert {unicodedata.category(char)[0] for char in kept} == {"L", "M", "N", "P", "S", "Z"}
    assert [char for char in kept if unicodedata.category(char)[0] == "Z"] == [" "]
    assert all(is_shown(char) for char in kept)


@given(ANY_TEXT)
@example("\\u{1b}")
@example("\\\x1b")
@example("\x001")
def test_escape_loses_nothing(text: str) -> None:
    """Two texts never look the same: what is shown gives the text back."""
    assert _unescape(escape(text)) == text


@given(ANY_TEXT)
def test_escaped_text_can_be_shown(text: str) -> None:
    """What `escape` gives is one line that acts on nothing."""
    assert is_shown(escape(text))
    assert len(escape(text).splitlines()) <= 1


@pytest.mark.parametrize(("text", "answer"), [("", True), ("a b\\n", True), ("é\\", True), ("a\n", False), ("é\u202e", False)])
def test_is_shown(text: str, *, answer: bool) -> None:
    """A backslash can be shown; what would be escaped can't."""
    assert is_shown(text) is answer


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), ""),
        (("ls", "-l", "/a_b/c.d"), "ls -l /a_b/c.d"),
        (("a", "", "b c"), "a '' 'b c'"),
        (("it's",), "'it'\"'\"'s'"),
        (("$(x)", "`y`", "a;b", "a\nb", "~"), "'$(x)' '`y`' 'a;b' 'a\\nb' '~'"),
        (("a' 'b",), "'a'\"'\"' '\"'\"'b'"),
        (("é",), "'é'"),
    ],
)
def test_shell_words(words: tuple[str, ...], shown: str) -> None:
    """Only plain words stand without quotes."""
    assert shell_words(words) == shown


@given(st.lists(ANY_TEXT, max_size=5).map(tuple))
@example(("a' 'b",))
@example(("a", "b"))
def test_shell_words_keep_their_borders(words: tuple[str, ...]) -> None:
    """A shell would read the shown line as the same words, each escaped: no argument passes for two."""
    assert shlex.split(shell_words(words)) == [escape(word) for word in words]
