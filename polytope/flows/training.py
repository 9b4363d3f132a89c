"""Training by Adam: maximum likelihood of data, or the reverse divergence to a density."""

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
from polytope.given import described
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line

Sampler = Callable[[np.random.Generator, int], FloatArray]  # draws [n, D] fresh data points
LogDensity = Callable[[torch.Tensor], torch.Tensor]  # of points [B, *shape], up to a constant: [B]
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
    generator = np.random.default_rng(0 if rng is None else rng)
    draw = data if callable(data) else _batches(flow, np.asarray(data, dtype=float))

    def loss(step: int) -> torch.Tensor:
        points = draw(generator, batch_size)
        x = flow.rows(points + noise * generator.random(np.shape(points)) if noise else points)
        if step == 0:
            with torch.no_grad():
                flow.initialise(x)
        return -flow.log_prob(x).mean()

    _check("fit", steps, batch_size, learning_rate)
    return _descend(flow, loss, steps, learning_rate, decay=decay, clip=clip, progress=progress)


def fit_to_density(
    flow: Flow,
    log_density: LogDensity,
    *,
    steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    decay: bool = True,
    clip: float = 50.0,
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
) -> Training:
    r"""Fit a flow to a density that can be evaluated but not sampled, in place.

    The loss is the reverse divergence :math:`E_{x \sim q} [\log q(x) - \log p(x)]` of the flow's own samples;
    with log p up to a constant it is :math:`KL(q \| p) - \log Z`. It may miss modes of p: look at
    ``effective_sample_size``, and let the base and the layers have the density's symmetries.

    Arguments:
        flow: what is trained.
        log_density: of points ``[B, *shape]``, a tensor ``[B]`` that can be differentiated; up to a constant.
        steps, batch_size, learning_rate, decay, clip, rng, progress: as of ``fit``.

    Returns:
        The losses and the time; the flow itself is changed.

    Raises:
        TypeError: log_density gives no tensor.
        ValueError: steps, batch_size or learning_rate that are not positive, or a density without gradients.
        FlowError: the loss is not finite any more.

    Example:
        >>> from polytope import flows
        >>> flow = flows.nice(2, couplings=2, hidden=(8,))
        >>> done = flows.fit_to_density(flow, lambda x: -2 * x.square().sum(1), steps=200, learning_rate=1e-2)
        >>> flows.effective_sample_size(flow, lambda x: -2 * x.square().sum(1), 1000).share > 0.9
        True

    References: Albergo, Kanwar, Shanahan (2019), "Flow-based generative models for Markov chain Monte Carlo
        in lattice field theory", https://arxiv.org/abs/1904.12072
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    _check("fit_to_density", steps, batch_size, learning_rate)
    return _descend(
        flow,
        lambda _: -log_weights(flow, log_density, batch_size, generator).mean(),
        steps,
        learning_rate,
        decay=decay,
        clip=clip,
        progress=progress,
    )


def log_weights(flow: Flow, log_density: LogDensity, n: int, rng: np.random.Generator) -> torch.Tensor:
    """``log p(x) - log q(x)`` at n fresh samples of a flow, ``[n]``, with gradients."""
    z = flow.rows(flow.base.draw(rng, (n, flow.dim)))
    x, logdet = flow.forward(z)
    told = log_density(x.reshape(n, *flow.shape))
    if not isinstance(told, torch.Tensor):
        raise TypeError(f"log_density: a tensor is expected, not {described(told)}.")
    if x.requires_grad and not told.requires_grad:
        raise ValueError("log_density: no gradients go through it, so that a flow cannot be fitted to it.")
    if tuple(told.shape) != (n,):
        raise ValueError(
            f"log_density: one number for each of {n} points is expected, not {list(told.shape)}."
        )
    return told - (flow.base.log_density(z) - logdet)


def _check(name: str, steps: int, batch_size: int, learning_rate: float) -> None:
    counts = all(isinstance(count, int | np.integer) and count > 0 for count in (steps, batch_size))
    if not counts or not isinstance(learning_rate, int | float | np.floating) or not learning_rate > 0:
        raise ValueError(
            f"{name}: steps, batch_size and learning_rate must be positive, the first two whole numbers, not "
            f"{steps!r}, {batch_size!r}, {learning_rate!r}."
        )


def _descend(
    flow: Flow,
    loss_at: Callable[[int], torch.Tensor],
    steps: int,
    learning_rate: float,
    *,
    decay: bool,
    clip: float,
    progress: Progress | None,
) -> Training:
    """Steps of Adam on a loss that draws its points afresh."""
    started = monotonic()
    optimiser = torch.optim.Adam(flow.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps if decay else 10**9)
    losses = np.zeros(steps)
    for step in range(steps):
        loss = _finite(loss_at, step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(flow.parameters(), clip)
        optimiser.step()
        schedule.step()
        losses[step] = loss.item()
        if progress:
            progress(step + 1, steps, losses[step])
    return Training(losses, monotonic() - started)


def _finite(loss_at: Callable[[int], torch.Tensor], step: int) -> torch.Tensor:
    try:
        loss = loss_at(step)
    except FlowError:
        loss = torch.tensor(torch.nan)
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
        ValueError: data of another shape, or not finite; levels below 1.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    if not isinstance(levels, int | np.integer) or levels < 1:
        raise ValueError(f"bits_per_dimension: levels must be a whole number of at least 1, not {levels!r}.")
    rows = flow.rows(data)
    if noise is not None:
        rows = rows + flow.rows(noise.reshape(tuple(rows.shape))) / levels
    with torch.no_grad():
        nats = -flow.log_prob(rows).mean().item()
    return (nats / prod(flow.shape) + log(levels)) / log(2)
