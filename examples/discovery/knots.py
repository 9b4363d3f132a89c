"""The signature of knots from their hyperbolic geometry: what networks use, and a rule by hand.

    python examples/discovery/knots.py [--steps 3000] [--archive knots.npz] [--out knots.svg]

1,000 different knots of ``make_knots.py``, closures of random braids of 6 to 18 letters. Networks say the
signature from five invariants, and as well from three numbers of the cusp, which make the natural slope
Re(longitude / meridian). Stairs to integers are what networks learn, so that slopes of regions are less than
those of the trend.

How often the rule -slope / 2 holds says how the knots were drawn: nearly always where the signature is 0,
never where it is 12. Of this archive it holds on 73 %, of one of braids of up to 30 letters on 64 %; the
trend of the networks' outputs, rounded to -7/16, holds on 94 % and 92 %. What else the longer braids change
is told in docs/companions/discovery.md.

References: Davies et al. (2021), "Advancing mathematics by guiding human intuition with AI",
https://doi.org/10.1038/s41586-021-04086-x
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
from shares import Figures, pyplot, shares, show

from polytope import discovery

FILE = Path(__file__).parent / "knots.npz"
CUSP = ("longitude", "meridian_real", "meridian_imaginary")


def measure(steps: int = 3000, archive: Path | None = None) -> Figures:
    """Networks of five invariants, of three, and of the slope; the rule; checked on all knots."""
    with np.load(archive or FILE) as given:
        X, y, names = given["X"], given["signature"], tuple(given["names"].tolist())
    table = discovery.Table(X, y, names, target="signature")
    longitude, real, imaginary = X[:, [names.index(n) for n in CUSP]].T
    slope = longitude * real / (real**2 + imaginary**2)
    by_slope = discovery.Table(slope[:, None], y, ["slope"], target="signature")
    study = discovery.hypothesis(table, seeds=3, steps=steps)
    few = discovery.retrain(study, CUSP)
    one = discovery.hypothesis(by_slope, seeds=3, steps=steps)
    used = discovery.attribution(study, "gradient")
    half, trend = (
        discovery.check(discovery.affine_law({"slope": factor}, target="signature"), by_slope, rounded=True)
        for factor in (Fraction(-1, 2), Fraction(-7, 16))
    )
    order = np.argsort(-used.mean)[:3]
    found = discovery.formula(one, max_denominator=2, tolerance=0.2, max_seconds=0)
    estimates = {c.source: c.estimates[:, 0].mean() for c in found.candidates}
    figures: Figures = {
        "different knots": len(y),
        "correlation of signature and slope": float(np.corrcoef(slope, y)[0, 1]),
        "held-out signatures said by five invariants": accuracy(study),
        "by three of the cusp": accuracy(few),
        "by the slope alone": accuracy(one),
        "points that the three lose": 100 * (accuracy(study) - accuracy(few)),
        "of the three largest gradients, of the cusp": len({names[k] for k in order} & set(CUSP)),
        "least squares of signature on slope": float(np.polyfit(slope, y, 1)[0]),
        "what networks of the slope suggest": "; ".join(f"{s}: {v:.2f} slope" for s, v in estimates.items())
        or found.said,
        "the rule's share of knots": half.holds / half.of,
        "the rule's share of knots by size of signature": by_size(y, half.counterexamples),
        "share of knots with -7/16 in place of -1/2": trend.holds / trend.of,
        "said of the rule": str(half),
    }
    return {"figures": figures, "slope": slope, "y": y, "used": used, "names": names}


def by_size(y: np.ndarray, wrong: np.ndarray) -> str:
    """The share of knots that are not wrong, for each size of the signature."""
    right = np.ones(len(y), dtype=bool)
    right[wrong] = False
    sizes = np.unique(np.abs(y)).tolist()
    return ", ".join(f"{size}: {right[np.abs(y) == size].mean():.2f}" for size in sizes)


def accuracy(study: discovery.Study) -> float:
    """The share of held-out signatures that rounded outputs say, mean over seeds."""
    assert study.scores.rounded is not None, "signatures are integers"
    return float(study.scores.rounded.mean())


def plot(result: Figures, path: Path) -> None:
    """Signature against slope with the rule, and what networks of five invariants use."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    slope, y = result["slope"], result["y"]
    left.plot(slope, y, ".", color="#0072b2", markersize=4)
    ends = np.array([slope.min(), slope.max()])
    for factor, colour in (("1/2", "#d55e00"), ("7/16", "#009e73")):
        left.plot(ends, -ends * float(Fraction(factor)), color=colour, linewidth=1, label=f"-{factor} slope")
    left.set(xlabel="natural slope", ylabel="signature", yticks=range(-12, 13, 4))
    left.legend()
    shares(right, tuple(n.replace("_", " ") for n in result["names"]), result["used"].shares)
    right.set_title("gradients times spreads")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["steps", "archive"])
