"""Measure: ``python -m tests.bench [NAME…] [--json]``.

Every module of this folder that has ``FIGURES`` brings figures, each a function that measures and gives a `Figure`. Without
names all are measured. One line per figure, as soon as it is known: a JSON object, or a row to read.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TypeAlias

import tests.bench
from tests.bench.figure import Figure

Measures: TypeAlias = Mapping[str, Callable[[], Figure]]

EXIT_USAGE = 2
ROW = "{:<24} {:>12} {:<14} {:>12} {:>8}  {}"


def discover(package: ModuleType = tests.bench) -> dict[str, Callable[[], Figure]]:
    """Give every figure of the modules in ``package`` by name, in name order.

    Raises:
        ValueError: Two modules bring the same name.
    """
    found: dict[str, Callable[[], Figure]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        if module == "__main__":
            continue
        brought: Measures = getattr(importlib.import_module(f"{package.__name__}.{module}"), "FIGURES", {})
        if twice := found.keys() & brought.keys():
            raise ValueError(f"{module} brings {min(twice)}, which another module has")
        found.update(brought)
    return dict(sorted(found.items()))


def as_json(figure: Figure) -> str:
    """Give a figure as one line of JSON."""
    members = {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "peer": figure.peer,
        "peer_value": figure.peer_value,
        "ratio": figure.ratio,
    }
    return json.dumps(members)


def as_row(figure: Figure) -> str:
    """Give a figure as one row of the table."""
    peer = "-" if figure.peer_value is None else _number(figure.peer_value)
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
    return ROW.format(figure.name, _number(figure.value), figure.unit, peer, ratio, figure.peer).rstrip()


def main(arguments: Sequence[str], measures: Measures) -> int:
    """Measure what is named and print it; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure, and print a line per figure.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure; all where none is named")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in measures]:
        print(f"bench: error: no figure is named {unknown[0]}", file=sys.stderr)
        print(f"bench: hint: the names are {', '.join(measures)}", file=sys.stderr)
        return EXIT_USAGE
    if not chosen.json:
        print(ROW.format("figure", "value", "unit", "peer value", "ratio", "peer"))
    for name in chosen.names or measures:
        figure = measures[name]()
        print(as_json(figure) if chosen.json else as_row(figure), flush=True)
    return 0


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], discover()))
