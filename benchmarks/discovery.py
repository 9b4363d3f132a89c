"""Do networks suggest the laws that were hidden in data, and do checks refute what is false?

``python benchmarks/discovery.py [NAME ...] [--write FOLDER]`` runs the scripts of ``examples/discovery``,
prints each figure beside its bar and keeps them. With some names only, ``--write`` leaves the other tables as
they were. Exit code 1 says that a bar was missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness import Bar, beside_bars, example, experiments, parser

sys.path.append(str(Path(__file__).parents[1] / "examples" / "discovery"))

BARS: dict[str, dict[str, Bar]] = {
    "euler": {
        "relation of coned tetrahedra": ("==", "3 V - E - 6 = 0"),
        "rank of 5": ("==", 5),
        "law by integers alone": ("==", "F = -V + E + 2"),
        "decoys' share of integrated gradients": ("<=", 0.01),
        "held-out R^2 of V and E alone": (">=", 0.9999),
        "law": ("==", "F = -V + E + 2"),
        "seeds that round to it": ("==", 5),
        "least squares, off the law": ("<=", 0.01),
        "rows on which it fails": ("==", 0),
        "with tori: law by integers alone": ("==", "None"),
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
        "the rule's share of knots": (">=", 0.7),  # of this draw: 0.64 of longer braids, as the page says
    },
    "random_target": {"candidates": ("==", 0)},
}


PICTURES = {name: f"discovery_{name}.png" for name in BARS}


def run(name: str, folder: Path | None) -> dict[str, Any]:
    """One script: its figures beside their bars, and its picture."""
    picture = None if folder is None else folder / PICTURES[name]
    return beside_bars(lambda: example(name, picture), BARS[name])


def main() -> None:
    """Run what is asked for."""
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BARS], default=[])
    given = options.parse_args()
    experiments(__file__, __doc__, given, lambda name: run(name, given.write), list(BARS), PICTURES)


if __name__ == "__main__":
    main()
