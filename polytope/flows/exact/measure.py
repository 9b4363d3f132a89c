r"""The base distribution's mass of polytopes, in closed form.

Normal base in the plane: a triangle at the origin, at distance h from its opposite side, which goes from
:math:`t_1` to :math:`t_2` along that side's line, has the mass :math:`G(h, t_2) - G(h, t_1)` with
:math:`G(h, t) = \arctan(t / h) / 2 \pi - T(h, t / h)` and Owen's function T. Laplace base: on a simplex in
one orthant :math:`\int e^{-\ell} = d!\, \mathrm{vol} \cdot \exp[-\ell_0, .., -\ell_d]`, a divided difference
at the vertices (Hermite and Genocchi). Uniform base: volumes. One dimension: distribution functions. All in
float64, without bounds on the rounding.

References: Owen (1956), "Tables for Computing Bivariate Normal Probabilities",
    https://doi.org/10.1214/aoms/1177728074
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.spatial import Delaunay
from scipy.special import owens_t

from polytope.flows.base import Base
from polytope.geometry.polyhedron import hull_volume
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray

TOGETHER = 1 << 14  # simplices at once
TERMS = 20  # of Taylor's sum at 1/2 and less, beyond those that reach the corner: to the last bit

CUTS: dict[str, tuple[float, ...]] = {  # where a coordinate's density is not one formula
    "normal": (),
    "laplace": (0.0,),
    "uniform": (0.0, 1.0),
}


def has_closed_form(base: Base, dim: int) -> bool:
    """Whether masses of polytopes are computed from their vertices, and not sampled."""
    return dim <= {"normal": 2, "laplace": 6, "uniform": 6}.get(base.name, 1)


def cell_masses(base: Base, cells: Iterable[FloatArray], dim: int) -> FloatArray:
    """The masses of polytopes given by their vertices ``[v, d]``, none of which a cut of the base crosses."""
    if dim == 1:
        ends = [(cell.min(axis=0), cell.max(axis=0)) for cell in cells]
        return np.array([base.box_mass(low, high) for low, high in ends])
    if base.name == "normal":
        return _normal_masses([_in_order(cell) for cell in cells])
    if base.name == "laplace":
        return _laplace_masses(list(cells), dim)
    return np.array([hull_volume(cell) * float(_in_unit_cube(cell.mean(axis=0))) for cell in cells])


def _in_unit_cube(point: FloatArray) -> bool:
    return bool(((point > 0) & (point < 1)).all())


def _in_order(polygon: FloatArray) -> FloatArray:
    """The vertices of a convex polygon counterclockwise."""
    away = polygon - polygon.mean(axis=0)
    ordered: FloatArray = polygon[np.argsort(np.arctan2(away[:, 1], away[:, 0]), kind="stable")]
    return ordered


def _normal_masses(polygons: list[FloatArray]) -> FloatArray:
    """Signed masses of the triangles between the origin and the sides, added up."""
    if not polygons:
        return np.zeros(0)
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    side = end - start
    length = np.hypot(*side.T)
    along = np.where(length[:, None] > 0, side, 1.0) / np.where(length > 0, length, 1.0)[:, None]
    height = start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0]
    h = np.abs(height)
    ends = [(point * along).sum(axis=1) for point in (start, end)]
    share = _beside(h, ends[1]) - _beside(h, ends[0])
    triangles = np.where(length > 0, np.sign(height) * share, 0.0)
    owner = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    sums = np.bincount(owner, triangles, minlength=len(polygons))
    return np.asarray(np.maximum(sums, 0.0), dtype=float)


def _beside(h: FloatArray, t: FloatArray) -> FloatArray:
    """The mass of the right triangle with the legs h and t at the origin, with t's sign."""
    safe = np.where(h > 0, h, 1.0)
    with np.errstate(over="ignore"):
        slope = t / safe
    mass: FloatArray = np.where(h > 0, np.arctan2(t, safe) / (2 * np.pi) - owens_t(safe, slope), 0.0)
    return mass


def _laplace_masses(cells: list[FloatArray], dim: int) -> FloatArray:
    """For each cell the sum over the simplices of a triangulation, all cells together."""
    parts = [_simplices(corners, dim) for corners in cells]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    at = np.concatenate([np.zeros((0, dim + 1, dim)), *parts])
    masses = np.zeros(len(at))
    for i in range(0, len(at), TOGETHER):
        look()
        masses[i : i + TOGETHER] = _simplex_masses(at[i : i + TOGETHER], dim)
    return np.asarray(np.bincount(owner, masses, minlength=len(parts)), dtype=float)


def _simplices(corners: FloatArray, dim: int) -> FloatArray:
    """A triangulation of a polytope, ``[n, d + 1, d]``; nothing of a flat one."""
    look()
    size = np.ptp(corners, axis=0)
    if not size.min() > 0 or len(corners) <= dim:
        return np.zeros((0, dim + 1, dim))
    if len(corners) == dim + 1:
        return corners[None]
    own = (corners - corners.mean(axis=0)) / size
    return np.asarray(corners[Delaunay(own, qhull_options="QJ Pp").simplices], dtype=float)


def _simplex_masses(at: FloatArray, dim: int) -> FloatArray:
    """The masses of simplices ``[n, d + 1, d]``, each in one orthant."""
    volume = np.abs(np.linalg.det(at[:, 1:] - at[:, :1]))  # times d!
    return np.asarray(volume * divided_exponentials(-np.abs(at).sum(axis=2)) / 2**dim, dtype=float)


def divided_exponentials(t: FloatArray) -> FloatArray:
    r"""The divided differences :math:`\exp[t_0, .., t_d]` of points ``[n, d + 1]``, ``[n]``.

    They are the corners of the exponentials of bidiagonal matrices, whose diagonals hold the points and whose
    other entries are 1 (Opitz). Shifted by the least point, no entry is negative: Taylor's sum and squarings
    add and multiply what is not negative, and lose nothing to cancellation.
    """
    if not len(t):
        return np.zeros(0)
    k, least = np.arange(t.shape[1]), t.min(axis=1)
    halvings = 1 + int(np.ceil(np.log2(max(1.0, float(np.ptp(t, axis=1).max())))))
    step = np.zeros((*t.shape, t.shape[1]))
    step[:, k, k] = (t - least[:, None]) / 2**halvings
    step[:, k[:-1], k[1:]] = 1 / 2**halvings
    power = total = np.tile(np.eye(t.shape[1]), (len(t), 1, 1))
    for n in range(1, TERMS + t.shape[1]):
        power = power @ step / n
        total = total + power
    total = total * np.exp(least / 2**halvings)[:, None, None]
    for _ in range(halvings):
        total = total @ total
    return np.asarray(total[:, 0, -1], dtype=float)
