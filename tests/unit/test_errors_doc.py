"""``docs/errors.md``: every error, its code, its exit status and its Windows number, as the code has them."""

import inspect

from elevate import errors
from elevate.errors import ElevateError
from elevate.resources import shipped


def table() -> str:
    """Give the table that the page must have, in the order of the tree."""
    rows = ["| code | class | exit status | Windows | when | hint |", "| --- | --- | --- | --- | --- | --- |"]
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ElevateError)]
    for kind in sorted(found, key=lambda one: inspect.getsourcelines(one)[1]):
        if kind is not ElevateError:
            when = (inspect.getdoc(kind) or "").splitlines()[0].rstrip(".")
            number = kind.windows_code if kind.windows_code is not None else ""
            rows.append(f"| `{kind.code}` | `{kind.__name__}` | {kind.exit_code} | {number} | {when} | {kind.hint} |")
    return "\n".join(rows) + "\n"


def test_the_table_is_the_tree() -> None:
    """Nothing is missing and nothing is made up."""
    assert table() in shipped("docs/errors.md").read_text()
