"""How text from outside is shown: nothing in it can move a cursor, start a line, turn the reading direction or be unseen."""

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\\": "\\\\"}
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})

# Default_Ignorable_Code_Point beyond those categories: fillers, joiners and variation selectors, which are drawn as nothing.
_IGNORED = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def escape(text: str) -> str:
    """Show control, format, surrogate, private, unassigned, line-breaking and unseen characters as escapes; keep all others.

    The only space that is kept is the ASCII one. A backslash is doubled, so that what looks like an escape is one.

    Source: attacks.md row 37; Unicode general categories Cc, Cf, Cs, Co, Cn, Zl, Zp, Zs; Default_Ignorable_Code_Point.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_shown(char) for char in text)


def is_shown(text: str) -> bool:
    """Say whether ``text`` can be shown as it is: every character but a backslash would be kept by `escape`."""
    return (text.isascii() and text.isprintable()) or not any(_is_hidden(char) for char in text)


def shell_words(words: tuple[str, ...]) -> str:
    """Join ``words`` so that it is plain where each begins and ends, quoted as a shell would need it, and escaped."""
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    if word and _SAFE.issuperset(word):
        return word
    return "'" + escape(word).replace("'", "'\"'\"'") + "'"


def _shown(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    return f"\\u{{{ord(char):x}}}" if _is_hidden(char) else char


def _is_hidden(char: str) -> bool:
    return char != " " and (unicodedata.category(char) in _HIDDEN_CATEGORIES or char in _IGNORED)
