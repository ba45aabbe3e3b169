"""The bench's frame: every figure is found, an unknown name is one clear error."""

import importlib
import json
from pathlib import Path

import pytest

from tests.bench.__main__ import EXIT_USAGE, discover, main
from tests.bench.figure import Figure, median

MEASURES = {
    "alone": lambda: Figure(name="alone", value=1234.5, unit="us"),
    "pair": lambda: Figure(name="pair", value=3.0, unit="us", peer="raw", peer_value=2.0),
}


def test_every_figure_is_found() -> None:
    """The modules of the folder bring their figures, in name order."""
    found = discover()
    assert {"token_mint", "token_verify"} <= found.keys()
    assert list(found) == sorted(found)


def test_same_name_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules with one name are a mistake, not a choice."""
    folder = tmp_path / "benched"
    folder.mkdir()
    for module in ("__init__", "first", "second"):
        (folder / f"{module}.py").write_text("FIGURES = {'same': print}\n" if module != "__init__" else "", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="second brings same, which another module has"):
        discover(importlib.import_module("benched"))


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One object per line, with the ratio where there is a peer."""
    assert main(["--json"], MEASURES) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "alone", "value": 1234.5, "unit": "us", "peer": "", "peer_value": None, "ratio": None},
        {"name": "pair", "value": 3.0, "unit": "us", "peer": "raw", "peer_value": 2.0, "ratio": 1.5},
    ]


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is named, a row each below the head."""
    assert main(["pair"], MEASURES) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["figure", "value", "unit", "peer", "value", "ratio", "peer"]
    assert row.split() == ["pair", "3", "us", "2", "1.50", "raw"]
    main(["alone"], MEASURES)
    assert capsys.readouterr().out.splitlines()[1].split() == ["alone", "1,234", "us", "-", "-"]


@pytest.mark.parametrize("arguments", [["nope"], ["pair", "nope", "--json"]])
def test_unknown_name(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name measures nothing and says which there are."""
    assert main(arguments, MEASURES) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, err) == ("", "bench: error: no figure is named nope\nbench: hint: the names are alone, pair\n")


def test_median() -> None:
    """The middle of what was measured."""
    values = iter([5.0, 1.0, 3.0])
    assert median(lambda: next(values), runs=3) == 3.0
