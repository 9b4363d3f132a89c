"""The signature of knots from their hyperbolic geometry: what networks use, and a rule by hand.

    python examples/discovery/knots.py [--steps 3000] [--out knots.svg]

1,000 different knots of ``make_knots.py``. Networks say the signature from five invariants, and as well from
three numbers of the cusp, which make the natural slope Re(longitude / meridian). Stairs to integers are what
networks learn, so that slopes of regions are less than those of the trend. The rule is one for small
signatures: on knots of braids of up to 30 letters, in place of 18, it holds on 66 % in place of 73 %.

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


def measure(steps: int = 3000) -> Figures:
    """Networks of five invariants, of three, and of the slope; the rule; checked on all knots."""
    with np.load(FILE) as archive:
        X, y, names = archive["X"], archive["signature"], tuple(archive["names"].tolist())
    table = discovery.Table(X, y, names, target="signature")
    longitude, real, imaginary = X[:, [names.index(n) for n in CUSP]].T
    slope = longitude * real / (real**2 + imaginary**2)
    by_slope = discovery.Table(slope[:, None], y, ["slope"], target="signature")
    study = discovery.hypothesis(table, seeds=3, steps=steps)
    few = discovery.retrain(study, CUSP)
    one = discovery.hypothesis(by_slope, seeds=3, steps=steps)
    used = discovery.attribution(study, "gradient")
    rule = discovery.affine_law({"slope": Fraction(-1, 2)}, target="signature")
    check = discovery.check(rule, by_slope, rounded=True)
    order = np.argsort(-used.mean)[:3]
    trend = discovery.formula(one, max_denominator=2, tolerance=0.2, max_seconds=0)
    estimates = {c.source: c.estimates[:, 0].mean() for c in trend.candidates}
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
        or trend.said,
        "the rule's share of knots": check.holds / check.of,
        "said of the rule": str(check),
    }
    return {"figures": figures, "slope": slope, "y": y, "used": used, "names": names}


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
    left.plot(ends, -ends / 2, color="#d55e00", linewidth=1, label="signature = -slope / 2")
    left.set(xlabel="natural slope", ylabel="signature")
    left.legend()
    shares(right, tuple(n.replace("_", " ") for n in result["names"]), result["used"].shares)
    right.set_title("gradients times spreads")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["steps"])
