"""``docs/library.md`` and ``docs/errors.md``: their examples say what they say, and no public name is left out."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import elevate
from elevate.resources import shipped

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: shipped(f"docs/{name}.md").read_text() for name in ("library", "errors", "helpers")}
PAIR = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
EXAMPLES = [(name, *pair) for name, page in PAGES.items() for pair in PAIR.findall(page)]
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(("page", "code", "said"), EXAMPLES, ids=[f"{one[0]}-{number}" for number, one in enumerate(EXAMPLES)])
def test_an_example_prints_what_the_page_says(page: str, code: str, said: str) -> None:
    """In a process of its own, as a reader would run it."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (said, ""), page


def test_every_example_is_run() -> None:
    """Three of the library, one of the errors."""
    assert [name for name, _, _ in EXAMPLES] == ["library"] * 3 + ["errors"]


@pytest.mark.parametrize("name", elevate.__all__)
def test_every_public_name_is_on_the_page(name: str) -> None:
    """And can be imported."""
    assert f"`{name}`" in PAGES["library"]
    assert getattr(elevate, name).__name__ == name


@pytest.mark.parametrize("page", PAGES)
def test_what_can_not_be_run_here_names_what_there_is(page: str) -> None:
    """Examples for a machine with a broker import names that are there."""
    for code in CODE.findall(PAGES[page]):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("elevate"):
                module = __import__(str(node.module), fromlist=["x"])
                assert all(hasattr(module, one.name) for one in node.names), code
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "elevate":
                assert hasattr(elevate, node.attr), node.attr
