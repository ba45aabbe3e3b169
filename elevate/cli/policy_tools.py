"""The further tools of ``elevate policy``: lint, fmt, schema, export, diff, replay and suggest."""

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from elevate.canonical import Json
from elevate.cli.audit_common import ledger_path
from elevate.cli.whose import broker_home
from elevate.errors import PolicyError
from elevate.policy import Policy, Source, load, run_tests
from elevate.policy.cedar import export as export_cedar
from elevate.policy.dangerous import Danger, read_gtfobins
from elevate.policy.fmt import format_rules
from elevate.policy.importers import Imported, import_appcontrol, import_applocker, import_sudoers
from elevate.policy.lint import Context, Severity, lint
from elevate.policy.reference import reference
from elevate.policy.replay import Change, Recorded, diff, questions_from, recorded, replay
from elevate.policy.schema import json_schema
from elevate.policy.suggest import suggest
from elevate.store.bounded import read_at_most
from elevate.store.files import load_place, read_sources
from elevate.store.reader import LedgerReader

FOUND = 1
CVTSUDOERS = "/usr/bin/cvtsudoers"

MAX_IMPORT_MEGABYTES, MAX_PAGE_MEGABYTES = 64, 1
_PLACE = "A folder with rule files, or one rule file"


def own_policy() -> Path:
    """Give the policy folder of the caller's own broker; for root the machine's."""
    return broker_home().policy


Place = Annotated[
    Path, typer.Argument(default_factory=own_policy, help=f"{_PLACE}; your own broker's by default.", show_default=False)
]
OnePlace = Annotated[Path, typer.Argument(help=f"{_PLACE}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Legacy = Annotated[bool, typer.Option("--legacy", help="Not Administrator protection: rules may act with no person.")]
State = Annotated[Path | None, typer.Option("--state", help="Folder of the broker; your own by default.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add these commands to ``elevate policy``."""
    app.command("lint")(lint_files)
    app.command("fmt")(format_files)
    app.command("schema")(schema)
    app.command("export")(export)
    app.command("diff")(compare)
    app.command("replay")(replay_log)
    app.command("suggest")(suggest_rules)
    app.command("import")(import_rules)


def print_json(value: Json) -> None:
    """Print data on one line."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


def lint_files(
    place: Place,
    *,
    gtfobins: Annotated[Path | None, typer.Option(help="A checkout of the GTFOBins project.", show_default=False)] = None,
    as_json: AsJson = False,
    legacy: Legacy = False,
) -> None:
    """Tell what is unwise.

    Rules that give more than they seem to, and rules that do nothing. Errors give exit status 1.
    """
    policy = load_place(place, ap_mode=not legacy)
    uncovered = frozenset(run_tests(policy).uncovered)
    context = Context(
        now=int(time.time()),  # noqa: TID251 - the edge of the program, where the clock is read
        more=_gtfobins(gtfobins) if gtfobins else {},
        writable=_writable_by_others,
        uncovered=uncovered,
    )
    findings = lint(policy, context)
    errors = sum(1 for finding in findings if finding.severity is Severity.ERROR)
    if as_json:
        found: list[Json] = [finding.json() for finding in findings]
        print_json({"errors": errors, "findings": found})
    else:
        for finding in findings:
            typer.echo(finding.render())
        typer.echo(f"{len(policy.rules)} rules, {len(findings)} findings, {errors} errors")
    if errors:
        raise typer.Exit(FOUND)


def _writable_by_others(folder: str) -> bool:
    try:
        return bool(os.stat(folder).st_mode & (stat.S_IWGRP | stat.S_IWOTH))  # noqa: PTH116 - a text is asked, not a path of ours
    except OSError:
        return False


def _gtfobins(checkout: Path) -> dict[str, Danger]:
    folder = checkout / "_gtfobins" if (checkout / "_gtfobins").is_dir() else checkout
    found: dict[str, Danger] = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_file():
                found |= read_gtfobins(entry.name, read_at_most(entry, MAX_PAGE_MEGABYTES).decode(errors="replace"))
    except OSError as exc:
        raise PolicyError(f"{checkout} can't be read: {exc.strerror}", hint="give the folder of the checkout") from exc
    return found


def format_files(
    place: Place,
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit status 1 where something would change.")] = False,
) -> None:
    """Bring TOML rule files into one form; comments stay."""
    changed = []
    for source in read_sources(place):
        if not source.name.endswith(".toml"):
            continue
        text = source.data.decode("utf-8", errors="surrogateescape")
        formed = format_rules(source.name, text)
        if formed != text:
            changed.append(source.name)
            if not check:
                _replace(Path(source.name), formed)
    for name in changed:
        typer.echo(f"{'would change' if check else 'changed'} {name}")
    if check and changed:
        raise typer.Exit(FOUND)


def _replace(path: Path, text: str) -> None:
    """Put a new file in the old one's place, so that there is always a whole one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(stat.S_IMODE(path.stat().st_mode))
    new.replace(path)


def schema(*, markdown: Annotated[bool, typer.Option("--markdown", help="For people.")] = False) -> None:
    """Print the JSON Schema of rule files, or the reference.

    The schema is for editors.
    """
    if markdown:
        typer.echo(reference(), nl=False)
        return
    typer.echo(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode())


def export(
    place: Place,
    *,
    cedar: Annotated[bool, typer.Option("--cedar", help="As Cedar policies (the only form there is).")] = True,
    legacy: Legacy = False,
) -> None:
    """Print the rules for another engine.

    What it can't say is told and never allows more.
    """
    del cedar
    exported = export_cedar(load_place(place, ap_mode=not legacy).rules)
    for line in exported.left_out:
        typer.echo(line, err=True)
    typer.echo(exported.text)


def compare(
    before: OnePlace,
    after: OnePlace,
    *,
    log: Annotated[bool, typer.Option("--log", help="Ask what the log has recorded, not what the rules suggest.")] = False,
    state: State = None,
    as_json: AsJson = False,
    legacy: Legacy = False,
) -> None:
    """Say which requests two sets of rules answer otherwise, and how. Without --log they are made from the rules."""
    old, new = (load_place(place, ap_mode=not legacy) for place in (before, after))
    asked = ((one.request, one.question) for one in _records(state)) if log else questions_from(old, new)
    changes = list(diff(old, new, asked))
    if not as_json:
        ids = [{rule.id for rule in policy.rules} for policy in (old, new)]
        for sign, names in (("-", ids[0] - ids[1]), ("+", ids[1] - ids[0])):
            for name in sorted(names):
                typer.echo(f"{sign} rule {name}")
    _tell(changes, as_json=as_json)


def replay_log(place: Place, *, state: State = None, as_json: AsJson = False, legacy: Legacy = False) -> None:
    """Ask the log's decisions again of other rules.

    And say which would be answered otherwise.
    """
    _tell(list(replay(load_place(place, ap_mode=not legacy), _records(state))), as_json=as_json)


def _tell(changes: list[Change], *, as_json: bool) -> None:
    if as_json:
        told: list[Json] = [change.json() for change in changes]
        print_json({"count": len(changes), "changes": told})
    else:
        for change in changes:
            typer.echo(change.render())
        typer.echo(f"{len(changes)} requests are answered otherwise")
    if changes:
        raise typer.Exit(FOUND)


def suggest_rules(place: Place, *, state: State = None, as_json: AsJson = False, legacy: Legacy = False) -> None:
    """Suggest rules from what the log holds.

    The narrowest that would have matched, each with its evidence.
    """
    policy: Policy = load_place(place, ap_mode=not legacy)
    found = suggest(_records(state), policy)
    if as_json:
        print_json([one.json() for one in found])
        return
    for one in found:
        typer.echo(one.render())
    typer.echo(f"# {len(found)} suggestions")


def _records(state: Path | None) -> Iterator[Recorded]:
    """Give the log's decisions, one for each request."""
    seen: set[str] = set()
    with LedgerReader(ledger_path(state)) as reader:
        for entry in reader.opened(0, reader.size()):
            if entry.request in seen:
                continue
            one = recorded(entry.request, entry.body)
            if one is not None:
                seen.add(entry.request)
                yield one


def import_rules(
    form: Annotated[
        str, typer.Argument(help="What the file is: sudoers (or the JSON of cvtsudoers), applocker or appcontrol.")
    ],
    file: Annotated[Path, typer.Argument(help="The file.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print rules from another system, never wider than there.

    What was narrowed or left out is told.
    """
    imported = _imported(form, file)
    load([Source(name="imported.toml", data=imported.toml().encode())])
    for note in imported.notes:
        typer.echo(note.render(), err=True)
    if as_json:
        notes: list[Json] = [note.json() for note in imported.notes]
        print_json({"toml": imported.toml(), "notes": notes})
    else:
        typer.echo(imported.toml(), nl=False)


def _imported(form: str, file: Path) -> Imported:
    try:
        data = read_at_most(file, MAX_IMPORT_MEGABYTES)
    except OSError as exc:
        raise PolicyError(f"{file} can't be read: {exc.strerror}", hint="give the file to translate") from exc
    match form:
        case "sudoers":
            return import_sudoers(data if data.lstrip()[:1] == b"{" else cvtsudoers(file), resolve=os.path.realpath)
        case "applocker":
            return import_applocker(data)
        case "appcontrol":
            return import_appcontrol(data)
        case _:
            raise PolicyError(f"no importer for {form}", hint="there are sudoers, applocker and appcontrol")


def cvtsudoers(file: Path) -> bytes:
    """Let sudo's own tool read a sudoers file.

    Raises:
        PolicyError: The tool is not there, or refuses the file.
    """
    try:
        done = subprocess.run([CVTSUDOERS, "-f", "json", str(file)], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PolicyError(f"{CVTSUDOERS} can't be run", hint="install sudo, or give the JSON of: cvtsudoers -f json") from exc
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0][:400]
        raise PolicyError(f"cvtsudoers refuses the file: {said}", hint="correct that line: visudo -c -f FILE tells of all")
    return done.stdout
