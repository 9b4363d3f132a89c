"""A law in cases, read off the regions of networks: y = max(2a - b, a + 3b) - |c|, with a decoy d.

    python examples/discovery/piecewise_law.py [--steps 8000] [--out piecewise_law.svg]

One affine fit misses it, and shares of columns show no law; the regions that data visit round to its four
pieces, which together are checked in integers, on rows that no network saw too.
"""

from pathlib import Path

import numpy as np
from shares import Figures, pyplot, show

from polytope import discovery

NAMES = ("a", "b", "c", "d")
PIECES = {"y = 2 a - b - c", "y = 2 a - b + c", "y = a + 3 b - c", "y = a + 3 b + c"}


def planted(rows: int, seed: int) -> discovery.Table:
    """Integers between -20 and 20."""
    X = np.random.default_rng(seed).integers(-20, 21, (rows, 4))
    a, b, c, _ = X.T
    return discovery.Table(X, np.maximum(2 * a - b, a + 3 * b) - np.abs(c), NAMES)


def measure(steps: int = 8000) -> Figures:
    """The pieces that three seeds suggest, and the law that they make."""
    table, fresh = planted(1500, 0), planted(5000, 1)
    study = discovery.hypothesis(table, seeds=3, steps=steps)
    found = discovery.pieces(study)
    pieces = {str(c.law): c for c in found.candidates}
    right = [pieces[p] for p in PIECES if p in pieces]
    used = discovery.attribution(study, "gradient")
    figures: Figures = {
        "held-out R^2 of the networks": float(study.scores.network.mean()),
        "held-out R^2 of a linear fit": float(study.scores.linear.mean()),
        "shares by gradients": [round(float(v), 2) for v in used.mean],
        "affine law": discovery.formula(study, max_seconds=0).said,
        "pieces found of 4": len(right),
        "other pieces above 2 %": len(pieces) - len(right),
        "seeds that find all 4": min((c.agreeing for c in right), default=0) if len(right) == 4 else 0,
        "share of rows in their regions": [
            round(float(v), 2) for v in np.sum([c.shares for c in right], axis=0)
        ],
        "sup on their regions (exact)": [
            max((round(n.value, 2) for n in ns if n.label == "exact"), default="no region")
            for ns in zip(*(c.sup_visited for c in right), strict=True)
        ],
        "sup on the box (bounds)": [f"{n.lower:.1f} to {n.upper:.1f}" for n in found.sup_domain],
    }
    if found.law is not None:
        checks = [discovery.check(found.law, t) for t in (table, fresh)]
        figures |= {
            "law": str(found.law),
            "rows on which it fails": sum(len(c.counterexamples) for c in checks),
        }
        figures["check on 5,000 fresh rows"] = str(checks[1])
    return {"figures": figures, "found": found}


def plot(result: Figures, path: Path) -> None:
    """The shares of the pieces, for each seed."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6.4, 2.8))
    candidates = result["found"].candidates
    seeds = len(candidates[0].shares) if candidates else 0
    for k in range(seeds):
        at = np.arange(len(candidates)) + (k - (seeds - 1) / 2) * 0.25
        axes.barh(at, [c.shares[k] for c in candidates], 0.25, label=f"seed {k}")
    axes.set_yticks(range(len(candidates)), [str(c.law) for c in candidates])
    axes.invert_yaxis()
    axes.set_xlabel("share of the rows whose region rounds to the piece")
    axes.set_xlim(0, 1.3 * max(c.shares.max() for c in candidates) if candidates else 1)
    axes.legend(loc="center right")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["steps"])
