"""The lab's report: for people, for programs, for CI (JUnit XML), and one HTML page that needs nothing else. Pure."""

import html
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from elevate.canonical import Json
from elevate.errors import LabError
from elevate.lab.findings import KINDS, Finding, Severity
from elevate.text import escape as escape_text

READY, FINDINGS, COULD_NOT_RUN = 0, 1, 2
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the lab has to say of one installer.

    Attributes:
        facts: What was read of the file: kind, level, publisher and so on, for showing.
        reason: Why it could not be run; empty where it was.
        accepted: Ids of findings that were made, and that whoever asked accepts: they don't count.
    """

    installer: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...] = field(default=())
    reason: str = ""
    accepted: tuple[str, ...] = ()

    def accepting(self, names: Iterable[str]) -> "Report":
        """Give the report in which findings of these ids do not count.

        Raises:
            LabError: There is no such finding.
        """
        if unknown := sorted(set(names) - KINDS.keys()):
            raise LabError(f"there is no finding {unknown[0]}", hint="docs/installers.md lists them all")
        left = tuple(one for one in self.findings if one.kind.id not in set(names))
        taken = tuple(one.kind.id for one in self.findings if one not in left)
        return replace(self, findings=left, accepted=taken)

    @property
    def exit_status(self) -> int:
        """0 ready, 1 findings, 2 could not run."""
        if self.reason:
            return COULD_NOT_RUN
        return FINDINGS if self.findings else READY

    @property
    def verdict(self) -> str:
        """One line."""
        if self.reason:
            return f"could not run: {self.reason}"
        if not self.findings:
            but = f", but for {', '.join(self.accepted)}" if self.accepted else ""
            return f"ready for Administrator protection{but}"
        errors = sum(one.kind.severity is Severity.ERROR for one in self.findings)
        return f"not ready: {_counted(errors, 'error')}, {_counted(len(self.findings) - errors, 'warning')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def escape(text: str) -> str:
    """Escape what could move a cursor or hide; a backslash of a Windows path stays as it is."""
    return "\\".join(map(escape_text, text.split("\\")))


def as_text(report: Report) -> str:
    """Give the report for a terminal."""
    lines = [f"{escape(report.installer)}: {escape(report.verdict)}"]
    lines += [f"  {name}: {escape(value)}" for name, value in report.facts]
    for one in report.findings:
        lines += ["", f"{one.kind.severity} {one.kind.id}: {one.kind.title}"]
        lines += [f"    {escape(line)}" for line in one.evidence]
        lines += [f"    and {one.more} more"] if one.more else []
        lines += [f"  what to do: {one.kind.advice}"]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> dict[str, Json]:
    """Give the report as values."""
    return {
        "version": VERSION,
        "installer": report.installer,
        "exit_status": report.exit_status,
        "verdict": report.verdict,
        "reason": report.reason,
        "facts": dict(report.facts),
        "accepted": list(report.accepted),
        "findings": [
            {
                "id": one.kind.id,
                "severity": one.kind.severity.value,
                "title": one.kind.title,
                "evidence": list(one.evidence),
                "more": one.more,
                "advice": one.kind.advice,
            }
            for one in report.findings
        ],
    }


def as_junit(report: Report) -> str:
    """Give JUnit XML: one test case for each kind, failed where it was found."""
    found = {one.kind.id: one for one in report.findings}
    cases = [_case(name, found.get(name), report.reason) for name in KINDS]
    errors = len(cases) if report.reason else 0
    head = (
        f'<testsuite name={quoteattr(f"elevate lab: {_xml(report.installer)}")} tests="{len(cases)}" '
        f'failures="{0 if errors else len(found)}" errors="{errors}" skipped="0" time="0">'
    )
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", head, *cases, "</testsuite>", "</testsuites>", ""]
    )


def _case(name: str, found: Finding | None, reason: str) -> str:
    head = f'<testcase classname="elevate.lab" name={quoteattr(name)} time="0"'
    if reason:
        return f"{head}><error message={quoteattr(_xml(reason))}/></testcase>"
    if found is None:
        return f"{head}/>"
    text = "\n".join((*found.evidence, found.kind.advice))
    return f"{head}><failure message={quoteattr(found.kind.title)}>{xml_escape(_xml(text))}</failure></testcase>"


def _xml(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return "\n".join(escape(line) for line in text.split("\n"))


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "h1{font-size:1.4rem}section{border-left:.4rem solid #b58900;padding:.1rem 1rem;margin:1.2rem 0;background:#faf8f2}"
    "section.error{border-color:#b3261e;background:#fdf3f2}.ready{color:#1a6b2f}h2{font-size:1.05rem}code,pre{font-size:.9rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{font-weight:600}dd{margin:0}"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#e8e8e8}section{background:#24221a}"
    "section.error{background:#2b1c1b}.ready{color:#7fd494}}"
)


def as_html(report: Report) -> str:
    """Give one page: no script, nothing from elsewhere."""
    title = html.escape(escape(report.installer))
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(escape(value))}</dd>" for name, value in report.facts)
    ready = ' class="ready"' if report.exit_status == READY else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: Administrator protection</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head>\n<body><main><h1>{title}</h1>\n"
        f"<p{ready}><strong>{html.escape(escape(report.verdict))}</strong></p>\n<dl>{facts}</dl>\n"
        + "\n".join(map(_section, report.findings))
        + "\n</main></body></html>\n"
    )


def _section(one: Finding) -> str:
    evidence = html.escape("\n".join(escape(line) for line in one.evidence))
    more = f"<p>and {one.more} more</p>" if one.more else ""
    return (
        f'<section class="{one.kind.severity}"><h2>{html.escape(one.kind.title)}</h2>'
        f"<p>{one.kind.severity} <code>{one.kind.id}</code></p><pre>{evidence}</pre>{more}"
        f"<p><strong>What to do:</strong> {html.escape(one.kind.advice)}</p></section>"
    )
