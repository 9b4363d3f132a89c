"""The control: a target that has nothing to do with the columns gives no candidate, and the page says so.

python examples/discovery/random_target.py [--steps 3000] [--out random_target.svg]
"""

from pathlib import Path

import numpy as np
from shares import Figures, pyplot, show
from surfaces import NAMES, counted

from polytope import discovery


def measure(steps: int = 3000) -> Figures:
    """Counts of spheres, with a shuffled number of faces as the target."""
    rng = np.random.default_rng(3)
    X, F = counted(rng, [0] * 600)
    study = discovery.hypothesis(
        discovery.Table(X, rng.permutation(F), NAMES, target="F"), seeds=5, steps=steps
    )
    found = [discovery.formula(study), discovery.pieces(study)]
    figures = {
        "held-out R^2 of the networks": float(study.scores.network.mean()),
        "candidates": sum(len(f.candidates) for f in found),
        "said": found[0].said,
    }
    return {"figures": figures, "study": study}


def plot(result: Figures, path: Path) -> None:
    """Outputs on held-out rows against the target."""
    plt = pyplot()
    study = result["study"]
    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    for seed, (network, rows) in enumerate(zip(study.networks, study.held_out, strict=True)):
        axes.plot(
            study.table.y[rows], network(study.table.X[rows])[:, 0], ".", markersize=3, label=f"seed {seed}"
        )
    axes.set(xlabel="shuffled F, held-out rows", ylabel="network")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["steps"])
