"""Go checks our tiles, jq reads our JSON lines, rsyslog takes our syslog lines: Debian's own programs, where they are there."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit.context import Context
from elevate.audit.export import WRITERS
from elevate.cli.audit import app
from elevate.store import SqliteStore
from elevate.store.publishing import publish, tile_path
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import USERS, make_log
from tests.ledgers import draft

SIZE = 1900
GO_PATH = Path("/usr/share/gocode")
CHECK = Path(__file__).with_name("check_tiles.go")
SECONDS = 20

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    store = make_log(folder / "ledger.sqlite", 2000)
    assert store.head()[0] == SIZE
    store.close()
    return folder / "ledger.sqlite"


def exported(path: Path, form: str) -> str:
    with LedgerReader(path) as reader:
        context = Context(reader.opened_of)
        return "".join(WRITERS[form](entry, context.feed(entry), "f" * 64) for entry in reader.opened())


def go(folder: Path, key: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "GO111MODULE": "off",
        "GOPATH": str(GO_PATH),
        "GOCACHE": str(cache),
        "PATH": os.environ["PATH"],
        "HOME": str(cache),
    }
    command = ["go", "run", str(CHECK), str(folder), key]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(
    not shutil.which("go") or not (GO_PATH / "src/golang.org/x/mod/sumdb").exists(), reason="Go is not installed"
)
def test_go_checks_our_tiles(path: Path, tmp_path: Path) -> None:
    """Note, tiles, every inclusion and some consistency proofs; one changed byte and it refuses."""
    folder = tmp_path / "tiles"
    with LedgerReader(path) as reader:
        publish(reader, folder, reader.note())
        key = reader.meta("first_key")
    good = go(folder, key, tmp_path / "cache")
    assert (good.returncode, good.stdout) == (0, f"{SIZE} entries of {key.partition('+')[0]}\n"), good.stderr
    bundle = folder / "tile/entries/003"
    bundle.write_bytes(bundle.read_bytes().replace(b'"v":1', b'"v":2', 1))
    assert go(folder, key, tmp_path / "cache").returncode != 0


def test_publishing_again_writes_what_is_new(path: Path, tmp_path: Path) -> None:
    """Full tiles are left alone; a growing log adds to them."""
    copy = tmp_path / "copy"
    shutil.copytree(path.parent, copy)
    folder = tmp_path / "tiles"
    with LedgerReader(copy / path.name) as reader:
        first = publish(reader, folder, reader.note())
        assert publish(reader, folder, reader.note()) == 1
    store = SqliteStore(copy / path.name, entropy=SeededEntropy(5))
    store.append(draft("more"))
    store.close()
    with LedgerReader(copy / path.name) as reader:
        assert 1 < publish(reader, folder, reader.note()) < first


@pytest.mark.parametrize(
    ("number", "width", "expected"),
    [
        (0, 256, "tile/0/000"),
        (0, 9, "tile/0/000.p/9"),
        (1_234_067, 256, "tile/0/x001/x234/067"),
        (1000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(number: int, width: int, expected: str) -> None:
    """Three digits to a group, all but the last with an x."""
    assert tile_path("0", number, width) == expected


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
@pytest.mark.parametrize("form", ["jsonl", "ocsf"])
def test_jq_reads_our_json(path: Path, form: str) -> None:
    """Every line is one value."""
    query = '[.. | select(type == "object" and .event? == "denied")] | length' if form == "jsonl" else ".status_id"
    done = subprocess.run(["jq", "-c", query], input=exported(path, form), capture_output=True, text=True, check=False)  # noqa: S607
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == SIZE


@pytest.mark.skipif(not shutil.which("rsyslogd"), reason="rsyslog is not installed")
def test_rsyslog_takes_our_lines(path: Path, tmp_path: Path) -> None:
    """With the structured data and the time that we gave."""
    source, target, config = tmp_path / "in.log", tmp_path / "out.log", tmp_path / "conf"
    config.write_text(
        f"""
module(load="imfile" mode="polling" pollingInterval="1")
module(load="pmrfc3164")
template(name="t" type="string" string="%timestamp:::date-rfc3339%|%app-name%|%msgid%|%structured-data%\\n")
ruleset(name="r" parser="rsyslog.rfc5424") {{ action(type="omfile" file="{target}" template="t") stop }}
input(type="imfile" file="{source}" tag="x" ruleset="r" reopenOnTruncate="on" needParse="on")
"""
    )
    source.write_text(exported(path, "rfc5424"))
    command = ["rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "pid")]
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as daemon:
        try:
            lines = _lines(target)
        finally:
            daemon.terminate()
    assert len(lines) == SIZE
    stamp, name, event, data = lines[0].split("|", 3)
    assert (stamp[:19], name, event) == ("2026-09-21T14:13:20", "elevate", "requested")
    assert data.startswith('[elevate@32473 seq="0"')


def _lines(path: Path) -> list[str]:
    """Wait for another program's file to be complete."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text()).count("\n") >= SIZE:
            return text.splitlines()
        time.sleep(0.05)  # another process decides when
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_chromium_shows_our_page(path: Path, tmp_path: Path) -> None:
    """All five parts, a heat map of users by hours, and nothing that the page forbids itself."""
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["html", str(page), "since:2026-01-01", "--state", str(path.parent)])
    assert (result.exit_code, page.stat().st_mode & 0o777) == (0, 0o600)
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert [shown.count(f"<h2>{title}</h2>") for title in ("Incomplete", "Outcomes", "Users by hour", "Timeline")] == [1] * 4
    heat = shown.partition('<table class="heat">')[2].partition("</table>")[0]
    assert (heat.count("<tr>"), heat.count("<td")) == (1 + len(USERS), len(USERS) * 24)
    assert "Content-Security-Policy" in shown
    assert "Refused to" not in done.stderr
