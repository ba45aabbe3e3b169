"""Row 17: the caller can't read, write or signal the prompt. What that means on a terminal is said in docs/deviations.md."""

import os
from pathlib import Path

import pytest

from tests.attacks.test_prompt import SYSTEM_PYTHON, test_28_38_the_prompts_memory_is_closed_to_the_same_user


@pytest.mark.skipif(os.getuid() != 0 or not Path(SYSTEM_PYTHON).exists(), reason="needs root, to be nobody")
def test_17_the_prompt_s_memory_is_closed_to_its_caller() -> None:
    """A process of the same user can't open it, as it can any other of that user's."""
    test_28_38_the_prompts_memory_is_closed_to_the_same_user()
