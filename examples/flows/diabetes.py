"""Regression through a flow: patients changed until the predicted progression of diabetes is another.

    python examples/flows/diabetes.py [--out diabetes.svg]

A flow and a ReLU regressor are fitted to scikit-learn's diabetes data, ten columns of 442 patients. Each of
100 patients is moved until the prediction has changed by a deviation of the target, down and up, in base and
in data space. In base space most stay above the 5th percentile of the training data's log-density, in data
space few do. Training of the flow stops where patients set aside like it best. Measured values.
"""

from pathlib import Path

import numpy as np
import torch
from experiment import descend, pyplot, show
from sklearn.datasets import load_diabetes

from polytope import flows


def train_flow(x: np.ndarray, steps: int, kept: int = 82) -> tuple[flows.Flow, int]:
    """A NICE flow with LU layers, piecewise linear, as it was at the step that ``kept`` rows liked best.

    Those rows take no part in the descent: without them a flow learns 260 patients by heart.
    """
    rng = np.random.default_rng(0)
    flow = flows.nice(x.shape[1], couplings=4, hidden=(16,), linear=True, rng=rng)
    best = (np.inf, 0, flow.state_dict())

    def look(step: int, steps: int, loss: float) -> None:
        nonlocal best
        if step % 10 == 0 or step == steps:
            with torch.no_grad():
                told = -float(flow.log_prob(x[:kept]).mean())
            if told < best[0]:
                best = told, step, {name: values.clone() for name, values in flow.state_dict().items()}

    flows.fit(flow, x[kept:], steps=steps, batch_size=128, learning_rate=3e-3, rng=rng, progress=look)
    flow.load_state_dict(best[2])
    return flow, best[1]


def train_regressor(x: np.ndarray, y: np.ndarray, steps: int) -> torch.nn.Sequential:
    """One hidden layer, with weight decay."""
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
    ).double()

    def loss() -> torch.Tensor:
        rows = rng.integers(len(x), size=64)
        return (net(torch.tensor(x[rows]))[:, 0] - torch.tensor(y[rows])).square().mean()

    descend(net, loss, steps, 3e-3, weight_decay=0.1)
    return net


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Figures, and the log-densities of all searches; ``share`` of the steps, to try the script."""
    loaded = load_diabetes()
    rng = np.random.default_rng(2)
    order = rng.permutation(len(loaded.data))
    x = loaded.data[order] / loaded.data.std(axis=0)
    x = x + 0.2 * (rng.random(x.shape) - 0.5)  # columns are discrete, one has two values
    y = (loaded.target[order] - loaded.target.mean()) / loaded.target.std()
    train, held_out = slice(100, None), slice(0, 100)
    flow, step = train_flow(x[train], int(share * 600))
    net = train_regressor(x[train], y[train], int(share * 800))
    with torch.no_grad():
        told = net(torch.tensor(x[held_out]))[:, 0].numpy()
        usual, starts = flow.log_prob(x[train]).numpy(), flow.log_prob(x[held_out]).numpy()
    fifth = float(np.quantile(usual, 0.05))
    figures = {
        "regressor's R^2 on held-out patients": float(
            1 - ((told - y[held_out]) ** 2).mean() / y[held_out].var()
        ),
        "5th percentile of the training data's log-density": fifth,
        "held-out patients: median log-density": float(np.median(starts)),
        "held-out patients: percent above the 5th percentile": 100 * float((starts >= fifth).mean()),
        "training stopped at step": step,
    }
    densities = {"training data": usual, "held out": starts}
    for space in ("base", "data"):
        for name, sign in (("down", -1.0), ("up", 1.0)):
            found = flows.counterfactual(
                net, flow, x[held_out], told + sign, space=space, learning_rate=0.02, steps=500, record=True
            )
            report = flows.evaluate_counterfactual(found, flow)
            densities[f"{space}, {name}"] = report.log_density
            figures[f"{space}, {name}: reached, of 100"] = int(report.valid.sum())
            figures[f"{space}, {name}: median log-density"] = float(np.median(report.log_density))
            figures[f"{space}, {name}: percent above the 5th percentile"] = 100 * float(
                (report.log_density >= fifth).mean()
            )
    return {"figures": figures, "densities": densities}


def plot(result: dict, path: Path) -> None:
    """Log-densities of the data and of what was made of them."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.boxplot(list(result["densities"].values()), tick_labels=list(result["densities"]))
    axes.axhline(
        result["figures"]["5th percentile of the training data's log-density"], color="0.6", linestyle=":"
    )
    axes.set_ylabel("log-density, nats")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot)
