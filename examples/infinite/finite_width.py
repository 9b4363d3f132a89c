"""How far the kernels of one network are from those of infinite width, against its width.

    python examples/infinite/finite_width.py [--draws 40] [--out finite_width.svg]

The error falls as the inverse square root of the width: a slope of -0.5 in the picture. All figures are
estimates, by draws of the weights.
"""

from pathlib import Path

import numpy as np
import torch
from dense import Figures, dense, pyplot, show

from polytope import infinite

WIDTHS = (32, 64, 128, 256, 512)
STD, BIAS = 2**0.5, 0.1


def measure(draws: int = 40) -> Figures:
    """Root mean squares of the errors over draws and pairs of four points."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    read = infinite.architecture(dense(6, 8, 8, 1), weight_std=STD, bias_std=BIAS)
    limit = infinite.kernel(read, x)
    errors: dict[str, list[float]] = {"NNGP": [], "NTK": []}
    for width in WIDTHS:
        squares = np.array([_squares(width, x, limit, rng) for _ in range(draws)])
        for kind, value in zip(errors, np.sqrt(squares.mean(axis=0)), strict=True):
            errors[kind].append(float(value))
    slopes = {kind: float(np.polyfit(np.log(WIDTHS), np.log(e), 1)[0]) for kind, e in errors.items()}
    figures: Figures = {f"errors of the {kind}": [round(v, 4) for v in e] for kind, e in errors.items()}
    figures |= {f"slope of the {kind}'s error": slope for kind, slope in slopes.items()}
    figures |= {f"slope of the {kind}'s error, off -0.5": abs(s + 0.5) for kind, s in slopes.items()}
    return {"figures": figures, "errors": errors}


def _squares(
    width: int, x: np.ndarray, limit: infinite.Kernels, rng: np.random.Generator
) -> tuple[float, float]:
    """Squared errors of one network; its NNGP is that of a readout of many outputs."""
    net = infinite.draw(dense(6, width, width, 1), rng, weight_std=STD, bias_std=BIAS)
    with torch.no_grad():
        hidden = net[:-1](torch.tensor(x)).numpy()
    nngp = STD**2 * hidden @ hidden.T / width + BIAS**2
    ntk = infinite.empirical_kernels(net, x, weight_std=STD, bias_std=BIAS).ntk
    return float(((nngp - limit.nngp) ** 2).mean()), float(((ntk - limit.ntk) ** 2).mean())


def plot(result: Figures, path: Path) -> None:
    """Errors against width, both axes logarithmic."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6, 4))
    for (kind, errors), mark in zip(result["errors"].items(), "os", strict=True):
        axes.loglog(WIDTHS, errors, marker=mark, label=kind)
        axes.loglog(
            WIDTHS, errors[0] * (np.array(WIDTHS) / WIDTHS[0]) ** -0.5, color="0.7", linestyle="--", zorder=0
        )
    axes.set(xlabel="width", ylabel="root mean square error", title="one network against the limit")
    axes.set_xticks(WIDTHS, map(str, WIDTHS))
    axes.set_xticks([], minor=True)
    axes.legend(title="dashed: slope -1/2")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["draws"])
