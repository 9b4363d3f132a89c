"""Crossings on segments between test images: exact counts, and what is expected at initialisation."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import sqrt

from polytope.geometry import Polyhedron, Slice
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.runs.enumerate import count_regions
from polytope.studies.data import Data, planes
from polytope.studies.spec import Architecture, MeasureSpec

Segment = tuple[FloatArray, FloatArray]


def segments(data: Data, spec: MeasureSpec) -> list[Segment]:
    """The sides of the triangles of test images through which the windows go, their ends ``[d]``."""
    corners = [plane.lift([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) for plane in planes(data, spec.windows)]
    return [pair for triangle in corners for pair in combinations(triangle, 2)]


def count_crossings(network: Network, data: Data, spec: MeasureSpec) -> list[dict[str, int]]:
    """For each segment the interval of its number of crossings, one less than its regions; equal where exact.

    Arguments:
        network: whose units cross.
        data: the test images.
        spec: how many windows, and the time of a count.
    """
    found = []
    for a, b in segments(data, spec):
        on_segment = network.restrict(Slice.through(a, b))
        regions = count_regions(on_segment, Polyhedron.box([0.0], [1.0]), max_seconds=spec.max_seconds)
        found.append({"lower": max(regions.lower - 1, 0), "upper": regions.upper - 1})
    return found


def expected_on_segments(architecture: Architecture, data: Data, spec: MeasureSpec) -> float | None:
    """The mean number of crossings that infinite width expects at initialisation: an estimate.

    Arguments:
        architecture: whose weights begin independently, without skips.
        data: the test images.
        spec: how many windows.

    Returns:
        The mean over the segments; ``None`` of skips and of orthogonal weights, and where a segment goes
        through 0 and there are no biases.
    """
    from polytope import infinite  # loads torch
    from polytope.studies.training import SLOPE

    if architecture.skip or architecture.initialisation == "orthogonal":
        return None
    bend = {
        "relu": infinite.relu(),
        "leaky_relu": infinite.leaky_relu(SLOPE),
        "absolute": infinite.absolute(),
        "hard_tanh": infinite.hard_tanh(),
    }[architecture.activation]
    sizes = architecture.sizes(data.x.shape[1], data.classes)
    steps: list[infinite.Linear | infinite.Bend] = []
    for fan_in, width in pairwise(sizes[:-1]):
        steps += [infinite.dense(*_deviations(architecture, fan_in, width), width=width), bend]
    net = infinite.chain(steps, (sizes[0],))
    try:
        found = [infinite.expected_crossings(net, *pair).total.value for pair in segments(data, spec)]
    except ValueError:
        return None
    return sum(found) / len(found)


def _deviations(architecture: Architecture, fan_in: int, width: int) -> tuple[float, float]:
    """Standard deviations of the weights, times the root of fan_in, and of the biases."""
    if architecture.initialisation == "he":
        return sqrt(2.0), 0.0
    if architecture.initialisation == "glorot":
        return sqrt(2.0 * fan_in / (fan_in + width)), 0.0
    return sqrt(1 / 3), sqrt(1 / (3 * fan_in))
