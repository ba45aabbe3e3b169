"""Short ways to policies and questions."""

from pathlib import Path

import pytest

from elevate.errors import PolicyError
from elevate.policy import Policy, Question, Settings, Source, load, question

ROOT = Path(__file__).resolve().parents[3]


def policy(text: str, *more: str, settings: Settings | None = None) -> Policy:
    sources = [Source(name=f"{at}.toml", data=one.encode()) for at, one in enumerate((text, *more))]
    return load(sources, settings=settings)


def problems(text: str | bytes, *, name: str = "a.toml", settings: Settings | None = None) -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(PolicyError) as caught:
        load([Source(name=name, data=data)], settings=settings)
    return caught.value.message


def run(path: str = "/usr/bin/apt", *arguments: str, **task: object) -> Question:
    return ask({"kind": "process.run", "path": path, "arguments": list(arguments), **task})


def ask(task: dict[str, object], **given: object) -> Question:
    return question({"user": "alice", "groups": ["developers"], "task": task, **given})


def rule(name: str, effect: str = "allow", **parts: str) -> str:
    lines = ["[[rule]]", f'id = "{name}"', f'effect = "{effect}"', *(f"{key} = {value}" for key, value in parts.items())]
    return "\n".join([*lines, ""])
