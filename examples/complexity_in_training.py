"""Record local complexity around training and random points while an MLP learns digits.

    python examples/complexity_in_training.py --out complexity_in_training.svg

From initial weights three times the usual it rises at first and then falls, around training images from
14.9 units to 15.6 after 15 steps and 12.0 after 4000; with ``--scale 1 --radius 0.02`` it falls first
and then rises, and within 6000 steps a second fall is not seen. The published curves (Humayun, Balestriero,
Baraniuk 2024, https://arxiv.org/abs/2402.15555) are of larger networks over 10^5 steps.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import polytope as pt


def trained(steps: int, width: int, radius: float, scale: float) -> dict[str, pt.ComplexityRecorder]:
    """Train with Adam; the records around 100 training images and 100 random ones."""
    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32)
    classes = torch.tensor(labels)
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= scale
    at = {int(step) for step in np.geomspace(1, steps, 40)} | {0}
    around = {
        "training points": images[:100].numpy(),
        "random points": np.random.default_rng(0).uniform(size=(100, 64)),
    }
    recorders = {name: pt.ComplexityRecorder(model, x, radius, at, frames=25) for name, x in around.items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with recorders["training points"], recorders["random points"]:
        for _ in range(steps + 1):
            chosen = torch.randint(len(images), (200,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), classes[chosen]).backward()
            optimizer.step()
    return recorders


def main() -> None:
    """Train, print where the count is largest, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--radius", type=float, default=0.1)
    parser.add_argument("--scale", type=float, default=3.0, help="of the initial weights")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ax = None
    records = trained(options.steps, options.width, options.radius, options.scale)
    for name, recorder in records.items():
        totals = recorder.per_layer.sum(axis=1)
        peak = int(totals.argmax())
        print(
            f"{name}: {totals[0]:.2f} at first, {totals[peak]:.2f} at step {recorder.steps[peak]}, "
            f"{totals[-1]:.2f} at step {recorder.steps[-1]}"
        )
        ax = pt.plot_complexity_training(recorder.steps, recorder.per_layer, ax, label=name)
    if options.out and ax is not None:
        ax.figure.savefig(options.out)


if __name__ == "__main__":
    main()
