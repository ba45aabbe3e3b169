"""How text from outside is shown: nothing in it can move a cursor, start a line or turn the reading direction."""

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\\": "\\\\"}
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-")


def escape(text: str) -> str:
    """Show control, format, surrogate, private, unassigned and line-breaking characters as escapes; keep all others.

    A backslash is doubled, so that what looks like an escape is one.

    Source: attacks.md row 37; Unicode general categories Cc, Cf, Cs, Co, Cn, Zl, Zp.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_shown(char) for char in text)


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
    if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return char
    return f"\\u{{{ord(char):x}}}"
