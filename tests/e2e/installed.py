"""What `tests.e2e.test_installed` looks at, done in a `tests.stage.Stage`; a program that prints what came of it as JSON."""

import json

from tests.stage import Stage

RULES = """
format = 1

[[rule]]
id = "accounts"
effect = "allow"
task = { kind = "process.run", directory = "/usr" }
then = { prompt = "credential" }
why = "The hidden account, with nothing more."
"""


def main() -> None:
    """Do all of it."""
    with Stage(RULES) as stage:
        stage.start()
        told = {"whoami": stage.run(stage.elevate, "run", "--", "whoami")}
    print(json.dumps(told))  # noqa: T201 - what a program of the tests says


if __name__ == "__main__":
    main()
