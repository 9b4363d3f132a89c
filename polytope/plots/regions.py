"""Pictures of plane complexes: regions by colour, classes and the decision boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray
from polytope.measures.decision_boundary import decision_boundary
from polytope.plots.colours import class_colours
from polytope.plots.planar import jacobian_norms_in_time, outlines
from polytope.plots.solid import plot_boundary_3d
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 2000
"""Regions above which polygons are drawn without edges, and as pixels also in vector files."""


def plot_regions(
    complex: RegionComplex,
    ax: Axes | None = None,
    *,
    values: ArrayLike | None = None,
    label: str = "norm of the Jacobian (Frobenius)",
    cmap: str = "viridis",
    polygons: Sequence[FloatArray] | None = None,
    points: ArrayLike | None = None,
) -> Axes:
    r"""Draw the regions of a plane as polygons, each coloured by one number.

    Arguments:
        complex: regions of a bounded domain in two dimensions.
        ax: where to draw; a new figure's axes by default.
        values: ``[R]``; by default :math:`\|J\|_F` of each region's affine map. Those that are NaN are grey.
        label: what the numbers are; named beside the colour bar.
        cmap: a colour map of matplotlib.
        polygons: the regions' outlines, ``[v, 2]`` each, where they are known already.
        points: to draw as dots above them, ``[B, 2]``, in the coordinates of the domain.

    Returns:
        The axes; ``ax.figure.savefig(path)`` writes the picture.

    Raises:
        ValueError: the domain is not two-dimensional, or there is not one value for each region.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
        >>> ax = plot_regions(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1])))
        >>> len(ax.collections[0].get_paths())
        2
    """
    require_regions(complex, "plot_regions")
    if complex.domain.dim != 2:
        raise ValueError(f"plot_regions draws planes; this domain has {complex.domain.dim} dimensions.")
    colours = jacobian_norms_in_time(complex) if values is None else np.asarray(values, dtype=float)
    if colours.shape != (len(complex),):
        raise ValueError(f"values: one number for each of {len(complex)} regions, got {colours.shape}.")
    drawn = outlines(complex) if polygons is None else polygons
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    many = len(drawn) > MANY
    cells = PolyCollection(
        drawn,
        array=colours,
        cmap=colormaps[cmap].with_extremes(bad="lightgrey"),
        edgecolors="face" if many else "white",
        linewidths=0.1 if many else 0.4,
        rasterized=many,
    )
    ax.add_collection(cells)
    _frame(ax)
    if points is not None:
        _dots(ax, floats(points))
    ax.figure.colorbar(cells, ax=ax, label=label)
    return ax


def _dots(ax: Axes, points: FloatArray) -> None:
    """Points above a picture, which keeps its limits."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points: an array [B, 2] in the coordinates of the domain, not {points.shape}.")
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
    ax.scatter(points[:, 0], points[:, 1], s=12, c="black", edgecolors="white", linewidths=0.5, zorder=3)


def plot_decision_boundary(
    complex: RegionComplex, ax: Axes | None = None, *, names: Sequence[str] | None = None
) -> Axes:
    r"""Draw where the class changes: lines between coloured classes in a plane, surfaces in three dimensions.

    The class of x is the largest output; of a scalar output it is its sign, 0 for negative. Areas and lines
    are exact: they are cut inside the regions, :math:`\{x \in R : f_i(x) \ge f_j(x)\ \forall j\}`.

    Arguments:
        complex: a complete complex in a bounded domain of two or three dimensions.
        ax: where to draw, for three dimensions with ``projection="3d"``; a new figure's axes by default.
        names: of the classes; their numbers by default.

    Raises:
        ValueError: other dimensions, or not one name for each class.
        IncompleteComplexError, UnboundedDomainError, GeometryError: as ``decision_boundary``.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])  # |x| + |y| - 1
        >>> ax = plot_decision_boundary(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['class 0', 'class 1', 'decision boundary']
    """
    require_regions(complex, "plot_decision_boundary")
    n_classes = max(complex.network.output_dim, 2)
    if names is None:
        names = [f"class {k}" for k in range(n_classes)]
    if len(names) != n_classes:
        raise ValueError(f"names: one for each of {n_classes} classes, got {len(names)}.")
    if complex.domain.dim not in (2, 3):
        raise ValueError(
            f"plot_decision_boundary draws two or three dimensions; this domain has {complex.domain.dim}."
        )
    found = decision_boundary(complex)
    if complex.domain.dim == 3:
        return plot_boundary_3d(found, complex.domain, ax, names=names)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    parts = list(class_parts(complex))
    present = sorted({k for k, _ in parts})
    colours = class_colours(present)
    drawn, shades = [points for _, points in parts], [colours[k] for k, _ in parts]
    many = len(drawn) > MANY
    ax.add_collection(
        PolyCollection(drawn, facecolors=shades, edgecolors="face", linewidths=0.5, rasterized=many)
    )
    lines = LineCollection([list(points) for points in found.points], colors="black", linewidths=1.2)
    lines.set_capstyle("round")
    ax.add_collection(lines)
    _frame(ax)
    handles: list[Patch | Line2D] = [Patch(color=colours[k], label=names[k]) for k in present]
    if len(found):
        handles.append(Line2D([], [], color="black", linewidth=1.2, label="decision boundary"))
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=3,
        frameon=False,
        fontsize="small",
    )
    return ax


def class_parts(complex: RegionComplex) -> Iterator[tuple[int, FloatArray]]:
    """The part of every class in every region of a plane, as a class and the corners of a polygon."""
    for corners, pattern in zip(outlines(complex), complex.patterns, strict=True):
        J, c = complex.network.affine(pattern)
        if len(J) == 1:
            J, c = np.concatenate([np.zeros_like(J), J]), np.append(0.0, c)
        values = corners @ J.T + c
        for k in range(len(J)):
            if (values > values[:, [k]]).all(axis=0).any():
                continue  # another class is larger everywhere
            part = _where_largest(np.hstack([corners, values]), k)
            if len(part) > 2:
                yield k, part


def _where_largest(table: FloatArray, k: int) -> FloatArray:
    """The part of a polygon where output k is the largest, cut by one other output after the other.

    Arguments:
        table: ``[v, 2 + outputs]``, the corners and the values there.
        k: an output.
    """
    for other in range(table.shape[1] - 2):
        gap = table[:, 2 + k] - table[:, 2 + other]
        if not (gap < 0).any():
            continue
        after, ahead = np.roll(gap, -1), np.roll(table, -1, axis=0)
        crossing = (gap < 0) != (after < 0)
        share = np.divide(gap, gap - after, out=np.zeros_like(gap), where=crossing)[:, None]
        both = np.stack([table, table + share * (ahead - table)], axis=1)
        table = both[np.stack([gap >= 0, crossing], axis=1)]
    return table[:, :2]


def _frame(ax: Axes) -> None:
    """Equal axes that end where the drawing does."""
    ax.autoscale_view()
    ax.margins(0)
    ax.set_aspect("equal")
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
