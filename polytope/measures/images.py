r"""Images: the set of all outputs of a network on its regions, as polytopes, one a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

import numpy as np

from polytope.exact.dyadic import Dyadic
from polytope.exact.images import image_of_corners
from polytope.exact.network import ExactNetwork
from polytope.exact.polytope import exact_corners, nearest_float
from polytope.given import described
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex


@dataclass(frozen=True, eq=False)
class Image:
    """The outputs of a network on the regions of a complex, some coordinates of them.

    Arguments:
        points: for each region points ``[v, k]`` whose convex hull is its image. In up to two dimensions they
            are its vertices, those of a polygon in order around it; in more, some may lie inside the hull.
        dimensions: ``int[R]``, of each region's image; **exact**. Regions on which the network is constant
            have images of dimension 0.
        outputs: the k coordinates, as numbers of outputs.
        complete: whether these are all outputs in the domain; otherwise regions are missing.
    """

    points: tuple[FloatArray, ...]
    dimensions: IntArray
    outputs: tuple[int, ...]
    complete: bool

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.points)

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest value ``[k]`` of each output: **exact** where complete, rounded once."""
        every = np.concatenate(self.points)
        return every.min(axis=0), every.max(axis=0)


def image(complex: RegionComplex, outputs: Sequence[int] | None = None) -> Image:
    r"""The set :math:`f(D) = \bigcup_R J_R R + c_R` of outputs, as one polytope for each region R.

    **Exact**: vertices are mapped in rational arithmetic and rounded once; points that are then the same are
    one only where they are the same as rationals. Some of the coordinates are the projection of the image,
    which a picture of two or three of them shows.

    Arguments:
        complex: the regions of a bounded domain. Of a partial complex the image is a part.
        outputs: which outputs, from 0; all where ``None``.

    Raises:
        UnboundedDomainError: a region is unbounded: its image is not the hull of points.
        ValueError: there is no such output, or none is asked for.
        TypeError: the outputs are no list of numbers.

    References: Tran et al. (2019), "Star-Based Reachability Analysis of Deep Neural Networks" (exact images
        as unions of polytopes), https://doi.org/10.1007/978-3-030-30942-8_39

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0], [1.0, 0.0]], [0.0, 0.0])])
        >>> found = image(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [2])))  # (|x|, relu(x))
        >>> sorted(p.tolist() for p in found.points), found.dimensions.tolist()
        ([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 2.0]]], [1, 1])
    """
    require_regions(complex, "image")
    n = complex.network.output_dim
    chosen = _chosen(range(n) if outputs is None else outputs)
    if not chosen or not all(0 <= i < n for i in chosen):
        raise ValueError(f"image: outputs must be some of 0 to {n - 1}, not {list(chosen)}.")
    exact = ExactNetwork(complex.network)
    points, dimensions = [], []
    for region in complex:
        whole = exact.outputs(region.pattern)
        function = Dyadic(whole.integers[list(chosen)], whole.exponent)
        dimension, seen = image_of_corners(exact_corners(region._rows()), function)
        points.append(np.array([[nearest_float(v) for v in p] for p in seen]))
        dimensions.append(dimension)
    return Image(tuple(points), np.array(dimensions, dtype=np.int64), chosen, complex.complete)


def _chosen(outputs: Sequence[int]) -> tuple[int, ...]:
    """The numbers of outputs that a caller names."""
    try:
        return tuple(index(i) for i in outputs)
    except TypeError as error:
        raise TypeError(
            f"image: outputs: a list of whole numbers is expected, such as [0, 1], not {described(outputs)}."
        ) from error
