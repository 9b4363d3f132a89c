"""Attacks on a classifier of points on a helix in R^3: through a flow they stay on it, otherwise they do not.

    python examples/flows/helix.py [--full] [--out helix.svg]

The data lie on ``(cos t, sin t, t)``, |t| <= 4, and the class is the sign of t. A Real NVP of 12 couplings is
fitted to them; then 100 points are moved by Adam until the classifier gives the other class 0.9, once in data
space and once in base space. ``--full`` takes the published widths and steps. Distances are measured values.

The classifier is trained with weight decay. Without it its logit has humps along the curve (it uses ``sin t``
beside ``t``), and attacks that stay on the curve end on them: that is the classifier, not the flow.
"""

from pathlib import Path

import numpy as np
import torch
from experiment import descend, pyplot, show
from scipy.spatial import KDTree

from polytope import flows

MASKS = ["011", "101", "110", "001", "100", "010"] * 2
NOISE = 0.1  # width of uniform noise on the training data
LEVEL = float(np.log(9))  # the logit of 0.9
CURVE = np.linspace(-4, 4, 80_001)


def helix(t: np.ndarray) -> np.ndarray:
    """Points of the helix, ``[n]`` to ``[n, 3]``."""
    return np.stack([np.cos(t), np.sin(t), t], axis=1)


def distance(x: np.ndarray, tree: KDTree = KDTree(helix(CURVE))) -> np.ndarray:  # noqa: B008
    """Distances ``[n, 3]`` to ``[n]`` from the helix, by a grid of spacing 1.4e-4."""
    return tree.query(x)[0]


def sample(rng: np.random.Generator, n: int) -> np.ndarray:
    """Points near the helix."""
    return helix(rng.uniform(-4, 4, n)) + NOISE * (rng.random((n, 3)) - 0.5)


def train_flow(rng: np.random.Generator, full: bool, share: float) -> flows.Flow:
    """A Real NVP of 12 couplings."""
    width, batch, steps, rate = (256, 500, 5000, 1e-4) if full else (64, 250, 3000, 3e-3)
    masks = [[mask == "1" for mask in word] for word in MASKS]
    flow = flows.realnvp(3, masks=masks, hidden=(width, width), rng=rng).float()
    flows.fit(flow, sample, steps=int(share * steps), batch_size=batch, learning_rate=rate, rng=rng)
    return flow.double()


def train_classifier(rng: np.random.Generator, steps: int) -> torch.nn.Module:
    """One hidden layer of 256 units to a logit, kept smooth by weight decay."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1)).double()

    def loss() -> torch.Tensor:
        x = torch.tensor(sample(rng, 500))
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], (x[:, 2] > 0).double())
        return entropy + 0.005 * sum(values.square().sum() for values in net.parameters())

    descend(net, loss, steps, 1e-3)
    return net


def falling(net: torch.nn.Module) -> float:
    """The share of the curve along which a classifier's logit falls with t: attacks can end there."""
    with torch.no_grad():
        logit = net(torch.tensor(helix(CURVE)))[:, 0].numpy()
    return float((np.diff(logit) < 0).mean())


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Figures, and the attacks in both spaces; ``share`` of the steps, to try the script."""
    rng = np.random.default_rng(0)
    flow, net = train_flow(rng, full, share), train_classifier(rng, int(share * 1000))
    start = helix(rng.uniform(-4, 4, 100))
    with torch.no_grad():
        levels = np.where(net(torch.tensor(start))[:, 0].numpy() > 0, -LEVEL, LEVEL)
    attacks = {
        space: flows.counterfactual(
            net, flow, start, levels, space=space, learning_rate=0.03, steps=int(share * 1000)
        )
        for space in ("data", "base")
    }
    figures = {"share of the curve along which the logit falls": falling(net)}
    for space, found in attacks.items():
        away = distance(found.x)
        figures[f"{space}: median distance to the helix"] = float(np.median(away))
        figures[f"{space}: quartiles"] = np.quantile(away, [0.25, 0.75]).round(4).tolist()
        figures[f"{space}: largest distance"] = float(away.max())
        figures[f"{space}: successes of 100"] = int(found.success.sum())
    spectrum = flows.jacobian_spectrum(flow, start)
    figures["median ratio of the first two singular values"] = float(
        np.median(spectrum[:, 0] / spectrum[:, 1])
    )
    return {"figures": figures, "attacks": attacks, "start": start}


def plot(result: dict, path: Path) -> None:
    """Both ways through space, and the distances as box plots."""
    plt = pyplot()
    figure = plt.figure(figsize=(10, 4.5))
    curve = helix(CURVE[::400])
    for place, (space, found) in enumerate(result["attacks"].items(), start=1):
        axes = figure.add_subplot(1, 3, place, projection="3d")
        axes.plot(*curve.T, color="0.7", linewidth=1)
        for a, b in zip(found.start[:30], found.x[:30], strict=True):
            axes.plot(*np.stack([a, b]).T, color="tab:blue", linewidth=0.5)
        axes.scatter(*found.x[:30].T, s=12, color="tab:red")
        axes.set_title(f"attacks in {space} space")
    axes = figure.add_subplot(1, 3, 3)
    axes.boxplot(
        [distance(found.x) for found in result["attacks"].values()], tick_labels=list(result["attacks"])
    )
    axes.set_ylabel("distance to the helix")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["full"])
