"""The nearest counterfactuals of several data points, with one budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, Progress
from polytope.flows.exact.behind import classifier_network
from polytope.flows.exact.counterfactual import ExactCounterfactual, exact_counterfactual
from polytope.flows.flow import Flow
from polytope.given import DomainLike, described
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray


def exact_counterfactuals(
    f: Network | nn.Module,
    flow: Flow,
    x: ArrayLike,
    target: ArrayLike,
    *,
    margin: float = 0.0,
    norm: float | str = 2,
    domain: DomainLike | None = None,
    box: ArrayLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> tuple[ExactCounterfactual, ...]:
    """``exact_counterfactual`` of several data points; the model is read once.

    Arguments:
        f, flow, margin, norm, domain, progress: as of ``exact_counterfactual``.
        x: data points, ``[B, D]``.
        target: one class or value for all points, or one for each, ``[B]``.
        box: of data space, ``[2, D]`` for all points, or ``[B, 2, D]``, one for each.
        max_regions: budget for each point.
        max_seconds: budget for all points: each has an equal share of what is left.

    Returns:
        one result for each point, in their order.

    Raises:
        ValueError: numbers of points, targets and boxes differ; else as ``exact_counterfactual``.

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> flow = flows.Flow([flows.LULinear(2, matrix=[[2.0, 0.0], [0.0, 1.0]])])
        >>> line = pt.mlp([([[1.0, 0.0]], [0.0])])  # the value is x_1 = 2 z_1
        >>> [one.distance for one in exact_counterfactuals(line, flow, [[0.0, 3.0], [1.0, 0.0]], 4.0)]
        [2.0, 1.5]
    """
    network, budget = classifier_network(f, flow, "exact_counterfactuals"), Budget(None, max_seconds)
    points = _rows(x, "x")
    if points.ndim < 2 or points[:1].size != flow.dim * len(points[:1]):
        raise ValueError(f"exact_counterfactuals: x must be points [B, {flow.dim}], not {np.shape(x)}.")
    n = len(points)
    targets = _rows(target, "the target").ravel()
    if len(targets) not in (1, n):
        raise ValueError(f"exact_counterfactuals: one target, or {n} targets, not {len(targets)}.")
    boxes: FloatArray | list[None] = [None] * n
    if box is not None:
        given = _rows(box, "the box")
        boxes = np.broadcast_to(given, (n, *given.shape)) if given.ndim < 3 else given
        if len(boxes) != n:
            raise ValueError(f"exact_counterfactuals: one box, or {n} boxes, not {len(boxes)}.")
    found: list[ExactCounterfactual] = []
    for i in range(n):
        seconds = None if budget.rest is None else budget.rest / (n - i)
        found.append(
            exact_counterfactual(
                network,
                flow,
                points[i],
                float(targets[i % len(targets)]),
                margin=margin,
                norm=norm,
                domain=domain,
                box=boxes[i],
                max_regions=max_regions,
                max_seconds=seconds,
                progress=progress,
            )
        )
    return tuple(found)


def _rows(given: ArrayLike, name: str) -> FloatArray:
    """Numbers."""
    try:
        return floats(given)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"exact_counterfactuals: {name} must be of real numbers, not {described(given)}."
        ) from error
