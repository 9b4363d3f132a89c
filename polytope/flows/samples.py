r"""How well samples of a flow stand for a density: importance weights :math:`w = p(x) / q(x)`."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch

from polytope.flows.exact.lowering import checked_flow
from polytope.flows.flow import Flow
from polytope.flows.training import LogDensity, log_weights
from polytope.ir.oneline import one_line_of_estimates

AT_ONCE = 1 << 14  # samples


@dataclass(frozen=True, eq=False)
class SampleSize:
    r"""Estimates from samples of a flow.

    Arguments:
        share: :math:`(\sum w)^2 / (n \sum w^2)`, of n samples the share that they are worth; at most 1.
        log_partition: the logarithm of the mean weight, an estimate of :math:`\log \int p`.
        error: its standard error, by the spread of the weights seen; too small where a mode is never met.
        n: samples.
    """

    share: float
    log_partition: float
    error: float
    n: int

    __repr__ = one_line_of_estimates


def effective_sample_size(
    flow: Flow, log_density: LogDensity, n: int = 10_000, *, rng: np.random.Generator | None = None
) -> SampleSize:
    """How many independent samples of a density those of a flow are worth, and its integral; estimates.

    Arguments:
        flow: of the density's shape.
        log_density: of points ``[B, *shape]``, ``[B]``, up to a constant.
        n: samples, at least 2.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        TypeError: log_density gives no tensor.
        ValueError: fewer than two samples, or no density at one of them that is a number.

    Example:
        >>> import torch
        >>> from polytope import flows
        >>> flow = flows.Flow([flows.ActNorm(2)])
        >>> flows.effective_sample_size(flow, lambda x: -x.square().sum(1) / 2, 100).share
        1.0

    References: Kong, Liu, Wong (1994), "Sequential Imputations and Bayesian Missing Data Problems",
        https://doi.org/10.1080/01621459.1994.10476469
    """
    if not isinstance(n, int | np.integer) or n < 2:
        raise ValueError(f"effective_sample_size: at least two samples are needed, not {n!r}.")
    generator = np.random.default_rng(0 if rng is None else rng)
    checked_flow(flow, "effective_sample_size")
    with torch.no_grad():
        sizes = [min(AT_ONCE, n - begin) for begin in range(0, n, AT_ONCE)]
        parts = [log_weights(flow, log_density, size, generator) for size in sizes]
    told = torch.cat(parts).cpu().numpy()
    most = told.max()
    if np.isnan(told).any() or not np.isfinite(most):
        raise ValueError("effective_sample_size: log_density is no number at some samples.")
    w = np.exp(told - most)
    share = float(w.sum() ** 2 / (n * (w**2).sum()))
    error = float(w.std(ddof=1) / w.mean() / np.sqrt(n))
    return SampleSize(min(share, 1.0), float(most) + log(w.mean()), error, n)
