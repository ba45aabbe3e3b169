"""The error tree: stable codes, exit statuses, and what may cross the socket."""

import ast
import inspect
import pickle
import re

import pytest

from elevate import errors
from elevate.errors import BrokerError, ElevateError, TokenSpentError, from_code

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ElevateError)]
BELOW = [kind for kind in TREE if kind is not ElevateError]


def test_codes_are_unique() -> None:
    """A code names one class, for ever."""
    assert len({kind.code for kind in TREE}) == len(TREE)


@pytest.mark.parametrize("kind", TREE)
def test_class_is_complete(kind: type[ElevateError]) -> None:
    """Every class has a kebab-case code of its own, a known exit status and a name that ends in Error."""
    assert kind.__name__.endswith("Error")
    assert "code" in vars(kind)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.exit_code in {errors.EXIT_BROKER, errors.EXIT_REFUSED, errors.EXIT_NOT_FOUND}


@pytest.mark.parametrize("kind", [kind for kind in BELOW if not kind.__subclasses__()])
def test_leaf_has_a_hint(kind: type[ElevateError]) -> None:
    """A caller always learns what to do next: lower case, no final full stop."""
    hint = kind("x").hint
    assert hint
    assert not hint.endswith(".")
    assert hint[:1] == hint[:1].lower()


def test_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing names every class, at its depth."""
    drawn = re.findall(r"^ {4}([│ ├└─]*)(\w+Error)", inspect.getdoc(errors) or "", re.MULTILINE)
    assert {name: len(indent) // 4 for indent, name in drawn} == {kind.__name__: len(kind.__mro__) - 4 for kind in TREE}


def test_module_imports_nothing() -> None:
    """The thin client loads it, so it loads nothing."""
    tree = ast.parse(inspect.getsource(errors))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_message_hint_and_detail() -> None:
    """The message is what a caller reads; the detail is the message where none is given; the hint is the class's."""
    error = ElevateError("the token is not good here")
    assert (str(error), error.message, error.detail) == ("the token is not good here",) * 3
    told = TokenSpentError("m", hint="h", detail="d")
    assert (told.message, told.hint, told.detail) == ("m", "h", "d")
    assert TokenSpentError("m").hint == TokenSpentError.hint


@pytest.mark.parametrize("kind", BELOW)
def test_from_code_gives_the_class_back(kind: type[ElevateError]) -> None:
    """What crosses the socket as a code comes back as its class, with its hint."""
    again = from_code(kind.code, "m", "h")
    assert type(again) is kind
    assert (again.message, again.hint) == ("m", "h")
    assert from_code(kind.code, "m").hint == kind.hint


@pytest.mark.parametrize("code", ["", "no-such-code", "error", "DENIED", "denied "])
def test_from_code_never_gives_the_base(code: str) -> None:
    """An unknown code is the broker's failure, and so is the base's, which is never raised."""
    assert type(from_code(code, "m")) is BrokerError


def test_error_survives_a_process_border() -> None:
    """A worker's error can be handed on whole."""
    error = pickle.loads(pickle.dumps(TokenSpentError("m", hint="h", detail="d")))  # noqa: S301 - our own bytes
    assert (type(error), error.message, error.hint, error.detail) == (TokenSpentError, "m", "h", "d")
