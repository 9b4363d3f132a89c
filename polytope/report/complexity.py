"""The report on local complexity at data points: by layer, by class, right against wrong."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from polytope.engines.budget import Budget, BudgetSpent
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.labelled import Estimate, Number
from polytope.measures.local_complexity.count import local_complexity
from polytope.report.data_sections import ClassGroup, Group, LocalComplexityFacts
from polytope.report.task import chosen

CHUNK = 64  # points between two looks at the clock
DIRECTIONS = 25
SIGNS = "by signs of pre-activations in float64"


def complexity_facts(
    network: Network,
    x: FloatArray,
    labels: NDArray[np.int64] | None,
    radius: float,
    seconds: float | None = None,
) -> LocalComplexityFacts:
    """Mean number of units with a crossing near a point.

    Arguments:
        x, labels: points ``[n, d]`` and perhaps their classes, ``int[n]``.
        radius: distance of the cross-polytope's vertices from its centre.
        seconds: no further points are taken after this time; the answer says how many were.
    """
    directions = min(network.input_dim, DIRECTIONS)
    budget, parts, done = Budget(None, None if seconds is None else max(seconds, 1e-3)), [], 0
    while done < len(x) and not (done and budget.late()):
        some = x[done : done + min(2 * done + 1, CHUNK)]
        try:
            with watched(budget.look) if done else nullcontext():  # one point, if the caller can wait
                parts.append(local_complexity(network, some, radius, frames=directions).per_layer)
        except BudgetSpent:
            if not done:
                raise
            break
        done += len(some)
    counts = np.concatenate(parts).astype(np.int64)
    facts = LocalComplexityFacts(
        radius=radius,
        directions=directions,
        points=len(counts),
        points_given=len(x),
        total=_mean(counts.sum(axis=1), first=counts.shape[1] <= 1),
        layers=tuple(_mean(column, first=i == 0) for i, column in enumerate(counts.T)),
    )
    if labels is None:
        return facts
    return _by_label(facts, network, x[: len(counts)], labels[: len(counts)], counts)


def _by_label(
    facts: LocalComplexityFacts,
    network: Network,
    x: FloatArray,
    labels: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> LocalComplexityFacts:
    """Means by class, and of points classified right or wrong."""
    total, one_layer = counts.sum(axis=1), counts.shape[1] <= 1
    right = chosen(network(x)) == labels
    classes = tuple(
        ClassGroup(int((labels == k).sum()), _mean(total[labels == k], first=one_layer), class_=int(k))
        for k in np.unique(labels)[:100]
    )
    groups = _group(total, right, one_layer), _group(total, ~right, one_layer)
    return replace(facts, classes=classes, right=groups[0], wrong=groups[1])


def _group(total: NDArray[np.int64], member: NDArray[np.bool_], one_layer: bool) -> Group | None:
    if not member.any():
        return None
    return Group(int(member.sum()), _mean(total[member], first=one_layer))


def _mean(counts: NDArray[np.int64], *, first: bool) -> Number:
    """All of the first layer; behind it a lower bound, if the signs are right."""
    return Estimate(float(counts.mean()), SIGNS if first else f"a lower bound, {SIGNS}")
