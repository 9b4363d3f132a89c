"""Small ReLU networks from several seeds, trained together on the mean of squares, as networks of float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from polytope.batched.threads import one_thread
from polytope.discovery.asking import amount, count
from polytope.given import described
from polytope.ir import Network, mlp
from polytope.ir.maps import FloatArray, IntArray

Progress = Callable[[int, int], None]  # steps done, steps in all


@dataclass(frozen=True)
class Settings:
    """How networks are trained: Adam, with a learning rate that falls to 0 along a cosine.

    Arguments:
        hidden: widths of the hidden layers.
        steps, batch: of Adam, on rows drawn with replacement.
        learning_rate: its first one.
    """

    hidden: tuple[int, ...] = (16, 16)
    steps: int = 6000
    batch: int = 128
    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Iterable):
            raise TypeError(
                f"hypothesis: hidden: widths of layers are expected, such as (16, 16), not "
                f"{described(self.hidden)}."
            )
        widths = tuple(count(width, "hypothesis: hidden: a width", 1) for width in self.hidden)
        if not widths:
            raise ValueError("hypothesis: hidden: there is one hidden layer at least, such as (16,).")
        object.__setattr__(self, "hidden", widths)
        for name in ("steps", "batch"):
            object.__setattr__(self, name, count(getattr(self, name), f"hypothesis: {name}", 1))
        rate = amount(self.learning_rate, "hypothesis: learning_rate")
        object.__setattr__(self, "learning_rate", rate)


def trained(
    X: FloatArray,
    y: FloatArray,
    rows: Sequence[IntArray],
    settings: Settings,
    progress: Progress | None = None,
) -> list[Network]:
    """A network for each list of rows, the k-th from seed k; columns are scaled by their training rows.

    Weights, batches and rows of a seed are its own; that they are trained together changes roundings only.

    Raises:
        ValueError: a network grew beyond float64.
    """
    x, y_scaled, scales = _scaled(X, y, rows)
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(rows))]
    weights, biases = _drawn(X.shape[1], settings, generators)
    optimiser = torch.optim.Adam([*weights, *biases], lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    seeds = torch.arange(len(rows))[:, None]
    with one_thread():
        for step in range(settings.steps):
            some = torch.stack(
                [
                    torch.randint(len(own), (settings.batch,), generator=g)
                    for own, g in zip(rows, generators, strict=True)
                ]
            )
            off = _forward(weights, biases, x[seeds, some]) - y_scaled[seeds, some]
            loss = off.square().mean(dim=(1, 2)).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if progress and ((step + 1) % 100 == 0 or step + 1 == settings.steps):
                progress(step + 1, settings.steps)
    with torch.no_grad():
        outputs = _forward(weights, biases, x)
    if not bool(outputs.isfinite().all()):
        raise ValueError(
            f"hypothesis: with learning_rate={settings.learning_rate:g} a network grew beyond float64; a "
            "smaller one is needed."
        )
    return [_network(weights, biases, k, scale) for k, scale in enumerate(scales)]


Scale = tuple[FloatArray, FloatArray, float, float]  # means and spreads of the columns, and of the target


def _scaled(X: FloatArray, y: FloatArray, rows: Sequence[IntArray]) -> tuple[Tensor, Tensor, list[Scale]]:
    """The training rows of each seed, short lists filled with rows that are never drawn, and scales."""
    most = max(map(len, rows))
    xs, ys, scales = [], [], []
    for own in rows:
        x, t = X[own], y[own]
        spread, size = x.std(axis=0), float(t.std())
        scale = (x.mean(axis=0), np.where(spread > 0, spread, 1.0), float(t.mean()), size or 1.0)
        filled = np.resize(own, most)
        xs.append((X[filled] - scale[0]) / scale[1])
        ys.append((y[filled, None] - scale[2]) / scale[3])
        scales.append(scale)
    return torch.tensor(np.array(xs)), torch.tensor(np.array(ys)), scales


def _drawn(
    d: int, settings: Settings, generators: Sequence[torch.Generator]
) -> tuple[list[Tensor], list[Tensor]]:
    """First weights ``[seeds, m, n]`` of variance 2 / m, and biases 0."""
    weights, biases = [], []
    for m, n in pairwise((d, *settings.hidden, 1)):
        drawn = [torch.randn(m, n, generator=g, dtype=torch.float64) * (2 / m) ** 0.5 for g in generators]
        weights.append(torch.stack(drawn).requires_grad_())
        biases.append(torch.zeros(len(generators), 1, n, dtype=torch.float64, requires_grad=True))
    return weights, biases


def _forward(weights: Sequence[Tensor], biases: Sequence[Tensor], h: Tensor) -> Tensor:
    """The outputs ``[seeds, batch, 1]``."""
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        h = torch.baddbmm(bias, torch.relu(h) if number else h, weight)
    return h


def _network(weights: Sequence[Tensor], biases: Sequence[Tensor], k: int, scale: Scale) -> Network:
    """One of the networks, with the scales of columns and target in its first and last layer."""
    mean, spread, middle, size = scale
    layers = [
        (w[k].detach().numpy().T.copy(), b[k, 0].detach().numpy().copy())
        for w, b in zip(weights, biases, strict=True)
    ]
    first, bias = layers[0]
    layers[0] = first / spread, bias - first @ (mean / spread)
    last, bias = layers[-1]
    layers[-1] = last * size, bias * size + middle
    return mlp(layers)
