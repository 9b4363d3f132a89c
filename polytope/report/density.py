"""The report on density: how many regions lie on segments between data points and in squares around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from time import perf_counter

import numpy as np

from polytope.geometry import Polyhedron, Slice
from polytope.ir.maps import FloatArray
from polytope.labelled import Exact, Number, interval
from polytope.report.clock import Clock
from polytope.report.data_sections import Density, Places
from polytope.report.expected import Counted, crossing_facts
from polytope.report.subject import Subject
from polytope.runs.enumerate import RegionCount, count_regions

MOST = 32
"""Segments, and squares, that are looked at."""
ENOUGH = 8
"""Places for which time should be left: else a part of each is looked at, and not all of a few."""
LEAST_SHARE = 1 / 16
"""Of the length or area of a place, the least part that is looked at."""
LARGEST = 200_000
"""Regions after which one of them is given up."""

Place = tuple[Slice, Polyhedron, float]
"""A window, a domain in it, and the domain's length or area in the input space."""


@dataclass(frozen=True, eq=False)
class _Looked:
    """The places of one kind that were looked at, in their order, and the share of each."""

    share: float
    rows: list[tuple[RegionCount, Place]]


def density_facts(subject: Subject, radius: float, clock: Clock) -> Density | None:
    """Regions on segments and in squares, and per unit of length and of area of the input space.

    Arguments:
        radius: half the side of the squares.
    """
    x = subject.points
    if x is None or len(x) < 2 or not subject.network.n_units:
        return None
    half = 0.0 if clock.limit is None else clock.left / 2
    on_segments = _counted(subject, partial(_segments, x), clock, half, "segments")
    crossings = crossing_facts(subject.network, _complete(x, on_segments), clock)
    in_squares = None
    if radius > 0 and len(x) > 2:
        in_squares = _counted(subject, partial(_squares, x, radius), clock, 0.0, "squares")
    squares = None if in_squares is None else _summary(in_squares)
    return Density(_summary(on_segments), squares, 2 * radius, crossings)


def _segments(x: FloatArray, share: float) -> Iterator[Place]:
    """A piece of each segment between successive data points, somewhere on it."""
    rng = np.random.default_rng(0)
    for i in _apart(x):
        length = float(np.linalg.norm(x[i + 1] - x[i]))
        first = rng.uniform(0.0, 1.0 - share)
        yield Slice.through(x[i], x[i + 1]), Polyhedron.box([first], [first + share]), share * length


def _apart(x: FloatArray) -> list[int]:
    """Numbers of the first data points that differ from the next."""
    return [i for i, (start, end) in enumerate(pairwise(x[: MOST + 1])) if np.linalg.norm(end - start) > 0]


def _squares(x: FloatArray, radius: float, share: float) -> Iterator[Place]:
    """Squares around data points, in the plane through them and two others."""
    half = radius * share**0.5
    for i in range(min(len(x), MOST)):
        others = np.stack([x[(i + 1) % len(x)], x[(i + 2) % len(x)]]) - x[i]
        axes, triangle = np.linalg.qr(others.T)
        if x.shape[1] > 1 and np.abs(np.diag(triangle)).min() > 1e-9 * np.abs(triangle).max():
            yield Slice(x[i], axes.T), Polyhedron.box([-half] * 2, [half] * 2), (2 * half) ** 2


def _counted(
    subject: Subject, places: Callable[[float], Iterator[Place]], clock: Clock, reserve: float, name: str
) -> _Looked:
    """Counts in one place after another, as many as the time allows, but for a reserve.

    Arguments:
        places: given the share of the length or area of each that is looked at.
    """
    allowed = clock.left - reserve
    share = _affordable(subject, places, allowed)
    rows: list[tuple[RegionCount, Place]] = []
    chosen = list(places(share))
    for i, place in enumerate(chosen):
        window, domain, _ = place
        left = max(clock.left - reserve, 0.0 if rows else allowed / 2)  # half of it is not for trying
        limit = None if clock.limit is None else max(left, 0.05)
        found = None
        if left > 0:
            inside = subject.network.restrict(window)
            found = count_regions(
                inside, domain, max_regions=LARGEST, max_seconds=limit, max_memory=clock.max_memory
            )
        out_of_time = found is None or not (found.complete or found.lower >= LARGEST)
        if found is not None and found.lower and not (out_of_time and rows):
            rows.append((found, place))  # one that time ended is better than none, and worse than the others
        if out_of_time:
            missing = f"regions in {len(chosen) - i} of {len(chosen)} {name}"
            clock.refuse(missing, "the time allowed was used before")
            break
    return _Looked(share, rows)


def _affordable(subject: Subject, places: Callable[[float], Iterator[Place]], seconds: float) -> float:
    """The share of each place that should fit into the seconds, tried on a small one."""
    place = next(places(LEAST_SHARE), None)
    if place is None or seconds <= 0 or seconds == float("inf"):
        return 1.0
    window, domain, _ = place
    inside, tried = subject.network.restrict(window), 0.0
    for _ in range(2):  # the first time code is loaded
        start = perf_counter()
        count_regions(inside, domain, max_regions=LARGEST, max_seconds=max(seconds / 4, 0.05))
        tried = perf_counter() - start
        if ENOUGH * tried >= seconds:
            return LEAST_SHARE
    return float(np.clip(seconds * LEAST_SHARE / (ENOUGH * tried), LEAST_SHARE, 1.0))


def _complete(x: FloatArray, looked: _Looked) -> list[Counted]:
    """The segments whose regions were all counted."""
    return [
        Counted(i, window.lift(domain.vertices()), found.lower)
        for i, (found, (window, domain, _)) in zip(_apart(x), looked.rows, strict=False)
        if found.complete
    ]


def _summary(looked: _Looked) -> Places | None:
    """Means over the places; bounds, where a count was not complete."""
    rows = looked.rows
    if not rows:
        return None
    lower, size = np.array([(found.lower, place[2]) for found, place in rows], dtype=float).T
    upper = np.array([float(min(found.upper, 10**300)) for found, _ in rows])

    def enclosed(low: float, high: float) -> Number:
        return interval(low, high if high < 1e290 else float("inf"))

    return Places(
        share=looked.share,
        places=len(rows),
        complete=sum(found.complete for found, _ in rows),
        mean_size=Exact(float(size.mean())),
        regions=enclosed(float(lower.mean()), float(upper.mean())),
        density=enclosed(float(lower.sum() / size.sum()), float(upper.sum() / size.sum())),
        densest=enclosed(float((lower / size).max()), float((upper / size).max())),
    )
