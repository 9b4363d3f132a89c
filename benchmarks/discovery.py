"""Do networks suggest the laws that were hidden in data, and do checks refute what is false?

``python benchmarks/discovery.py [NAME ...] [--write FOLDER]`` runs the scripts of ``examples/discovery``,
prints each figure beside its bar and keeps them. With some names only, ``--write`` leaves the other tables as
they were. Exit code 1 says that a bar was missed.
"""

from __future__ import annotations

import importlib
import json
import operator
import sys
import time
from pathlib import Path
from typing import Any

from harness import environment, in_words, parser, publish, table, title

sys.path.append(str(Path(__file__).parents[1] / "examples" / "discovery"))

COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
BARS: dict[str, dict[str, tuple[str, Any]]] = {
    "euler": {
        "relation of coned tetrahedra": ("==", "3 V - E - 6 = 0"),
        "rank of 5": ("==", 5),
        "decoys' share of integrated gradients": ("<=", 0.01),
        "held-out R^2 of V and E alone": (">=", 0.9999),
        "law": ("==", "F = -V + E + 2"),
        "seeds that round to it": ("==", 5),
        "least squares, off the law": ("<=", 0.01),
        "rows on which it fails": ("==", 0),
        "with tori: counterexamples to Euler's formula": (">=", 1),
        "with tori: of these, of genus 0": ("==", 0),
        "with tori and genus: law": ("==", "F = -V + E - 2 genus + 2"),
    },
    "piecewise_law": {
        "pieces found of 4": ("==", 4),
        "other pieces above 2 %": ("==", 0),
        "seeds that find all 4": ("==", 3),
        "rows on which it fails": ("==", 0),
    },
    "knots": {
        "correlation of signature and slope": ("<=", -0.95),
        "points that the three lose": ("<=", 3.0),
        "of the three largest gradients, of the cusp": ("==", 3),
        "the rule's share of knots": (">=", 0.7),
    },
    "random_target": {"candidates": ("==", 0)},
}


def run(name: str, folder: Path | None) -> dict[str, Any]:
    """One script: its figures beside their bars, and what it took; a figure that is missing is missed."""
    clock, processor = time.perf_counter(), time.process_time()
    script = importlib.import_module(name)
    result = script.measure()
    if folder is not None:
        script.plot(result, folder / f"discovery_{name}.png")
    figures: dict[str, Any] = dict.fromkeys(BARS[name], "missing") | result["figures"]
    rows = []
    for figure, value in figures.items():
        word, bar = BARS[name].get(figure, ("", ""))
        met = "" if not word else "yes" if value != "missing" and COMPARE[word](value, bar) else "**no**"
        rows.append({"figure": figure, "value": value, "bar": f"{word} {bar}".strip(), "met": met})
    used = {"cpu": time.process_time() - processor, "wall": time.perf_counter() - clock}
    return {"rows": rows, "seconds": used}


def page(record: dict[str, Any]) -> list[str]:
    """The tables of all scripts that were run."""
    parts = [title(__doc__), record["machine"]]
    for name, found in record["experiments"].items():
        said = f"{found['seconds']['cpu']:.0f} CPU s, {found['seconds']['wall']:.0f} wall s."
        rows = [[row["figure"], row["value"], row["bar"], row["met"]] for row in found["rows"]]
        parts += [f"## {name}", said, table(["figure", "value", "bar", "met"], rows)]
        parts.append(f"![{name}](discovery_{name}.png)")
    return parts


def main() -> None:
    """Run what is asked for."""
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME")
    given = options.parse_args()
    record: dict[str, Any] = {"experiments": {}}
    kept = None if given.write is None else given.write / "discovery.json"
    if kept is not None and kept.exists():
        record = json.loads(kept.read_text())
    for name in given.names or BARS:
        record["experiments"][name] = run(name, given.write)
        sys.stderr.write(f"{name} done\n")
    record["machine"] = in_words(environment("torch", "scipy"), given.note)
    publish(__file__, page(record), record, given.write)
    missed = [r for found in record["experiments"].values() for r in found["rows"] if r["met"] == "**no**"]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
