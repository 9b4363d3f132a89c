"""The report on distances: how far the data points nearest to the decision boundary are from it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from polytope.engines.budget import BudgetSpent
from polytope.ir import Network
from polytope.ir.looking import shielded
from polytope.ir.maps import FloatArray, IntArray
from polytope.labelled import Exact, Missing, Number, ends, interval
from polytope.measures.robustness import robustness_radius
from polytope.report.clock import Clock
from polytope.report.data_sections import Distances, PointDistance
from polytope.report.subject import Subject
from polytope.report.task import chosen

NEAREST = 10
"""Data points whose distance is looked for."""
MOST_TRIED = 2048  # points whose margins are compared first
SHARE = 60  # of the budget, the part that a point may take before all have had a turn
LEAST = 0.05  # seconds for a point


def distance_facts(
    subject: Subject, clock: Clock, found: dict[int, Number] | None = None
) -> Distances | None:
    """The distances of some data points from the decision boundary, in the whole input space.

    Asked for the first time, every point gets a small part of the budget only: other questions may still wait
    for time. Asked again, those that are not exact share what is left.

    Arguments:
        found: what is known of points, by number; the answers are added to it.
    """
    if subject.points is None:
        return None
    if subject.task.kind == "regression":
        clock.refuse("distances to the decision boundary", "the labels are values, so there are no classes")
        return None
    which, found = nearest_first(subject), {} if found is None else found
    each = np.inf if found else clock.budget / SHARE
    with suppress(BudgetSpent):  # what was found before stays
        _round(subject, which.tolist(), each, clock, found)
    if not found:
        clock.refuse("distances to the decision boundary", clock.why)
        return None
    _refuse(found, which, len(subject.points), clock)
    known = [i for i in which.tolist() if i in found]
    with shielded():  # a pass for what is found already
        classes = chosen(subject.network(subject.points[known]))
    rows = [PointDistance(i, int(c), found[i]) for i, c in zip(known, classes, strict=True)]
    rows.sort(key=lambda row: row.point)
    low, high = _ends([row.distance for row in rows])
    return Distances(
        norm=2,
        points=tuple(rows),
        of=len(subject.points),
        exact=sum(isinstance(row.distance, Exact) for row in rows),
        least=_enclosed(float(low.min()), float(high.min())),
        median=_enclosed(float(np.median(low)), float(np.median(high))),
    )


def _round(subject: Subject, which: list[int], each: float, clock: Clock, found: dict[int, Number]) -> None:
    """One look at every point that is not settled, at most some seconds for each."""
    assert subject.points is not None, "the caller looked"
    todo = [i for i in which if not _settled(found.get(i))]
    for k, i in enumerate(todo):
        if clock.left <= 0 and found:
            return
        limit = None if clock.limit is None else max(min(clock.left / (len(todo) - k), each), LEAST)
        one = robustness_radius(subject.network, subject.points[i], max_seconds=limit).number
        found[i] = tighter(found.get(i), one)


def nearest_first(subject: Subject) -> IntArray:
    """The numbers of the points that the slope of their margin puts nearest to the boundary.

    The margin of a point is how much its largest output is above the next (of one output: its size); over
    the norm of its slope it is the distance, if the region of the point reaches as far.
    """
    assert subject.points is not None, "the caller looked"
    x = subject.points[:MOST_TRIED]
    if len(x) <= NEAREST:
        return np.arange(len(x))
    return np.argsort(_estimates(subject.network, x), kind="stable")[:NEAREST]


def _estimates(network: Network, x: FloatArray) -> FloatArray:
    """Margins over their slopes, a few points at a time."""
    step = max(1, (1 << 22) // (network.input_dim * network.output_dim))
    parts = []
    for i in range(0, len(x), step):
        some = x[i : i + step]
        values, J = network(some), network.jacobian(some)
        if network.output_dim == 1:
            margin, slope = np.abs(values[:, 0]), J[:, 0]
        else:
            rows, top = np.arange(len(some)), np.argsort(values, axis=1)[:, -2:]
            margin = values[rows, top[:, 1]] - values[rows, top[:, 0]]
            slope = J[rows, top[:, 1]] - J[rows, top[:, 0]]
        norm = np.linalg.norm(slope, axis=1)
        parts.append(np.where(norm > 0, margin / np.where(norm > 0, norm, 1.0), np.inf))
    return np.concatenate(parts)


def _settled(number: Number | None) -> bool:
    return isinstance(number, Exact | Missing)


def tighter(known: Number | None, found: Number) -> Number:
    """What two proved intervals for one distance say together."""
    if known is None or isinstance(found, Exact | Missing):
        return found
    (a, b), (c, d) = ends(known), ends(found)
    return interval(max(a, c), min(b, d))


def _refuse(found: dict[int, Number], which: IntArray, n: int, clock: Clock) -> None:
    """Keep what of the distances was left out."""
    what = "distance to the decision boundary"
    if missing := len(which) - len(found):
        why = f"the time allowed was used by the first {len(found)}"
        clock.refuse(f"the {what} at {missing} of {len(which)} points", why)
    if opened := sum(not _settled(number) for number in found.values()):
        why = f"{clock.why}; they are intervals"
        clock.refuse(f"the exact {what} at {opened} of {len(which)} points", why)
    if n > len(which):
        why = f"the {len(which)} with the least margin over its slope are looked at"
        clock.refuse(f"the {what} at the other {n - len(which):,} data points", why)


def _ends(distances: list[Number]) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of distances; infinite where there is no other class."""
    known = [(np.inf, np.inf) if isinstance(d, Missing) else ends(d) for d in distances]
    low, high = np.array(known, dtype=float).T
    return low, high


def _enclosed(low: float, high: float) -> Number:
    return interval(low, high) if np.isfinite(low) else Missing("there is no other class")
