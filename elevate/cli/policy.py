"""``elevate policy``: check, test and explain rule files without a broker, and tell the broker to read its own again."""

from typing import Annotated

import typer

from elevate.canonical import Json
from elevate.cli import policy_tools
from elevate.cli.policy_tools import FOUND, AsJson, Legacy, OnePlace, Place, print_json
from elevate.errors import PolicyError
from elevate.policy import Question, Settings, parse_sources, question, run_tests
from elevate.policy.problems import MAX_SHOWN, RefusedValue
from elevate.store.files import load_place, read_policy, read_sources

app = typer.Typer(name="policy", help="Check, test, explain and reload the rules.", no_args_is_help=True)
policy_tools.register(app)


@app.command()
def check(
    place: Place,
    *,
    as_json: AsJson = False,
    legacy: Legacy = False,
    owner: Annotated[bool, typer.Option("--owner", help="Also check who can write the files, as the broker does.")] = False,
) -> None:
    """Read rule files and tell everything that is wrong.

    With file, line, column and a fix.
    """
    if owner:
        read_policy(place)
    found = parse_sources(read_sources(place), Settings(ap_mode=not legacy))
    count = len(found.problems) + found.report.left_out
    if as_json:
        problems: list[Json] = [problem.json() for problem in found.problems]
        print_json({"rules": len(found.rules), "tests": len(found.tests), "count": count, "problems": problems})
    else:
        for problem in found.problems[:MAX_SHOWN]:
            typer.echo(problem.render(), err=True)
        more = f", {count - MAX_SHOWN} of them not shown" if count > MAX_SHOWN else ""
        typer.echo(f"{len(found.rules)} rules, {len(found.tests)} tests, {count} problems{more}")
    if count:
        raise typer.Exit(FOUND)


@app.command("test")
def run_file_tests(
    place: Place,
    *,
    as_json: AsJson = False,
    legacy: Legacy = False,
    covered: Annotated[bool, typer.Option("--covered", help="Fail also where a rule has no test.")] = False,
) -> None:
    """Run the tests that stand in the rule files.

    And tell which rules no test covers.
    """
    run = run_tests(load_place(place, ap_mode=not legacy))
    if as_json:
        print_json(run.json())
    else:
        for result in run.results:
            for failure in result.failures:
                typer.echo(f"{result.test.file}:{result.test.line}: {result.test.name}: {failure}", err=True)
        for name in run.uncovered:
            typer.echo(f"no test covers {name}", err=True)
        typer.echo(f"{run.passed} passed, {run.failed} failed, {len(run.uncovered)} rules without a test")
    if run.failed or (covered and run.uncovered):
        raise typer.Exit(FOUND)


@app.command()
def explain(  # noqa: PLR0913 - one for each fact that a rule can ask for
    place: OnePlace,
    arguments: Annotated[list[str] | None, typer.Argument(help="The program's arguments, after --.")] = None,
    *,
    user: Annotated[str, typer.Option(help="Who asks.")] = "",
    group: Annotated[list[str] | None, typer.Option(help="A group of theirs; may be repeated.")] = None,
    service_identity: Annotated[str, typer.Option(help="The service identity that asks.")] = "",
    remote: Annotated[bool, typer.Option("--remote", help="The session came over a network.")] = False,
    kind: Annotated[str, typer.Option(help="The kind of task.")] = "process.run",
    fact: Annotated[list[str] | None, typer.Option(help="A fact, as path=/usr/bin/apt or signer=Contoso.")] = None,
    at: Annotated[str, typer.Option(help="When, as 2026-01-05T12:00:00Z.")] = "",
    as_json: AsJson = False,
    legacy: Legacy = False,
) -> None:
    """Say what rule files would decide, and why, without asking anyone."""
    given: dict[str, object] = {"user": user, "groups": group or [], "service": service_identity, "remote": remote}
    if at:
        given["at"] = at
    given["task"] = _task(kind, fact or [], arguments or [])
    explanation = load_place(place, ap_mode=not legacy).explain(_question(given))
    if as_json:
        print_json(explanation.json())
    else:
        typer.echo(explanation.text())


def _task(kind: str, facts: list[str], arguments: list[str]) -> dict[str, object]:
    task: dict[str, object] = {"kind": kind}
    for fact in facts:
        name, equals, value = fact.partition("=")
        if not equals:
            raise typer.BadParameter(f"{fact!r} is not name=value", param_hint="--fact")
        flag = value in {"true", "false"} and name in {"installer", "input", "ui_access", "writable"}
        task[name] = value == "true" if flag else value
    if arguments:
        task["arguments"] = arguments
    return task


def _question(given: dict[str, object]) -> Question:
    try:
        return question(given)
    except RefusedValue as exc:
        where = ".".join(str(step) for step in exc.path)
        raise PolicyError(f"the question can't be read: {where}: {exc.message}", hint=exc.fix) from exc
