"""The examples of docs/installers.md do what it says they do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from elevate.resources import shipped

ROOT = Path(__file__).resolve().parents[2]
PAIR = re.compile(r"```python\n((?:import json\n)?import elevate\n.*?)```\n\n```text\n(.*?)```", re.DOTALL)
EXAMPLES = PAIR.findall(shipped("docs/installers.md").read_text())


@pytest.mark.parametrize("number", range(3))
def test_an_example_prints_what_the_page_says(number: int) -> None:
    code, said = EXAMPLES[number]

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr) == (said, "")


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 3
