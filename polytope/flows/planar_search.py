r"""The nearest point of the plane where a scalar network is not negative, by enumeration in growing squares.

All points within the distance r of the start, by any p-norm, lie in the square of half width r around it. So
the nearest point found in a square is the nearest of all if it is no farther than r; otherwise r grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import numpy as np

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.measures.robustness import Radius
from polytope.measures.units import bounding_box
from polytope.regions.enumerate import enumerate_regions
from polytope.regions.found import Progress
from polytope.regions.vertex_search import cell_vertices

DOUBLINGS = 12  # beyond, the walk from region to region decides


def nearest_in_plane(
    reached: Network,
    start: FloatArray,
    norm: float,
    domain: Polyhedron,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Radius | None:
    """The distance from the start to where the network is at least 0; ``None`` if nothing is near.

    Arguments:
        reached: of two inputs and one output, negative at the start.
        start: a point of the domain, ``[2]``.
        norm: 1, 2 or infinity.
        domain: where to look.
        max_regions, max_seconds: budgets; the result is then an interval.
        progress: as of ``enumerate_regions``.
    """
    began, seen = monotonic(), 0
    half, box = _first_guess(reached, start), bounding_box(domain)
    proved, best, witness = 0.0, np.inf, None
    for _ in range(DOUBLINGS):
        left = None if max_seconds is None else max(max_seconds - (monotonic() - began), 1e-3)
        square = Polyhedron.box(start - half, start + half)
        both = Polyhedron(np.concatenate([square.A, domain.A]), np.concatenate([square.b, domain.b]))
        complex = enumerate_regions(
            reached, both, max_regions=max_regions, max_seconds=left, progress=progress
        )
        seen = max(seen, len(complex))
        if not complex.complete:
            return Radius(best, min(proved, best), witness, False, seen)
        J, c = reached.affine(complex.patterns)
        for corners, slope, level in zip(cell_vertices(complex), J[:, 0], c[:, 0], strict=True):
            for a, b in _edges(corners, corners @ slope + level):
                point = _nearest_on_segment(a, b, start, norm)
                away = float(np.linalg.norm(point - start, norm))
                if away < best:
                    best, witness = away, point
        proved = half
        covered = box is not None and bool((np.abs(box - start) <= half).all())
        if best <= half or covered:
            return Radius(best, best, witness, True, seen)
        half = 2 * half if best == np.inf else best * (1 + 2.0**-20)
    return None


def _first_guess(reached: Network, start: FloatArray) -> float:
    """The distance at which the function of the start's region would be 0, within reason."""
    slope = float(np.abs(reached.jacobian(start)).max())
    return float(np.clip(-reached(start)[0] / max(slope, 1e-12), 0.05, 1.0))


def _edges(corners: FloatArray, values: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The sides of the part of a convex polygon where an affine function is not negative."""
    if not values.max() >= 0:
        return
    away = corners - corners.mean(axis=0)
    order = np.argsort(np.arctan2(away[:, 1], away[:, 0]), kind="stable")
    points, levels = corners[order], values[order]
    kept: list[FloatArray] = []
    for i in range(len(points)):
        p, q, u, v = points[i - 1], points[i], levels[i - 1], levels[i]
        if (u < 0) != (v < 0):
            kept.append(p + u / (u - v) * (q - p))
        if v >= 0:
            kept.append(q)
    for i in range(len(kept)):
        yield kept[i - 1], kept[i]


def _nearest_on_segment(a: FloatArray, b: FloatArray, p: FloatArray, norm: float) -> FloatArray:
    """The point of a segment nearest to p: of the places where the length of its difference can turn."""
    along, off = b - a, a - p
    places = [0.0, 1.0]
    if norm == 2:
        turns = [(float(-off @ along), float(along @ along))]
    else:
        turns = [(-float(o), float(d)) for o, d in zip(off, along, strict=True)]
    if norm == np.inf:  # where the two coordinates are equally far
        turns += [(-float(off[0] - off[1]), float(along[0] - along[1]))]
        turns += [(-float(off[0] + off[1]), float(along[0] + along[1]))]
    places += [top / bottom for top, bottom in turns if bottom != 0 and 0 < top / bottom < 1]
    candidates = a + np.array(places)[:, None] * along
    nearest: FloatArray = candidates[np.linalg.norm(candidates - p, norm, axis=1).argmin()]
    return nearest
