"""Singular values of the Jacobians of flows of digits, and the dimension that they suggest.

    python examples/flows/digit_spectrum.py [--share 0.2] [--out digit_spectrum.svg]

Three Glows are trained on 8 x 8 digits with uniform noise of three widths. Directions in which digits extend
have singular values that stay when the noise becomes narrower; the others follow the deviation of the noise,
width / sqrt(12). Counting those that stay gives a dimension at every digit. Two estimators that look at
nearest neighbours only, and principal components, stand beside it. All are estimates, none is the truth.
"""

from pathlib import Path

import numpy as np
import torch
from digits import data
from experiment import pyplot, show

from polytope import flows

WIDTHS = (0.4, 0.2, 0.1)  # of the noise; ink goes from 0 to 1
PLACES = 200  # digits set aside at which spectra are taken


def fitted(x: np.ndarray, width: float, steps: int, seed: int) -> flows.Flow:
    """A Glow of digits with noise around them, which ends in a scaling of every pixel."""
    rng = np.random.default_rng(seed)
    core = flows.glow((1, 8, 8), levels=2, steps=4, hidden=32, rng=rng)
    flow = flows.Flow([*core.ordered, flows.ActNorm(64)], shape=(1, 8, 8)).float()

    def noisy(rng: np.random.Generator, n: int) -> np.ndarray:
        return x[rng.integers(len(x), size=n)] + width * (rng.random((n, x.shape[1])) - 0.5)

    flows.fit(flow, noisy, steps=steps, batch_size=128, learning_rate=3e-3, rng=rng)
    return flow.double()


def principal(x: np.ndarray, share: float) -> int:
    """How many principal components hold that share of the variance."""
    variance = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    return int(np.searchsorted(np.cumsum(variance) / variance.sum(), share)) + 1


def measure(full: bool = False, share: float = 1.0, seed: int = 0) -> dict:
    """Figures and spectra; ``share`` of the steps, to try the script."""
    x, _, kept, label = data()
    at, label = kept[:PLACES], label[:PLACES]
    steps = int(share * (2000 if full else 400))
    models = {width: fitted(x, width, steps, seed) for width in WIDTHS}
    spectra = {width: flows.jacobian_spectrum(flow, at) for width, flow in models.items()}
    off = 0.0
    for width, flow in models.items():
        with torch.no_grad():
            logdet = flow.inverse(at)[1].numpy()
        off = max(off, float(np.abs(np.log(spectra[width]).sum(axis=1) + logdet).max()))
    slope = flows.intrinsic_dimension(at, "noise_slope", flows=models)
    gap = flows.intrinsic_dimension(at, "jacobian_gap", flows=models[WIDTHS[-1]])
    everything = np.concatenate([x, kept])
    figures = {
        "sum of log singular values, off the log-determinant": off,
        "dimension by noise_slope": slope.value,
        "dimension by noise_slope: least and greatest of a digit": [
            float(v) for v in (slope.local.min(), slope.local.max())
        ],
        "dimension by jacobian_gap": gap.value,
        "dimension by two_nn": flows.intrinsic_dimension(everything, "two_nn").value,
        "dimension by mle": flows.intrinsic_dimension(everything, "mle").value,
        "principal components with 90 percent of the variance": principal(everything, 0.9),
    }
    for width, found in spectra.items():
        name = f"noise {width}: median singular value, first, last"
        figures[name] = [float(v) for v in np.median(found, axis=0)[[0, -1]].round(4)]
    return {"figures": figures, "spectra": spectra, "local": slope.local, "label": label}


def plot(result: dict, path: Path) -> None:
    """Spectra at three widths of noise, and dimensions by digit and by method."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    place = np.arange(1, 65)
    for number, (width, found) in enumerate(result["spectra"].items()):
        low, middle, high = np.quantile(found, [0.1, 0.5, 0.9], axis=0)
        left.fill_between(place, low, high, color=f"C{number}", alpha=0.25)
        left.plot(place, middle, color=f"C{number}", label=f"noise of width {width}")
        left.axhline(width / np.sqrt(12), color=f"C{number}", linestyle=":")
    left.set(yscale="log", xlabel="place", ylabel="singular value of dx/dz")
    left.set_title("median and 10 to 90 percent of 200 digits; dotted: the noise alone", fontsize=9)
    left.legend(fontsize=8)
    local, label, figures = result["local"], result["label"], result["figures"]
    right.boxplot([local[label == digit] for digit in range(10)], tick_labels=range(10))
    for number, method in enumerate(("noise_slope", "jacobian_gap", "two_nn", "mle")):
        value = figures[f"dimension by {method}"]
        right.axhline(value, color=f"C{number}", linestyle="--", label=f"{method}: {value:.1f}")
    right.set(xlabel="digit", ylabel="dimension", ylim=(0, None))
    right.set_title("boxes: noise_slope at each digit; lines: means (estimates)", fontsize=9)
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["full", "share", "seed"])
