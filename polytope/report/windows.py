"""Windows through the data for the interactive pictures: which planes, their regions, and one number each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from polytope.core.result import SearchResult
from polytope.engines.budget import BudgetSpent
from polytope.engines.sampling import TOGETHER, random_points
from polytope.geometry import Polyhedron, Slice
from polytope.ir import Network
from polytope.ir.looking import shielded
from polytope.ir.maps import FloatArray, IntArray
from polytope.measures.local_complexity.count import local_complexity
from polytope.measures.operator_norm import operator_norms
from polytope.plots.planar import outlines
from polytope.regions.complex import RegionComplex
from polytope.report.clock import Clock
from polytope.report.scope import window_scope
from polytope.report.subject import Subject, to_distances
from polytope.runs.enumerate import enumerate_regions

MOST_REGIONS = 25_000
"""Regions in a picture: a window that has more is drawn in part, around its centre."""
LARGEST_MAPS = 2_000_000
"""Numbers that the affine maps of a picture may fill."""
LEAST_REGIONS = 300
SHRINKS = 24  # each to a quarter of the area
TRIALS = 6  # of them, that share the time; what is drawn then is a small part
LEAST_SHARE = 1e-4  # of each side, the part around the centre that is tried last
TRIED = 64  # points at which the time of a picture's numbers is measured
GRIDS = (12, 24, 48, 96, 192)  # points along a side of the grid on which the whole of a place is sampled
CHUNK = 1024  # regions between two looks at the clock


@dataclass(frozen=True, eq=False)
class Place:
    """A part of a plane that is to be drawn.

    Arguments:
        plane: in the input space; ``None`` where that is a plane itself.
        domain: in the plane's coordinates.
        center: what to keep in sight if a part is drawn.
        marks: data points in it, ``[n, 2]``, and their numbers ``int[n]``.
        axes: what its coordinates are called.
    """

    title: str
    network: Network
    plane: Slice | None
    domain: Polyhedron
    center: FloatArray
    marks: FloatArray
    numbers: IntArray
    axes: tuple[str, str] = ("t₁", "t₂")


@dataclass(frozen=True, eq=False)
class Window:
    """A plane with its regions.

    Arguments:
        complex: all the regions of the part that is drawn.
        polygons: their outlines.
        maps: their affine maps in the plane's coordinates, ``(J [R, out, 2], c [R, out])``.
        share: side of the part that is drawn, as a share of the window's; 0 where there are samples only.
        complexity: ``int[R]``, units with a crossing near the middle of a region; ``None`` where left out.
        radius: of that, in the input space.
        sample: the outputs at the middles of a grid over the whole place, ``[n, n, out]``, rows from below;
            ``None`` where all of it is drawn, or time was short.
    """

    place: Place
    complex: RegionComplex
    polygons: list[FloatArray]
    maps: tuple[FloatArray, FloatArray]
    share: float
    complexity: IntArray | None
    radius: float
    sample: FloatArray | None = None

    @property
    def norms(self) -> FloatArray:
        """The norm of each region's Jacobian along the plane, by lengths of the input space, ``[R]``."""
        return operator_norms(self.maps[0] @ to_distances(self.place.plane, 2))


def windows(subject: Subject, complex: RegionComplex, clock: Clock) -> list[Window]:
    """The windows that time allows, each complete in the part that is drawn."""
    drawn: list[Window] = []
    places = list(_places(subject))
    for i, place in enumerate(places):
        what = f"a picture of {place.title}"
        if clock.left <= 0:
            clock.refuse(what, "the time allowed was used before")
            continue
        try:
            window = _drawn(subject, place, complex, clock, len(places) - i)
        except BudgetSpent:
            window = None
        if window is None or not len(window.complex):
            why = "no part of it could be completed in the time allowed"
            clock.refuse(f"the regions in {what}" if window else what, why)
        if window is not None:
            drawn.append(window)
    return drawn


def _drawn(
    subject: Subject, place: Place, complex: RegionComplex, clock: Clock, waiting: int
) -> Window | None:
    """A window with all regions of it or of a part; with samples only, where no part is complete in time."""
    seconds = clock.left / waiting
    try:
        most = _affordable(subject, place, seconds)
        if place.domain is complex.domain and complex.complete and len(complex) <= most:
            return _window(subject, place, complex, 1.0, clock)
        if found := _part(place, clock, seconds / 2, most):
            return _window(subject, place, *found, clock)
    except BudgetSpent:
        pass
    with shielded():  # a grid that is coarse, and looks at the clock itself
        sample = _sampled(place, clock)
    if sample is None:
        return None
    network, none = place.network, np.zeros((0, 2))
    nothing = SearchResult(
        engine=complex.engine,
        n_regions=0,
        open_bound=1,
        kept_patterns=np.zeros((0, network.n_units), np.int8),
        interior_points=none,
    )
    maps = np.zeros((0, network.output_dim, 2)), np.zeros((0, network.output_dim))
    known = RegionComplex(network, place.domain, nothing)
    return Window(place, known, [], maps, 0.0, None, subject.radius, sample)


def most_regions(network: Network) -> int:
    """The regions of a picture whose affine maps are not too many."""
    return max(min(MOST_REGIONS, LARGEST_MAPS // (3 * network.output_dim)), LEAST_REGIONS)


def _affordable(subject: Subject, place: Place, seconds: float) -> int:
    """The regions that a picture shows at most: as many as half the time is enough to look at."""
    most = most_regions(place.network)
    if seconds == float("inf"):
        return most
    tried = int(np.clip(TOGETHER // max(place.network.n_units, 1), 1, TRIED))
    [t] = random_points(place.domain, tried, np.random.default_rng(0))
    patterns = place.network.pattern(t)
    for _ in range(2):  # the first time tables are made
        start = perf_counter()
        place.network.affine(patterns)
        local_complexity(place.network, t, 1e-3, frames=2)
    return int(np.clip(tried * seconds / (2 * (perf_counter() - start)), LEAST_REGIONS, most))


def _places(subject: Subject) -> Iterator[Place]:
    """The domain, if it is a plane, else the plane through three data points, or along two axes of a box."""
    scope, x = subject.scope, subject.points
    whole = scope.domain.dim == 2 and scope.domain.is_bounded
    if whole:
        marks, numbers = _in_plane(subject, scope.window, scope.domain)
        center = marks.mean(axis=0) if 0 < len(marks) <= 3 else scope.domain.inscribed_ball[0]
        title = scope.description if len(scope.description) < 200 else "the domain"
        axes = ("t₁", "t₂") if scope.window else ("input 0", "input 1")
        yield Place(title, subject.inside, scope.window, scope.domain, center, marks, numbers, axes)
    if x is not None and len(x) >= 3 and subject.network.input_dim > 2:
        chosen = _of_three_classes(subject)
        if not whole or (subject.labels is not None and chosen != [0, 1, 2]):
            place = _through(subject, chosen)
            if place:
                yield place
    elif not whole and scope.low is not None and scope.high is not None and scope.domain.dim > 2:
        yield _along_axes(subject, scope.low, scope.high)


def _of_three_classes(subject: Subject) -> list[int]:
    """The first point of each of three classes, where the data has three; else the first three points."""
    if subject.labels is None:
        return [0, 1, 2]
    _, first = np.unique(subject.labels, return_index=True)
    return sorted(first.tolist())[:3] if len(first) >= 3 else [0, 1, 2]


def _through(subject: Subject, chosen: list[int]) -> Place | None:
    """The window through three data points."""
    assert subject.points is not None, "the caller looked"
    names = "data points " + ", ".join(map(str, chosen[:-1])) + f" and {chosen[-1]}"
    try:
        scope = window_scope(subject.points[chosen], names=names)
    except ValueError:  # the points lie on a line
        return None
    marks, numbers = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array(chosen)
    inside, center = scope.restricted(subject.network), np.full(2, 1 / 3)
    return Place(scope.description, inside, scope.window, scope.domain, center, marks, numbers)


def _along_axes(subject: Subject, low: FloatArray, high: FloatArray) -> Place:
    """The plane through the middle of a box, along its two widest sides."""
    first, second = np.sort(np.argsort(high - low, kind="stable")[-2:]).tolist()
    middle = (low + high) / 2
    base = middle.copy()
    base[[first, second]] = 0.0
    inner = Slice(base, np.eye(len(low))[[first, second]])
    outer = subject.scope.window
    plane = inner if outer is None else Slice(outer.lift(base[None])[0], inner.directions @ outer.directions)
    domain = Polyhedron.box(low[[first, second]], high[[first, second]])
    title = f"the plane through the middle of the domain along coordinates {first} and {second}"
    center, none = middle[[first, second]], np.zeros((0, 2))
    axes = (f"coordinate {first}", f"coordinate {second}")
    inside, numbers = subject.inside.restrict(inner), np.zeros(0, dtype=np.int64)
    return Place(title, inside, plane, domain, center, none, numbers, axes)


def _in_plane(subject: Subject, plane: Slice | None, domain: Polyhedron) -> tuple[FloatArray, IntArray]:
    """The data points in a part of a plane: coordinates and numbers."""
    if subject.points is None:
        return np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
    x = subject.points[:2000]
    t = x if plane is None else np.linalg.lstsq(plane.directions.T, (x - plane.base).T, rcond=None)[0].T
    away = np.abs(x - t) if plane is None else np.abs(plane.lift(t) - x)
    size = float(np.abs(x).max()) or 1.0
    near = (away.max(axis=1) <= 1e-9 * size) & domain.contains(t)
    return t[near], np.flatnonzero(near)


def _part(place: Place, clock: Clock, seconds: float, most: int) -> tuple[RegionComplex, float] | None:
    """All regions of the place, or of the largest part around its centre that has at most ``most``."""
    limit, share = None if clock.limit is None else max(seconds / TRIALS, 1e-3), 1.0
    for trial in range(SHRINKS):
        b = place.domain.b * share + (1 - share) * (place.domain.A @ place.center)
        domain = place.domain if share == 1.0 else Polyhedron(place.domain.A, b)
        found = enumerate_regions(
            place.network, domain, max_regions=most, max_seconds=limit, max_memory=clock.max_memory
        )
        if found.complete:
            return found, share
        if clock.left <= 0 or share == LEAST_SHARE:
            return None
        share = LEAST_SHARE if limit is not None and trial + 2 == TRIALS else share / 2
    return None


def _window(subject: Subject, place: Place, complex: RegionComplex, share: float, clock: Clock) -> Window:
    polygons = outlines(complex)
    K = to_distances(place.plane, 2)
    corners = np.concatenate(polygons) @ np.linalg.inv(K).T
    radius = subject.radius or 0.02 * float(np.ptp(corners, axis=0).max())
    maps = complex.network.affine(complex.patterns)
    numbers = _complexities(complex, K, radius, clock)
    sample = _sampled(place, clock) if share < 1 else None
    return Window(place, complex, polygons, maps, share, numbers, radius, sample)


def _sampled(place: Place, clock: Clock) -> FloatArray | None:
    """The outputs on the finest grid over a place that a quarter of what is left allows."""
    low, high = place.domain.bounds
    found, start = None, perf_counter()
    for n in GRIDS:
        if found is not None and 4 * (perf_counter() - start) > clock.left / 4:
            break
        start = perf_counter()
        steps = (np.arange(n) + 0.5) / n
        first, second = np.meshgrid(*(low[a] + steps * (high[a] - low[a]) for a in (0, 1)))
        t = np.stack([first.ravel(), second.ravel()], axis=1)
        step = int(np.clip(TOGETHER // max(place.network.n_units, 1), 1, CHUNK))
        rows = []
        for i in range(0, len(t), step):
            if clock.left <= 0:
                return found
            rows.append(place.network(t[i : i + step]))
        found = np.concatenate(rows).reshape(n, n, -1)
    return found


def _complexities(complex: RegionComplex, K: FloatArray, radius: float, clock: Clock) -> IntArray | None:
    """Units that change piece among four points in the plane at a distance from each region's middle."""
    counts: list[IntArray] = []
    for i in range(0, len(complex), CHUNK):
        if clock.left <= 0:
            why = f"the time allowed ended after {i:,} of {len(complex):,} regions"
            clock.refuse("local complexity in a picture", why)
            return None
        x = complex.interior_points[i : i + CHUNK]
        counts.append(local_complexity(complex.network, x, radius, frames=K.T).total.astype(np.int64))
    return np.concatenate(counts)
