"""What do exact radii and exact integrated gradients cost, and how far are an attack and captum from them?

``python benchmarks/measures_points.py [--mnist MODEL IMAGES] [--seconds 20] [--write benchmarks/results]``
takes the digits model of ``examples``, and a saved 784-input ReLU network with an ``.npz`` of ``images``. The
attack is projected gradient descent with 20 starts and 100 steps, its radius found by halving; it sees the
same box of inputs. captum's integrated gradients are compared where captum is installed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt
from adapters import load

EXAMPLES = Path(__file__).parents[1] / "examples"
Rows = list[dict[str, Any]]


def module_of(network: pt.Network) -> torch.nn.Sequential:
    """A chain of dense ReLU layers as a module in float64."""
    parts: list[torch.nn.Module] = []
    for layer in network.layers:
        W = layer.maps[0].to_sparse().toarray()
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(W), torch.tensor(layer.bias)
        parts += [linear, torch.nn.ReLU()] if layer.activation else [linear]
    return torch.nn.Sequential(*parts)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result and its wall seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def succeeds(module: torch.nn.Module, x: torch.Tensor, label: int, norm: float, radius: float) -> bool:
    """Whether the attack changes the class inside the ball and the box [0, 1]^d."""
    torch.manual_seed(0)

    def inside(y: torch.Tensor) -> torch.Tensor:
        step = y - x
        if norm == 2:
            step = step * (radius / step.norm(dim=1, keepdim=True).clamp(min=radius))
        return (x + step.clamp(-radius, radius)).clamp(0, 1)

    y = inside(x + radius * (2 * torch.rand(20, len(x), dtype=torch.float64) - 1))
    for _ in range(100):
        y.requires_grad_(True)
        out = module(y)
        others = out.clone()
        others[:, label] = -torch.inf
        margin = out[:, label] - others.max(dim=1).values
        if bool((margin < 0).any()):
            return True
        (slope,) = torch.autograd.grad(margin.sum(), y)
        slope = slope.sign() if norm == np.inf else slope / slope.norm(dim=1, keepdim=True)
        y = inside(y.detach() - 0.1 * radius * slope)
    return False


def attacked(network: pt.Network, image: np.ndarray, norm: float, most: float) -> float:
    """The least radius, within 1 %, at which the attack succeeds."""
    module, x, label = module_of(network), torch.tensor(image), int(network(image).argmax())
    low, high = 0.0, most
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if succeeds(module, x, label, norm, middle) else (middle, high)
    return high


def radii(name: str, network: pt.Network, images: np.ndarray, seconds: float) -> Rows:
    """Exact radii, or intervals, and the attack's."""
    box = pt.Polyhedron.box(np.zeros(network.input_dim), np.ones(network.input_dim))
    rows = []
    for norm in (1, 2, np.inf):
        for number, image in enumerate(images):
            found, took = timed(
                lambda image=image, norm=norm: pt.robustness_radius(
                    network, image, norm, domain=box, max_seconds=seconds
                )
            )
            row = {
                "network": name,
                "norm": str(norm),
                "image": number,
                "lower": found.lower,
                "radius": found.value,
                "kind": "exact" if found.exact else "interval",
                "regions": found.regions,
                "s": took,
                "attack": None,
                "attack s": None,
            }
            if norm != 1:
                row["attack"], row["attack s"] = timed(
                    lambda image=image, norm=norm, most=3 * found.value: attacked(network, image, norm, most)
                )
                assert row["attack"] >= found.lower, "an attack inside a certified radius"
            rows.append(row)
    return rows


def gradients(name: str, network: pt.Network, images: np.ndarray) -> Rows:
    """Integrated gradients from a black image, exactly and by captum with some numbers of steps."""
    chosen, black = network(images).argmax(axis=1), np.zeros_like(images)
    every = np.arange(len(images))
    gain = network(images)[every, chosen] - network(black)[every, chosen]

    def row(method: str, found: np.ndarray, took: float) -> dict[str, Any]:
        return {
            "network": name,
            "images": len(images),
            "method": method,
            "ms an image": 1e3 * took / len(images),
            "completeness error": float((np.abs(found.sum(axis=1) - gain) / np.abs(gain)).max()),
            "largest error": float(np.abs(found - exact).max() / np.abs(exact).max()),
        }

    pt.integrated_gradients(network, images[:1], black[:1], chosen[:1])
    exact, took = timed(lambda: pt.integrated_gradients(network, images, black, chosen))
    rows = [row("exact", exact, took)]
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return rows
    explain, target = IntegratedGradients(module_of(network)), torch.tensor(chosen)
    x = torch.tensor(images)
    for steps in (50, 500):
        found, took = timed(
            lambda steps=steps: explain.attribute(
                x, 0.0 * x, target=target, n_steps=steps, internal_batch_size=4096
            )
        )
        rows.append(row(f"captum, {steps} steps", found.detach().numpy(), took))
    return rows


def main() -> None:
    """Measure, print, write."""
    options = parser(__doc__)
    options.add_argument("--mnist", nargs=2, type=Path, metavar=("MODEL", "IMAGES"))
    options.add_argument("--seconds", type=float, default=20.0, help="budget of a radius")
    chosen = options.parse_args()
    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        cases = [("digits", load(EXAMPLES / "models" / "digits_mlp.onnx"), data["X"].astype(float), 3)]
    if chosen.mnist:
        with np.load(chosen.mnist[1]) as data:
            images = data["images"].reshape(len(data["images"]), -1) / 255
        cases.append(("mnist 256x2", load(chosen.mnist[0]), images, 1))
    distance, attribution = [], []
    for name, network, images, few in cases:
        distance += radii(name, network, images[:few], chosen.seconds)
        attribution += gradients(name, network, images[:50])
    where = environment("torch", "captum")
    load_now = os.getloadavg()[0]
    about = f"{torch.get_num_threads()} threads, load {load_now:.1f} at the end; wall seconds of one run"
    page = [
        title(__doc__),
        in_words(where, f"{about} each. {chosen.note}"),
        "## Distance to the decision boundary",
        f"Budget {chosen.seconds:g} s a radius. The attack gives upper bounds, within 1 %.",
        table_of(distance),
        "## Integrated gradients",
        "Errors relative to the outputs' difference and to the largest attribution.",
        table_of(attribution),
    ]
    record = {"machine": where, "radii": distance, "integrated_gradients": attribution}
    publish(__file__, page, record, chosen.write)


if __name__ == "__main__":
    main()
