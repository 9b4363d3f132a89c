"""Two moons, a NICE flow and a ReLU classifier: regions, class probabilities and nearest counterfactuals.

    python examples/flows/two_moons.py [--out moons.svg]

Both are trained on the moons; then all regions of the classifier behind the flow are enumerated in [-4, 4]^2
of base space. Region counts, class masses and certified counterfactuals are exact up to rounding; Monte-Carlo
figures and gradient searches are there for comparison.
"""

from pathlib import Path

import numpy as np
import torch
from experiment import descend, pyplot, show

import polytope as pt
from polytope import flows

BOX = pt.Polyhedron.box([-4, -4], [4, 4])
LEVEL = 2.0  # the logit that counterfactuals reach, on the other side


def moons(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of two interleaved half circles with noise, about standardised, and their classes."""
    label = rng.integers(0, 2, n)
    t = rng.uniform(0, np.pi, n)
    x = np.where(
        label[:, None], np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1), np.stack([np.cos(t), np.sin(t)], 1)
    )
    return (x + 0.08 * rng.standard_normal((n, 2)) - [0.5, 0.25]) / [0.87, 0.5], label


def train(share: float, seed: int = 0) -> tuple[flows.Flow, torch.nn.Sequential]:
    """A NICE flow of six couplings with splines, and a classifier with two hidden layers."""
    rng = np.random.default_rng(seed)
    flow = flows.nice(2, couplings=6, hidden=(12,), rng=rng)
    flows.fit(
        flow,
        lambda g, n: moons(g, n)[0],
        steps=int(share * 1500),
        batch_size=300,
        learning_rate=1e-2,
        rng=rng,
    )
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 12),
        torch.nn.ReLU(),
        torch.nn.Linear(12, 12),
        torch.nn.ReLU(),
        torch.nn.Linear(12, 1),
    ).double()

    def loss() -> torch.Tensor:
        x, label = moons(rng, 300)
        return torch.nn.functional.binary_cross_entropy_with_logits(
            net(torch.tensor(x))[:, 0], torch.tensor(label).double()
        )

    descend(net, loss, int(share * 500), 1e-2)
    return flow, net


def exact_counterfactuals(flow: flows.Flow, net: torch.nn.Sequential, x: np.ndarray) -> tuple[dict, list]:
    """The nearest counterfactual of every point, against gradient search in base space."""
    with torch.no_grad():
        level = np.where(net(torch.tensor(x))[:, 0].numpy() > 0, -LEVEL, LEVEL)
    exact = [flows.exact_counterfactual(net, flow, p, t) for p, t in zip(x, level, strict=True)]
    near = flows.counterfactual(net, flow, x, level, learning_rate=0.02, steps=600)
    away = np.linalg.norm(near.z - flows.base_points(flow, x), axis=1)
    with torch.no_grad():
        logits = net(torch.tensor(np.array([found.x for found in exact])))[:, 0].numpy()
    ratio = away / [found.distance for found in exact]
    figures = {
        "exact counterfactuals certified, of 20": sum(found.certified for found in exact),
        "largest miss of the asked logit": float(np.abs(logits - level).max()),
        "gradient searches that arrive, of 20": int(near.success.sum()),
        "least ratio of distances, gradient to exact": float(ratio[near.success].min()),
        "median ratio of distances": float(np.median(ratio[near.success])),
        "largest ratio of distances": float(ratio[near.success].max()),
    }
    return figures, exact


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Figures, and what the picture shows; ``share`` of the training steps, to try the script."""
    rng = np.random.default_rng(1)
    flow, net = train(share)
    regions = flows.flow_regions(flow, BOX)
    masses = flows.region_mass(flow, BOX)
    pulled = flows.pullback_decision_boundary(net, flow, BOX)
    classes = flows.class_mass(net, flow, BOX)
    n = 200_000
    x = flow.sample(n, rng).numpy()
    with torch.no_grad():
        share = float((net(torch.tensor(x))[:, 0] > 0).double().mean())
        held_out = -flow.log_prob(moons(rng, 20_000)[0]).mean().item()
    lowered = flows.lower(flow)
    z = rng.standard_normal((1000, 2))
    figures = {
        "regions of the flow": len(regions),
        "regions of the classifier behind it": len(pulled.complex),
        "negative log-likelihood, nats": held_out,
        "lowered network against the flow": float(
            np.abs(lowered(z) - flow.forward(z)[0].detach().numpy()).max()
        ),
        "spread of log-determinants": float(np.ptp(regions.logdet)),
        "masses and the rest, off 1": float(abs(masses.values.sum() + masses.outside - 1)),
        "base mass outside the box": masses.outside,
        "mass of class 1": float(classes.values[1]),
        "Monte Carlo": share,
        "Monte Carlo, 99 % half width": float(2.576 * np.sqrt(share * (1 - share) / n)),
    }
    start = moons(rng, 20)[0]
    more, exact = exact_counterfactuals(flow, net, start)
    return {"figures": figures | more, "regions": regions, "pulled": pulled, "exact": exact, "start": start}


def plot(result: dict, path: Path) -> None:
    """Regions and boundary in base space, and their images in data space with the counterfactuals."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5))
    pt.plot_regions(result["pulled"].complex, ax=left)
    for facet in result["pulled"].base.points:
        left.plot(*facet.T, color="black", linewidth=2)
    left.set_title("base space: regions, boundary")
    right.scatter(*moons(np.random.default_rng(2), 2000)[0].T, s=2, color="0.7")
    for facet in result["pulled"].points:
        right.plot(*facet.T, color="black", linewidth=2)
    for a, found in zip(result["start"], result["exact"], strict=True):
        right.annotate("", found.x, a, arrowprops={"arrowstyle": "->", "color": "tab:red"})
    right.set(xlim=(-3, 3), ylim=(-3, 3))
    right.set_title("data space: boundary, nearest counterfactuals")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot)
