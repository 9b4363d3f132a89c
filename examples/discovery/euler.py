"""Euler's formula, suggested by networks and checked in integers; refuted where surfaces have handles.

    python examples/discovery/euler.py [--steps 12000] [--out euler.svg]

Spheres are made by random moves and counted. Two more columns, triangles and the largest degree, are decoys.
The formula is affine, so that the rank report has it without networks; these show what they would suggest.
A mixture with tori is the control: networks fit it well too, and integers say that the formula is false.
"""

from pathlib import Path

import numpy as np
from shares import Figures, pyplot, shares, show
from surfaces import NAMES, TETRAHEDRON, cone, counted, counts

from polytope import discovery

EULER = (-1, 1, 0, 0, 2)
SEEDS = 5


def measure(steps: int = 12000) -> Figures:
    """Ranks, the law of spheres, and both controls."""
    rng = np.random.default_rng(1)
    spheres = discovery.Table(*counted(rng, [0] * 1500), NAMES, target="F")
    study = discovery.hypothesis(spheres, seeds=SEEDS, steps=steps)
    found = discovery.formula(study, max_seconds=1)
    figures: Figures = {"relation of coned tetrahedra": relation_of_coned(rng)}
    figures |= {"rank of 5": spheres.rank.value, "law by integers alone": str(spheres.rank.law)}
    figures |= {"held-out R^2": float(study.scores.network.mean())}
    used = discovery.attribution(study)
    few = discovery.retrain(study, ["V", "E"])
    figures |= {
        "decoys' share of integrated gradients": float(used.mean[2:].sum()),
        "held-out R^2 of V and E alone": float(few.scores.network.mean()),
    }
    figures |= law_of(found, spheres)
    mixed = mixture(rng, steps, found.law)
    return {"figures": figures | mixed["figures"], "used": used, "mixed": mixed}


def relation_of_coned(rng: np.random.Generator) -> str:
    """The relation of V and E where all faces are triangles."""
    rows = []
    for moves in range(12):
        faces = TETRAHEDRON
        for _ in range(moves):
            faces = cone(faces, rng)
        (V, E, *_), F = counts(faces)
        rows.append([V, E, F])
    table = np.array(rows)
    return str(discovery.Table(table[:, :2], table[:, 2] ** 2, ["V", "E"]).rank.relations[0])


def law_of(found: discovery.Findings, table: discovery.Table) -> Figures:
    """What was found of spheres."""
    if not found.candidates or found.law is None:
        return {"law": found.said}
    best = found.candidates[0]
    check = discovery.check(found.law, table)
    return {
        "law": str(best.law),
        "seeds that round to it": best.agreeing,
        "least squares, off the law": float(np.abs(best.estimates.mean(axis=0) - EULER).max()),
        "spread over seeds, at most": float(best.spread.max()),
        "share of rows in whose region it is the map": [round(float(s), 2) for s in best.shares],
        "sup on visited regions (exact)": [round(n.value, 1) for n in best.sup_visited],
        "sup on the box (bounds)": [f"{n.lower:.0f} to {n.upper:.0f}" for n in best.sup_domain],
        "rows on which it fails": len(check.counterexamples),
        "check": str(check),
    }


def mixture(rng: np.random.Generator, steps: int, law: discovery.Law | None) -> Figures:
    """Spheres and tori together, without their genus and with it."""
    genus = rng.integers(0, 2, 1000)
    X, F = counted(rng, genus.tolist())
    table = discovery.Table(X, F, NAMES, target="F")
    blind = discovery.hypothesis(table, seeds=3, steps=steps // 4)
    suggested = discovery.formula(blind, tolerance=0.5, max_seconds=0)
    asked = law or discovery.affine_law({"V": -1, "E": 1}, 2, target="F")
    check = discovery.check(asked, table)
    named = discovery.Table(np.column_stack([X[:, :2], genus]), F, ["V", "E", "genus"], target="F")
    seeing = discovery.hypothesis(named, seeds=3, steps=steps // 2)
    found = discovery.formula(seeing, max_seconds=0)
    checks = [discovery.check(f.law, t) for f, t in ((suggested, table), (found, named)) if f.law is not None]
    figures = {
        "with tori: law by integers alone": str(table.rank.law),
        "with tori: held-out R^2": float(blind.scores.network.mean()),
        "with tori: suggested": suggested.said if suggested.law is None else str(checks[0]),
        "with tori: counterexamples to Euler's formula": len(check.counterexamples),
        "with tori: of these, of genus 0": int((genus[check.counterexamples] == 0).sum()),
        "with tori: said": str(check),
        "with tori and genus: law": found.said if found.law is None else str(found.law),
        "with tori and genus: check": str(checks[-1]) if found.law is not None else "",
    }
    return {"figures": figures, "X": X, "F": F, "genus": genus}


def plot(result: Figures, path: Path) -> None:
    """What the networks use; and V - E + F of the mixture."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    shares(left, NAMES, result["used"].shares)
    left.set_title("spheres: what five networks use")
    mixed = result["mixed"]
    for genus, colour in ((0, "#0072b2"), (1, "#d55e00")):
        own = mixed["genus"] == genus
        V, E = mixed["X"][own, 0], mixed["X"][own, 1]
        right.plot(V, V - E + mixed["F"][own], ".", color=colour, label=f"genus {genus}", markersize=3)
    right.set(xlabel="V", ylabel="V - E + F", ylim=(-1, 3), yticks=range(-1, 4), title="mixture with tori")
    right.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["steps"])
