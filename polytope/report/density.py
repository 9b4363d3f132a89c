"""The report on density: how many regions lie on segments between data points and in squares around them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from polytope.geometry import Polyhedron, Slice
from polytope.ir.maps import FloatArray
from polytope.regions.enumerate import RegionCount, count_regions
from polytope.report.clock import Clock
from polytope.report.labels import Labelled, exact, interval
from polytope.report.subject import Subject

MOST = 32
"""Segments, and squares, that are looked at."""
LARGEST = 200_000
"""Regions after which one of them is given up."""


def density_facts(subject: Subject, radius: float, clock: Clock) -> dict[str, Any] | None:
    """Regions on segments and in squares, and per unit of length and of area of the input space.

    Arguments:
        radius: half the side of the squares.
    """
    if subject.points is None or len(subject.points) < 2 or not subject.network.n_units:
        return None
    squares = list(_squares(subject.points, radius)) if radius > 0 and len(subject.points) > 2 else []
    half = clock.left / 2
    return {
        "segments": _counted(subject, list(_segments(subject.points)), clock, half, "segments"),
        "squares": _counted(subject, squares, clock, 0.0, "squares"),
        "side": 2 * radius,
    }


def _segments(x: FloatArray) -> Iterator[tuple[Slice, Polyhedron, float]]:
    """Segments between successive data points: window, domain, length."""
    for start, end in pairwise(x[: MOST + 1]):
        length = float(np.linalg.norm(end - start))
        if length > 0:
            yield Slice.through(start, end), Polyhedron.box([0.0], [1.0]), length


def _squares(x: FloatArray, radius: float) -> Iterator[tuple[Slice, Polyhedron, float]]:
    """Squares around data points, in the plane through them and two others: window, domain, area."""
    for i in range(min(len(x), MOST)):
        others = np.stack([x[(i + 1) % len(x)], x[(i + 2) % len(x)]]) - x[i]
        axes, triangle = np.linalg.qr(others.T)
        if x.shape[1] > 1 and np.abs(np.diag(triangle)).min() > 1e-9 * np.abs(triangle).max():
            yield Slice(x[i], axes.T), Polyhedron.box([-radius] * 2, [radius] * 2), (2 * radius) ** 2


def _counted(
    subject: Subject,
    places: list[tuple[Slice, Polyhedron, float]],
    clock: Clock,
    reserve: float,
    name: str,
) -> dict[str, Any] | None:
    """Counts in one place after another, as many as the time allows, but for a reserve."""
    rows: list[tuple[RegionCount, float]] = []
    for i, (window, domain, size) in enumerate(places):
        left = clock.left - reserve
        limit = None if clock.limit is None else max(left, 0.05)
        found = None
        if left > 0:
            inside = subject.network.restrict(window)
            found = count_regions(inside, domain, max_regions=LARGEST, max_seconds=limit)
        out_of_time = found is None or not (found.complete or found.lower >= LARGEST)
        if found is not None and not (out_of_time and rows):
            rows.append((found, size))  # one that time ended is better than none, and worse than the others
        if out_of_time:
            missing = f"regions in {len(places) - i} of {len(places)} {name}"
            clock.refuse(missing, "the time allowed was used before")
            break
    return _summary(rows) if rows else None


def _summary(rows: list[tuple[RegionCount, float]]) -> dict[str, Any]:
    """Means over the places; bounds, where a count was not complete."""
    lower, size = np.array([(found.lower, measure) for found, measure in rows], dtype=float).T
    upper = np.array([float(min(found.upper, 10**300)) for found, _ in rows])

    def labelled(low: float, high: float) -> Labelled:
        return exact(low) if low == high else interval(low, high if high < 1e290 else float("inf"))

    return {
        "places": len(rows),
        "complete": sum(found.complete for found, _ in rows),
        "mean_size": exact(float(size.mean())),
        "regions": labelled(float(lower.mean()), float(upper.mean())),
        "density": labelled(float(lower.sum() / size.sum()), float(upper.sum() / size.sum())),
        "densest": labelled(float((lower / size).max()), float((upper / size).max())),
    }
