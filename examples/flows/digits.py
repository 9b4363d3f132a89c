"""Additive Glow on 8 x 8 digits: bits per dimension, and counterfactuals that another classifier checks.

    python examples/flows/digits.py [--full] [--seed 1] [--out digits.svg]

The flow is additive, so it is piecewise linear and can be lowered. Counterfactuals of a ReLU classifier are
sought by gradients in base and in data space with one stopping rule; a nearest-neighbour classifier that had
no part in the search says whether they show the target. Measured values.
"""

from pathlib import Path

import numpy as np
import torch
from experiment import descend, pyplot, show
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from polytope import flows

LEVELS = 17  # pixels are 0 .. 16
TESTED = 360


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels; pixels in steps of 1/17."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    x, y = digits.data[order] / LEVELS, digits.target[order]
    return x[TESTED:], y[TESTED:], x[:TESTED], y[:TESTED]


def train_flow(x: np.ndarray, full: bool, share: float, seed: int) -> flows.Flow:
    """Two levels of Glow steps between the base and a scaling of every pixel."""
    rng = np.random.default_rng(seed)
    steps, hidden, depth = (3000, 64, 6) if full else (600, 32, 4)
    core = flows.glow((1, 8, 8), additive=True, levels=2, steps=depth, hidden=hidden, rng=rng)
    flow = flows.Flow([*core.ordered, flows.ActNorm(64)], shape=(1, 8, 8)).float()
    with torch.no_grad():
        flow.initialise(flow.rows(x + rng.random(x.shape) / LEVELS))
    flows.fit(
        flow, x, noise=1 / LEVELS, steps=int(share * steps), batch_size=128, learning_rate=2e-3, rng=rng
    )
    return flow.double()


def gaussian_bits(train: np.ndarray, test: np.ndarray, noise: np.ndarray) -> float:
    """Bits per dimension of independent normal pixels fitted to the dequantised training images."""
    rng = np.random.default_rng(1)
    pixels = flows.Flow([flows.ActNorm(64)])
    with torch.no_grad():
        pixels.initialise(pixels.rows(train + rng.random(train.shape) / LEVELS))
    return flows.bits_per_dimension(pixels, test, levels=LEVELS, noise=noise)


def train_classifier(x: np.ndarray, y: np.ndarray, steps: int, seed: int) -> torch.nn.Sequential:
    """Two hidden layers, trained on dequantised images."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(2)
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 10),
    ).double()

    def loss() -> torch.Tensor:
        rows = rng.integers(len(x), size=128)
        batch = torch.tensor(x[rows] + rng.random((128, 64)) / LEVELS)
        return torch.nn.functional.cross_entropy(net(batch), torch.tensor(y[rows]))

    descend(net, loss, steps, 3e-3)
    return net


def measure(full: bool = False, share: float = 1.0, seed: int = 0) -> dict:
    """Figures, and the images of both searches; ``share`` of the steps, to try the script."""
    x, y, test_x, test_y = data()
    flow, net = train_flow(x, full, share, seed), train_classifier(x, y, int(share * 600), seed)
    rng = np.random.default_rng(3 + seed)
    noise = rng.random(test_x.shape)
    with torch.no_grad():
        correct = float((net(torch.tensor(test_x)).argmax(1).numpy() == test_y).mean())
    figures = {
        "classifier's accuracy": correct,
        "bits per dimension": flows.bits_per_dimension(flow, test_x, levels=LEVELS, noise=noise),
        "bits per dimension, independent normals": gaussian_bits(x, test_x, noise),
    }
    oracle = KNeighborsClassifier(5).fit(x, y)
    start = test_x[:100] + noise[:100] / LEVELS
    target = (test_y[:100] + rng.integers(1, 10, 100)) % 10
    found, reports = {}, {}
    for space, rate in (("data", 0.005), ("base", 0.05)):
        found[space] = flows.counterfactual(
            net, flow, start, target, space=space, learning_rate=rate, steps=500, stop=0.99
        )
        reports[space] = flows.evaluate_counterfactual(
            found[space], flow, manifold=x, oracle=oracle.predict, target=target
        )
        report = reports[space]
        reached = int(report.valid.sum())
        agreed = int((report.agrees & report.valid).sum())
        figures[f"{space}: reached, of 100"] = reached
        figures[f"{space}: oracle agrees, percent of those"] = 100 * agreed / max(reached, 1)
        figures[f"{space}: median log-density"] = float(np.median(report.log_density))
    figures["difference of agreement, points"] = (
        figures["base: oracle agrees, percent of those"] - figures["data: oracle agrees, percent of those"]
    )
    network = flows.lower(flow)
    gap = np.abs(network(found["base"].z) - found["base"].x).max()
    figures["lowered network against the flow"] = float(gap)
    figures["units of the lowered flow"] = network.n_units
    return {"figures": figures, "found": found, "start": start, "target": target, "flow": flow}


def plot(result: dict, path: Path) -> None:
    """Samples of the flow; some digits, and what both searches made of them."""
    plt = pyplot()
    figure, axes = plt.subplots(4, 10, figsize=(10, 4.4))
    drawn = result["flow"].sample(10, np.random.default_rng(0)).reshape(10, 64).numpy()
    rows = [drawn, result["start"], result["found"]["data"].x, result["found"]["base"].x]
    names = ["samples", "start", "data space", "base space"]
    for line, images, name in zip(axes, rows, names, strict=True):
        for column, (place, image) in enumerate(zip(line, images, strict=False)):
            place.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            place.set(xticks=[], yticks=[])
            if name.endswith("space"):
                place.set_xlabel(f"to {result['target'][column]}", fontsize=8)
        line[0].set_ylabel(name, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["full", "seed"])
