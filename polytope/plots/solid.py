"""Pictures in three dimensions: regions cut open, and decision boundaries as surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import ArrayLike, NDArray

from polytope.geometry import Polyhedron
from polytope.ir.maps import FloatArray
from polytope.measures.decision_boundary import DecisionBoundary
from polytope.plots.colours import MUTED, SERIES
from polytope.plots.surfaces import Solid, around, solid
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 2000
"""Polygons above which they are drawn as pixels also in vector files."""
VIEW = (24.0, -52.0)
"""Elevation and azimuth of the reader, in degrees."""
LIGHT = np.array([0.36, -0.48, 0.8])
SHADE = 0.35
"""How much darker a facet is along the light than across it."""


def plot_regions_3d(
    complex: RegionComplex,
    ax: Axes | None = None,
    *,
    values: ArrayLike | None = None,
    label: str = "norm of the Jacobian (Frobenius)",
    cmap: str = "viridis",
    shown: ArrayLike | None = None,
) -> Axes:
    r"""Draw the regions of a solid, each coloured by one number, as far as a reader can see them.

    Facets are drawn on the boundary of the regions that are shown, where they face the reader. By default
    the corner that points to the reader is cut out: regions whose interior point lies in it are left out, so
    that the inside is seen.

    Arguments:
        complex: a complete complex in a bounded domain of three dimensions.
        ax: where to draw, made with ``projection="3d"``; a new figure's axes by default.
        values: ``[R]``; by default :math:`\|J\|_F` of each region's affine map.
        label: what the numbers are; named beside the colour bar.
        cmap: a colour map of matplotlib.
        shown: ``bool[R]``, the regions to show.

    Raises:
        ValueError: other dimensions, or not one value for each region.
        IncompleteComplexError, UnboundedDomainError: the complex is partial, or its domain unbounded.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([(np.eye(3), [0.0] * 3), ([[1.0] * 3], [0.0])])
        >>> ax = plot_regions_3d(pt.enumerate_regions(net, pt.Polyhedron.box([-1] * 3, [1] * 3)))
        >>> len(ax.collections[0].get_facecolor())  # 7 of 8 cubes are shown, 12 squares seen
        12
    """
    require_regions(complex, "plot_regions_3d")
    facets = solid(complex)
    colours = _norms(complex) if values is None else np.asarray(values, dtype=float)
    visible = _cut_open(complex) if shown is None else np.asarray(shown, dtype=bool)
    if colours.shape != (len(complex),) or visible.shape != (len(complex),):
        raise ValueError(f"values and shown: one for each of {len(complex)} regions.")
    drawn = visible[facets.region] & ((facets.across < 0) | ~visible[facets.across])
    chosen = np.array([f for f in np.flatnonzero(drawn).tolist() if _faces_reader(complex, facets, f)], int)
    scale = ScalarMappable(Normalize(float(colours.min()), float(colours.max())), cmap)
    axes = _axes(ax)
    polygons = [facets.polygon(int(facet)) for facet in chosen]
    _add(axes, polygons, scale.to_rgba(colours[facets.region[chosen]]))
    _frame(axes, complex.domain)
    axes.figure.colorbar(scale, ax=axes, label=label, shrink=0.7, pad=0.1)
    return axes


def plot_boundary_3d(
    found: DecisionBoundary, domain: Polyhedron, ax: Axes | None = None, *, names: Sequence[str]
) -> Axes:
    """Draw the facets of a decision boundary in space, one colour for each pair of classes.

    Arguments:
        found: of a complex in three dimensions.
        domain: its domain.
        ax: where to draw, made with ``projection="3d"``; a new figure's axes by default.
        names: of the classes.
    """
    axes = _axes(ax)
    pairs = sorted({(int(i), int(j)) for i, j in found.classes})
    palette = (*SERIES[:7], *MUTED)
    colours = {pair: palette[number % len(palette)] for number, pair in enumerate(pairs)}
    polygons = [around(points) for points in found.points]
    shades = np.array([to_rgba(colours[int(i), int(j)], 0.85) for i, j in found.classes]).reshape(-1, 4)
    _add(axes, polygons, shades)
    _frame(axes, domain)
    handles = [Patch(color=colours[i, j], label=f"{names[i]} | {names[j]}") for i, j in pairs[:12]]
    if handles:
        axes.legend(handles=handles, loc="upper left", frameon=False, fontsize="small")
    return axes


def _norms(complex: RegionComplex) -> FloatArray:
    J, _ = complex.network.affine(complex.patterns)
    norms: FloatArray = np.linalg.norm(J, axis=(1, 2))
    return norms


def _cut_open(complex: RegionComplex) -> NDArray[np.bool_]:
    """All regions but those of the corner that points to the reader; all of them where that were all."""
    corners = complex.domain.vertices()
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    kept: NDArray[np.bool_] = ~((complex.interior_points - middle) * np.sign(_reader()) > 0).all(axis=1)
    return kept if kept.any() else ~kept


def _reader() -> FloatArray:
    """The direction to the reader, of length 1."""
    elevation, azimuth = np.radians(VIEW)
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _faces_reader(complex: RegionComplex, facets: Solid, facet: int) -> bool:
    """Whether the outside of a facet is turned to the reader; else the region hides it."""
    points = facets.polygon(facet)
    normal = np.linalg.svd(points - points.mean(axis=0))[2][2]
    outward = np.sign(normal @ (points[0] - complex.interior_points[facets.region[facet]]))
    return bool(outward * (normal @ _reader()) > 0)


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        _, ax = plt.subplots(subplot_kw={"projection": "3d"}, layout="constrained")
    if ax.name != "3d":
        raise ValueError('The axes must be three-dimensional: made with projection="3d".')
    return ax


def _add(axes: Any, polygons: Sequence[FloatArray], colours: NDArray[np.float64]) -> None:
    """Polygons, a little darker where they face away from the light."""
    if not polygons:
        return
    normals = np.array([np.linalg.svd(points - points.mean(axis=0))[2][2] for points in polygons])
    lit = colours.copy()
    lit[:, :3] *= (1 - SHADE + SHADE * np.abs(normals @ LIGHT))[:, None]
    faces = Poly3DCollection(
        polygons,
        facecolors=lit,
        edgecolors=(1.0, 1.0, 1.0, 0.6),
        linewidths=0.4 if len(polygons) <= MANY else 0.1,
    )
    faces.set_rasterized(len(polygons) > MANY)
    axes.add_collection(faces, autolim=False)  # the padding of uneven polygons has no value to scale by


def _frame(axes: Any, domain: Polyhedron) -> None:
    """Equal axes around the domain, seen from the front."""
    corners = domain.vertices()
    low, high = corners.min(axis=0), corners.max(axis=0)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_zlim(low[2], high[2])
    axes.set_box_aspect(tuple(high - low))
    axes.set_proj_type("ortho")
    axes.view_init(*VIEW)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    axes.set_zlabel("third coordinate")
