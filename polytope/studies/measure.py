"""The figures of one network: accuracy, regions of planes through images, bounds, local complexity."""

from __future__ import annotations

from typing import Any

import numpy as np

from polytope.geometry import Polyhedron
from polytope.ir import Network
from polytope.labelled import log10
from polytope.measures.counting import region_bounds
from polytope.measures.local_complexity.count import local_complexity
from polytope.report.subject import default_radius
from polytope.runs.enumerate import enumerate_regions
from polytope.studies.data import Data, planes
from polytope.studies.segments import count_crossings
from polytope.studies.spec import MeasureSpec


def measure(network: Network, data: Data, spec: MeasureSpec) -> dict[str, Any]:
    """Figures of a network at one moment of its training.

    Returns:
        ``accuracy`` on the test images; ``windows``, for each plane the interval ``lower .. upper`` of its
        activation regions (equal where exact) and its ``linear`` regions (``None`` if not all regions are
        known); ``segments``, the interval of the crossings on each side of the windows' triangles;
        ``local_complexity``, the mean crossing count at test images, by layer; ``log10_bound``, of the least
        published bound for a plane (``None`` if none applies to this architecture).
    """
    square = Polyhedron.box([spec.low] * 2, [spec.high] * 2)
    windows = []
    for plane in planes(data, spec.windows):
        found = enumerate_regions(network.restrict(plane), square, max_seconds=spec.max_seconds)
        linear = len(np.unique(found.merged())) if found.complete else None
        windows.append({"lower": found.lower, "upper": found.upper, "linear": linear})
    points = data.x_test[: spec.points]
    directions = min(spec.directions, network.input_dim)
    counts = local_complexity(network, points, radius_of(data, spec), frames=directions).per_layer
    return {
        "accuracy": float((network(data.x_test).argmax(axis=1) == data.y_test).mean()),
        "windows": windows,
        "segments": count_crossings(network, data, spec),
        "local_complexity": counts.mean(axis=0).tolist(),
        "log10_bound": _log10_bound(network.restrict(planes(data, 1)[0])),
    }


def radius_of(data: Data, spec: MeasureSpec) -> float:
    """The radius of the local complexity, given or chosen by the test images."""
    return spec.radius or default_radius(data.x_test)


def _log10_bound(network: Network) -> float | None:
    try:
        return log10(region_bounds(network).upper)
    except ValueError:
        return None
