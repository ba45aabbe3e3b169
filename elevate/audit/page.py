"""One page that shows a stretch of the log and needs nothing else: no script, no font, no picture, no connection.

SECURITY: attacks.md row 37. Everything that came from outside is escaped twice over: control characters by `elevate.text`, and
markup here. The page forbids itself scripts and connections.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape as markup

from elevate.audit.chain import Outcome, Verdict
from elevate.audit.entry import Entry
from elevate.audit.report import Report
from elevate.audit.view import line
from elevate.text import escape

MAX_ROWS = 500
KEPT = 4096
"""So many of the last entries are needed to show the last rows, request by request."""
MAX_ANOMALIES = 100
HOURS = 24
TOP = 12

_STYLE = """
:root{color-scheme:light
dark;--ink:#1c2330;--soft:#5c6675;--line:#d9dee6;--paper:#fff;--back:#f4f6f9;--good:#1a7f4b;--bad:#b3261e;
--part:#9a6700;--heat:29,99,184}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b5;--line:#343c49;--paper:#1b212b;--back:#12161d;--good:#4fc58a;
--bad:#ff8a80;--part:#e3b341;--heat:88,160,255}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1100px;margin:0 auto;padding:24px 16px 64px}h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:0 0 12px}
section{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:16px;margin:16px 0;overflow-x:auto}
.proof{border-left:6px solid var(--part)}
.proof.verified{border-left-color:var(--good)}
.proof.tampered{border-left-color:var(--bad)}
.soft{color:var(--soft)}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td,th{padding:4px 8px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);font-weight:400}
th{color:var(--soft);white-space:nowrap}
.heat td{padding:0;height:26px;text-align:center;vertical-align:middle;font-size:12px;border:1px solid var(--paper)}
.heat th{font-size:12px;text-align:right;border:0}
.heat thead th{text-align:center;padding:2px}
.bars{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:24px}
.bar{display:flex;gap:8px;align-items:center;margin:4px 0}
.bar span:first-child{width:150px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bar i{display:block;height:12px;border-radius:3px;background:rgb(var(--heat));min-width:2px}
.life td:first-child{white-space:nowrap}
.life .dot{color:rgb(var(--heat))}
.life .refused .dot{color:var(--bad)}
.life tr.first td{border-top:2px solid var(--line)}
"""


def page(entries: Iterable[tuple[Entry, str]], found: Report, verdict: Verdict, key: str) -> str:
    """Give the page.

    Args:
        entries: The stretch, oldest first, each with its user; of a long one the last `KEPT` are enough.
        found: The report over it.
        verdict: What verification found of the whole log.
        key: The log's first key.
    """
    body = _proof(verdict, key) + _outcomes(found) + _heat(found.heat) + _anomalies(found) + _timeline(entries, found.entries)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>elevate: the log</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
    )
    intro = f'<h1>The log of elevate</h1><p class="soft">{found.entries} entries. Hours are {_show(found.zone)}.</p>'
    return f"{head}<body><main>{intro}{body}</main></body></html>\n"


def _proof(verdict: Verdict, key: str) -> str:
    words = {Outcome.VERIFIED: "Verified", Outcome.TAMPERED: "Tampered with", Outcome.INCOMPLETE: "Incomplete"}
    root = f"<p>Root over {verdict.size} entries: <code>{_show(verdict.root)}</code></p>" if verdict.root else ""
    return (
        f'<section class="proof {verdict.outcome.value}"><h2>{words[verdict.outcome]}</h2><p>{_show(verdict.message)}</p>{root}'
        f'<p class="soft">First key: <code>{_show(key)}</code></p></section>'
    )


def _outcomes(found: Report) -> str:
    parts = (("Outcomes", found.outcomes), ("Days", found.days), ("Users", found.users), ("Rules", found.rules))
    return f'<section><div class="bars">{"".join(_bars(title, counted) for title, counted in parts)}</div></section>'


def _bars(title: str, counted: "Counter[str]") -> str:
    most = max(counted.values(), default=1)
    chosen = sorted(counted.items())[-TOP:] if title == "Days" else counted.most_common(TOP)
    rows = "".join(
        f'<div class="bar"><span title="{_show(name)}">{_show(name) or "-"}</span>'
        f'<i style="width:{count * 120 // most}px"></i><span>{count}</span></div>'
        for name, count in chosen
    )
    return f"<div><h2>{title}</h2>{rows or '<p class=soft>None.</p>'}</div>"


def _heat(heat: Mapping[str, "Counter[int]"]) -> str:
    most = max((count for hours in heat.values() for count in hours.values()), default=1)
    head = "".join(f"<th>{hour:02}</th>" for hour in range(HOURS))
    rows = "".join(
        f"<tr><th>{_show(user) or '-'}</th>{''.join(_cell(hours.get(hour, 0), most) for hour in range(HOURS))}</tr>"
        for user, hours in sorted(heat.items())
    )
    return (
        '<section><h2>Users by hour</h2><table class="heat">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _cell(count: int, most: int) -> str:
    if not count:
        return "<td></td>"
    return f'<td style="background:rgba(var(--heat),{0.12 + 0.48 * count / most:.2f})">{count}</td>'


def _anomalies(found: Report) -> str:
    rows = "".join(
        f"<tr><th>{_show(one.at)}</th><td>{_show(one.kind)}</td><td>{_show(one.user)}</td><td>{_show(one.text)}</td>"
        f"<td>{one.position}</td></tr>"
        for one in found.anomalies[-MAX_ANOMALIES:]
    )
    left = len(found.anomalies) - MAX_ANOMALIES
    note = f'<p class="soft">The last {MAX_ANOMALIES}; {left} earlier ones are left out.</p>' if left > 0 else ""
    return f"<section><h2>To look at ({len(found.anomalies)})</h2>{note}<table>{rows}</table></section>"


def _timeline(entries: Iterable[tuple[Entry, str]], count: int) -> str:
    shown = list(_lives(entries))[-MAX_ROWS:]
    left = count - len(shown)
    note = f'<p class="soft">The last {len(shown)}; {left} earlier ones are left out.</p>' if left > 0 else ""
    return f'<section><h2>Timeline</h2>{note}<table class="life">{"".join(shown)}</table></section>'


def _lives(entries: Iterable[tuple[Entry, str]]) -> Iterable[str]:
    """Give the rows request by request, in the order in which they began."""
    order: dict[str, list[tuple[Entry, str]]] = {}
    for entry, user in entries:
        order.setdefault(entry.request or f"-{entry.seq}", []).append((entry, user))
    for life in order.values():
        for number, (entry, user) in enumerate(life):
            yield _row(entry, user, first=number == 0)


def _row(entry: Entry, user: str, *, first: bool) -> str:
    shown = line(entry)
    refused = entry.event in {"denied", "declined", "timed-out", "locked-out", "cancelled", "failed", "second-use"}
    marks = " ".join(word for word, on in (("first", first), ("refused", refused)) if on)
    # `line` has escaped its texts already.
    return (
        f'<tr class="{marks}"><td class="soft">{markup(shown.at)}</td><td><span class="dot">●</span> {markup(shown.event)}</td>'
        f"<td>{_show(user)}</td><td>{markup(shown.what)}</td><td><code>{markup(shown.request[:8])}</code></td><td>{shown.seq}</td></tr>"
    )


def _show(text: str) -> str:
    return markup(escape(text))
