"""What is unwise in the description of a machine's own kind: interpreters, and parameters that become options.

A value never begins with a dash and is always within its own word; what is left is what the description itself gives away. A
parameter of which every value stands in the description (a choice, or a pattern without any range) gives nothing away.
"""

import re
from collections.abc import Iterator, Mapping

from elevate.kinds import KindSpec
from elevate.params import ParamType
from elevate.policy.dangerous import CHOICE, CODE, INSIDE, Danger, danger_of

OPTION = "kind-option"
INTERPRETER = "kind-interpreter"
PROGRAM = "dangerous-program"

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_OPTION = re.compile(r"--?[A-Za-z0-9-]*\{")
_OPEN = re.compile(r"(?<!\\)[\[?{]")


def problems(spec: KindSpec, more: Mapping[str, Danger]) -> Iterator[tuple[str, bool, str]]:
    """Give what is unwise: its id, whether it is an error, and why.

    Args:
        spec: One of the machine's own.
        more: Dangerous programs from elsewhere.
    """
    danger = danger_of(spec.argv[0], more)
    if danger is not None:
        yield from _program(spec, danger)
    for word in spec.argv[1:]:
        if _OPTION.match(word) and (name := _free(spec, word)):
            yield (
                OPTION,
                False,
                f"the parameter {name} says which option {word!r} is; write the option out, or make it a choice",
            )


def _program(spec: KindSpec, danger: Danger) -> Iterator[tuple[str, bool, str]]:
    program = spec.argv[0]
    if danger.how == INSIDE:
        yield PROGRAM, True, f"{program} can be left from inside, whatever its arguments are: {danger.gives}"
    elif danger.how == CODE or program.rpartition("/")[2] == "env":
        name = next((name for word in _code(spec.argv) if (name := _free(spec, word))), "")
        if name:
            yield INTERPRETER, True, f"the parameter {name} is part of what {program} runs: {danger.gives}"
        else:
            why = (
                f"only {program} itself is looked at when it is asked for, not what it runs; name the script, with its #! line"
            )
            yield INTERPRETER, False, why
    elif danger.how == CHOICE and (name := next((name for word in spec.argv if (name := _free(spec, word))), "")):
        yield PROGRAM, False, f"{program} does what one of its arguments names, and {name} is free: {danger.gives}"


def _code(argv: tuple[str, ...]) -> Iterator[str]:
    """Give the words up to the one that says what is run: the first that is no option."""
    for word in argv[1:]:
        yield word
        if not word.startswith("-"):
            return


def _free(spec: KindSpec, word: str) -> str:
    """Give the parameter in a word, where its values are not all written down; else nothing."""
    found = _PLACE.search(word)
    if found is None:
        return ""
    param = spec.params[found[1]]
    return found[1] if param.type is ParamType.TEXT and _OPEN.search(param.pattern) else ""
