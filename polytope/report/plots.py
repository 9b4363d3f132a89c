"""Pictures of complexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PolyCollection
from numpy.typing import ArrayLike

from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex
from polytope.report.planar import outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 2000
"""Regions above which polygons are drawn as pixels also in vector files."""


def plot_regions(
    complex: RegionComplex,
    ax: Axes | None = None,
    *,
    values: ArrayLike | None = None,
    label: str = "norm of the Jacobian (Frobenius)",
    cmap: str = "viridis",
    polygons: Sequence[FloatArray] | None = None,
) -> Axes:
    r"""Draw the regions of a plane as polygons, each coloured by one number.

    Arguments:
        complex: regions of a bounded domain in two dimensions.
        ax: where to draw; a new figure's axes by default.
        values: ``[R]``; by default :math:`\|J\|_F` of each region's affine map.
        label: what the numbers are; named beside the colour bar.
        cmap: a colour map of matplotlib.
        polygons: the regions' outlines, where they are known already.

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
    if complex.domain.dim != 2:
        raise ValueError(f"plot_regions draws planes; this domain has {complex.domain.dim} dimensions.")
    colours = jacobian_norms(complex) if values is None else np.asarray(values, dtype=float)
    if colours.shape != (len(complex),):
        raise ValueError(f"values: one number for each of {len(complex)} regions, got {colours.shape}.")
    drawn = outlines(complex) if polygons is None else polygons
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    edge = 0.4 if len(drawn) <= MANY else 0.1
    cells = PolyCollection(
        drawn,
        array=colours,
        cmap=cmap,
        edgecolors="white",
        linewidths=edge,
        rasterized=len(drawn) > MANY,
    )
    ax.add_collection(cells)
    ax.autoscale_view()
    ax.margins(0)
    ax.set_aspect("equal")
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
    ax.figure.colorbar(cells, ax=ax, label=label)
    return ax


def jacobian_norms(complex: RegionComplex) -> FloatArray:
    """The Frobenius norm of every region's Jacobian, ``[R]``."""
    if not len(complex):
        return np.zeros(0)
    J, _ = complex.network.affine(complex.patterns)
    norms: FloatArray = np.linalg.norm(J, axis=(1, 2))
    return norms
