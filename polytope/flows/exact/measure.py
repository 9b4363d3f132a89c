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
from math import factorial

import numpy as np
from scipy.linalg import expm
from scipy.spatial import Delaunay
from scipy.special import owens_t

from polytope.flows.base import Base
from polytope.geometry.polyhedron import hull_volume
from polytope.ir.maps import FloatArray

CUTS: dict[str, tuple[float, ...]] = {  # where a coordinate's density is not one formula
    "normal": (),
    "laplace": (0.0,),
    "uniform": (0.0, 1.0),
}


def has_closed_form(base: Base, dim: int) -> bool:
    """Whether masses of polytopes are computed from their vertices, and not sampled."""
    return dim <= (2 if base.name == "normal" else 6)


def cell_masses(base: Base, cells: Iterable[FloatArray], dim: int) -> FloatArray:
    """The masses of polytopes given by their vertices ``[v, d]``, none of which a cut of the base crosses."""
    if dim == 1:
        ends = [(cell.min(axis=0), cell.max(axis=0)) for cell in cells]
        return np.array([base.box_mass(low, high) for low, high in ends])
    if base.name == "normal":
        return _normal_masses([_in_order(cell) for cell in cells])
    if base.name == "laplace":
        return np.array([_laplace_mass(cell, dim) for cell in cells])
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


def _laplace_mass(corners: FloatArray, dim: int) -> float:
    """The sum over simplices of a triangulation."""
    size = np.ptp(corners, axis=0)
    if not size.min() > 0 or len(corners) <= dim:
        return 0.0
    own = (corners - corners.mean(axis=0)) / size
    simplices = (
        Delaunay(own, qhull_options="QJ Pp").simplices if len(corners) > dim + 1 else np.arange(dim + 1)
    )
    at = corners[np.atleast_2d(simplices)]
    volume = np.abs(np.linalg.det(at[:, 1:] - at[:, :1])) / factorial(dim)
    height = np.abs(at).sum(axis=2)
    least = height.min(axis=1)
    table = np.zeros((len(at), dim + 1, dim + 1))
    k = np.arange(dim + 1)
    table[:, k, k] = least[:, None] - height
    table[:, k[:-1], k[1:]] = 1.0
    divided = expm(table)[:, 0, -1]
    return float((factorial(dim) * volume * np.exp(-least) * divided).sum() / 2**dim)
