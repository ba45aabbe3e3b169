"""``elevate audit search``: entries by what they say."""

import sys
from typing import Annotated

import typer

from elevate.audit.view import line
from elevate.cli.audit_common import HEADER, Json, State, as_json, entry_json, json_line, line_text
from elevate.cli.audit_source import source


def search(
    words: Annotated[list[str], typer.Argument(help="As user:alice outcome:denied since:24h -rule:x, or a text.")],
    *,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, help="At most so many; 0 gives all.")] = 0,
    before: Annotated[int | None, typer.Option(min=0, help="Go on below this position.")] = None,
    json: Json = False,
    state: State = None,
) -> None:
    """Find entries, the newest first. Keys: user, event, outcome, rule, kind, code, method, since, until."""
    last, count = -1, 0
    with source(state) as log:
        for entry in log.search(" ".join(words), before):
            if limit and count == limit:
                sys.stderr.write(f"elevate: hint: there is more: --before {last}\n")
                break
            last, count = entry.seq, count + 1
            if as_json(json=json):
                sys.stdout.write(json_line(entry_json(entry)))
            else:
                sys.stdout.write((HEADER if count == 1 else "") + line_text(line(entry)))
    if not count and not as_json(json=json):
        sys.stderr.write("elevate: hint: no entry that you may see is meant by that\n")
