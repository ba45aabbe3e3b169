"""``elevate lab``: what Administrator protection breaks in a Windows installer, found on Linux.

Needs the extra ``lab`` and, for ``check``, Wine. Exit status of ``check``: 0 ready, 1 findings, 2 could not run.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from elevate import wire
from elevate.client import tell
from elevate.errors import ElevateError, LabError
from elevate.store.bounded import read_at_most
from elevate.text import escape

if TYPE_CHECKING:
    from elevate.lab.report import Report

COULD_NOT_RUN = 2
MAX_ROOTS_MEGABYTES = 16

app = typer.Typer(help="Test a Windows installer for Administrator protection.", no_args_is_help=True)


class Form(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


Installer = Annotated[Path, typer.Argument(help="The installer: SETUP.exe or SETUP.msi.", show_default=False)]
Roots = Annotated[
    list[Path] | None,
    typer.Option("--root", help="File with certificates (PEM) that may vouch for a publisher.", show_default=False),
]


@app.command()
def check(  # noqa: PLR0913 - options of a command line
    installer: Installer,
    *,
    form: Annotated[Form, typer.Option("--format", help="How the report is written.")] = Form.TEXT,
    output: Annotated[Path | None, typer.Option("-o", help="File for the report.", show_default=False)] = None,
    silent: Annotated[
        str | None, typer.Option(help="Words that make it ask nothing, as '/S'; by default its maker's.", show_default=False)
    ] = None,
    drive: Annotated[
        list[str] | None, typer.Option(help="A mapped drive of the person's: H=FOLDER.", show_default=False)
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="A variable of the person's session: NAME=VALUE.", show_default=False)
    ] = None,
    root: Roots = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="Id of a finding that does not count, as 'unsigned'.", show_default=False)
    ] = None,
    seconds: Annotated[int, typer.Option(help="Time for each run.", min=1, max=3600)] = 120,
    cache: Annotated[Path | None, typer.Option(help="Folder of the Wine template, some 700 MB.", show_default=False)] = None,
) -> None:
    """Run an installer, and say what breaks.

    Without Administrator protection first, then with it.
    Wine is no sandbox: check what you do not trust on a machine that you can throw away.
    """
    from elevate.broker.system import SystemClock
    from elevate.lab import check as lab

    try:
        wishes = lab.Wishes(
            silent=tuple(silent.split()) if silent is not None else None,
            drives={letter: _folder(path) for letter, path in _pairs(drive, "drive")},
            environment=dict(_pairs(env, "env")),
            roots=_roots(root),
            seconds=seconds,
        )
        folder = cache or Path(wire.home(os.getuid())) / ".cache/elevate/lab"
        if not (folder / "prefix").exists() and sys.stderr.isatty():
            typer.echo("elevate: note: Wine is set up first, once; that takes half a minute", err=True)
        report = lab.check(installer.resolve(), wishes, cache=folder, now=SystemClock().read().unix).accepting(accept or ())
    except ElevateError as error:
        tell(error)
        raise typer.Exit(COULD_NOT_RUN) from error
    text = _written(report, form)
    if output is not None:
        output.write_text(text, "utf-8")
    else:
        typer.echo(text, nl=False)
    raise typer.Exit(report.exit_status)


@app.command()
def inspect(
    installer: Installer,
    *,
    root: Roots = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a Windows program or package tells of itself.

    It is not run.
    """
    from elevate.broker.system import SystemClock
    from elevate.lab import check as lab

    found = lab.look(installer, _roots(root), now=SystemClock().read().unix)
    if json:
        typer.echo(orjson.dumps(found.json()))
        return
    judged = found.judged
    told = f"yes, by its {judged.reason}" if judged.installer else "no"
    access = [("uiAccess", "yes" if found.traits.ui_access else "no")] if found.traits.kind == "pe" else []
    rows = (*lab.describe(found), ("installer", told), *access)
    for name, value in rows:
        typer.echo(f"{name}: {escape(value)}")


def _written(report: "Report", form: Form) -> str:
    from elevate.lab.report import as_html, as_json, as_junit, as_text

    match form:
        case Form.TEXT:
            return as_text(report)
        case Form.JSON:
            return orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2).decode() + "\n"
        case Form.JUNIT:
            return as_junit(report)
        case Form.HTML:
            return as_html(report)


def _pairs(given: list[str] | None, what: str) -> list[tuple[str, str]]:
    pairs = [one.partition("=") for one in given or []]
    for name, equals, value in pairs:
        if not (name and equals and value) or (what == "drive" and not (len(name) == 1 and name.isascii() and name.isalpha())):
            raise LabError(
                f"--{what} can't be {escape(name + equals + value)}", hint="write H=FOLDER for a drive, NAME=VALUE for env"
            )
    return [(name, value) for name, _, value in pairs]


def _folder(path: str) -> Path:
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise LabError(f"the folder of a drive is not there: {escape(path)}", hint="write H=FOLDER")
    return folder


def _roots(files: list[Path] | None) -> list[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = [
            one for file in files or [] for one in x509.load_pem_x509_certificates(read_at_most(file, MAX_ROOTS_MEGABYTES))
        ]
    except (OSError, ValueError) as exc:
        raise LabError("a file of roots can't be read", hint="give a file of PEM certificates") from exc
    return [one.public_bytes(Encoding.DER) for one in found]
