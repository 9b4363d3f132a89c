"""The report on local complexity at data points: by layer, by class, right against wrong."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.labels import Labelled, at_least, estimate
from polytope.measures.local_complexity.count import local_complexity

CHUNK = 64  # points between two looks at the clock
DIRECTIONS = 25
SIGNS = "by signs of pre-activations in float64"


def complexity_facts(
    network: Network,
    x: FloatArray,
    labels: NDArray[np.int64] | None,
    radius: float,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Mean number of units that bend near a point.

    Arguments:
        x, labels: points ``[n, d]`` and perhaps their classes, ``int[n]``.
        radius: distance of the cross-polytope's vertices from its centre.
        seconds: no further points are taken after this time; the answer says how many were.
    """
    directions = min(network.input_dim, DIRECTIONS)
    start, parts = monotonic(), []
    for i in range(0, len(x), CHUNK):
        parts.append(local_complexity(network, x[i : i + CHUNK], radius, frames=directions).per_layer)
        if seconds is not None and monotonic() - start > seconds:
            break
    counts = np.concatenate(parts).astype(np.int64)
    facts = {
        "radius": radius,
        "directions": directions,
        "points": len(counts),
        "points_given": len(x),
        "total": _mean(counts.sum(axis=1), first=counts.shape[1] <= 1),
        "layers": [_mean(column, first=i == 0) for i, column in enumerate(counts.T)],
        "classes": [],
        "right": None,
        "wrong": None,
    }
    if labels is not None and network.output_dim > 1:
        facts |= _by_label(network, x[: len(counts)], labels[: len(counts)], counts)
    return facts


def _by_label(
    network: Network, x: FloatArray, labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> Mapping[str, Any]:
    """Means by class, and of points that the largest output classifies right or wrong."""
    total, one_layer = counts.sum(axis=1), counts.shape[1] <= 1
    right = network(x).argmax(axis=1) == labels
    return {
        "classes": [
            {
                "class": int(k),
                "points": int((labels == k).sum()),
                "total": _mean(total[labels == k], first=one_layer),
            }
            for k in np.unique(labels)[:100]
        ],
        "right": _group(total, right, one_layer),
        "wrong": _group(total, ~right, one_layer),
    }


def _group(total: NDArray[np.int64], member: NDArray[np.bool_], one_layer: bool) -> dict[str, Any] | None:
    if not member.any():
        return None
    return {"points": int(member.sum()), "total": _mean(total[member], first=one_layer)}


def _mean(counts: NDArray[np.int64], *, first: bool) -> Labelled:
    """All that bend in the first layer; the crossing count is a lower bound behind it."""
    mean = float(counts.mean())
    return estimate(mean, SIGNS) if first else at_least(mean, SIGNS)
