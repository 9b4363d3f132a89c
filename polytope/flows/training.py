"""Maximum-likelihood training: the mean of -log q(x) over batches, by Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, prod
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike

from polytope.errors import FlowError
from polytope.flows.flow import Flow
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line

Sampler = Callable[[np.random.Generator, int], FloatArray]  # draws [n, D] fresh data points
Progress = Callable[[int, int, float], None]  # steps done, steps in all, loss


@dataclass(frozen=True, eq=False)
class Training:
    """What training recorded.

    Arguments:
        losses: ``[steps]``, the mean of -log q over the batch of every step, in nats.
        seconds: time taken.
    """

    losses: FloatArray
    seconds: float

    __repr__ = one_line


def fit(
    flow: Flow,
    data: ArrayLike | Sampler,
    *,
    steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    noise: float = 0.0,
    decay: bool = True,
    clip: float = 50.0,
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
) -> Training:
    """Fit a flow to data by maximum likelihood, in place.

    Layers that depend on data (``ActNorm``) are set from the first batch.

    Arguments:
        flow: what is trained.
        data: ``[N, D]`` or ``[N, *shape]``, or a function that draws fresh points.
        steps, batch_size, learning_rate: of Adam.
        noise: width of uniform noise added to every coordinate, ``[0, noise)``: dequantises discrete data.
        decay: let the learning rate fall to 0 along a cosine.
        clip: largest norm of a gradient.
        rng: source of batches and noise; ``numpy.random.default_rng(0)`` where ``None``.
        progress: called after every step.

    Returns:
        The losses and the time; the flow itself is changed.

    Raises:
        ValueError: no data, data of another shape, or with numbers that are not finite.
        FlowError: the loss is not finite any more.

    Example:
        >>> import numpy as np
        >>> from polytope import flows
        >>> flow = flows.nice(2, couplings=2, hidden=(8,))
        >>> x = np.random.default_rng(0).normal(3.0, 2.0, (500, 2))
        >>> done = flows.fit(flow, x, steps=50, batch_size=100)
        >>> bool(done.losses[-1] < done.losses[0] + 0.5)
        True
    """
    if steps < 1 or batch_size < 1 or not learning_rate > 0:
        raise ValueError("fit: steps, batch_size and learning_rate must be positive.")
    generator, started = rng or np.random.default_rng(0), monotonic()
    draw = data if callable(data) else _batches(flow, np.asarray(data, dtype=float))
    optimiser = torch.optim.Adam(flow.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps if decay else 10**9)
    losses = np.zeros(steps)
    for step in range(steps):
        points = draw(generator, batch_size)
        x = flow.rows(points + noise * generator.random(np.shape(points)) if noise else points)
        if step == 0:
            with torch.no_grad():
                flow.initialise(x)
        loss = _loss(flow, x, step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(flow.parameters(), clip)
        optimiser.step()
        schedule.step()
        losses[step] = loss.item()
        if progress:
            progress(step + 1, steps, losses[step])
    return Training(losses, monotonic() - started)


def _loss(flow: Flow, x: torch.Tensor, step: int) -> torch.Tensor:
    try:
        loss = -flow.log_prob(x).mean()
    except FlowError:
        loss = x.new_tensor(torch.nan)
    if not torch.isfinite(loss):
        raise FlowError(
            f"Training diverged at step {step}: the loss is not finite. Lower learning_rate, scale the data "
            "to about unit size, or add noise to data on a lower-dimensional set."
        )
    return loss


def _batches(flow: Flow, points: FloatArray) -> Sampler:
    """Batches of rows with replacement."""
    rows = flow.rows(points).cpu().numpy()
    if not len(rows):
        raise ValueError("fit: there are no data.")
    return lambda rng, n: rows[rng.integers(len(rows), size=n)]


def bits_per_dimension(
    flow: Flow, data: ArrayLike, *, levels: int = 1, noise: FloatArray | None = None
) -> float:
    r"""The mean of :math:`-\log_2 q(x) / D` for data in steps of 1 / levels, to which noise is added.

    An upper bound on the bits of the discrete data, up to the sampling of the noise.

    Arguments:
        flow: fitted to data of that form.
        data: ``[N, D]`` or ``[N, *shape]``, multiples of 1 / levels.
        levels: steps in a unit; log2 of it is added for each dimension.
        noise: ``[N, D]`` in [0, 1); zeros by default.

    Returns:
        Bits for each dimension, the mean over the data.

    Raises:
        ValueError: data of another shape, or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    rows = flow.rows(data)
    if noise is not None:
        rows = rows + flow.rows(noise.reshape(tuple(rows.shape))) / levels
    with torch.no_grad():
        nats = -flow.log_prob(rows).mean().item()
    return (nats / prod(flow.shape) + log(levels)) / log(2)
