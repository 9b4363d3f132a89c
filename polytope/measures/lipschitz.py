r"""Lipschitz constants :math:`\sup_{x \ne y} \|f(x) - f(y)\|_q / \|x - y\|_p` over a convex domain.

A continuous piecewise-affine function's constant is the greatest operator norm of the Jacobians of its
regions: exact on a complete complex. From the network alone it is enclosed between the norms of sampled
Jacobians and certified upper bounds.

References: Jordan, Dimakis (2020), "Exactly Computing the Local Lipschitz Constant of ReLU Networks",
https://arxiv.org/abs/2003.01219
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polytope.errors import GeometryError
from polytope.exact.maps import right_maps, settle
from polytope.exact.network import ExactNetwork
from polytope.geometry.norms import as_norm
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.bounded import bounded_maps
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.labelled import Bound, Exact, Labelled
from polytope.measures.operator_norm import lower_norm, operator_norms, upper_norms
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex

ENTRIES = 1 << 22  # numbers in the Jacobians of one batch
TABLES = 4  # of so many numbers that a batch takes
NARROW = 2.0**-30  # relative widths of intervals for which floats are enough


def region_lipschitz(complex: RegionComplex, p: float | str = 2, q: float | str = 2) -> FloatArray:
    r"""The constant of each region, :math:`\|J_R\|_{p \to q}`, as ``[R]``; right to 2^-24, mostly to 2^-40.

    Arguments:
        complex: regions, all or some.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.

    Raises:
        ValueError: another norm, or one that is NP-hard for matrices of this size.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> sorted(region_lipschitz(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1]))).tolist())
        [1.0, 2.0]
    """
    require_regions(complex, "region_lipschitz")
    return jacobian_norms(complex.network, complex.patterns, as_norm(p, "p"), as_norm(q, "q"))


def lipschitz_constant(complex: RegionComplex, p: float | str = 2, q: float | str = 2) -> Labelled:
    r"""The greatest :math:`\|J_R\|_{p \to q}` over the regions: the Lipschitz constant over the domain.

    The result has ``lower`` and ``upper``, between which the network's constant is proved to lie: rounding of
    maps and of norms is bounded, and where a bound is wide, maps are computed exactly.

    Arguments:
        complex: the regions of a domain. Where not all were found the result is ``lower``, a bound.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.

    Raises:
        ValueError: no regions, another norm, or one that is NP-hard for matrices of this size.
        GeometryError: the constant is beyond the range of float64.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> lipschitz_constant(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        2.0
    """
    require_regions(complex, "lipschitz_constant")
    if not len(complex):
        raise ValueError("lipschitz_constant: the complex has no region, so nothing is known of the slopes.")
    greatest, lower, upper = greatest_norm(
        complex.network, complex.patterns, as_norm(p, "p"), as_norm(q, "q")
    )
    if not np.isfinite([greatest, lower, upper]).all():
        raise GeometryError("lipschitz_constant: the constant is beyond the range of float64, above 1.8e308.")
    if complex.complete:
        return Labelled(greatest, Exact(greatest), lower, upper)
    return Labelled(lower, Bound(lower))


def jacobian_norms(network: Network, patterns: PatternArray, p: float, q: float) -> FloatArray:
    """The norms of the Jacobians of patterns ``int8[R, units]``, some at a time."""
    parts = [operator_norms(right_maps(network, some).J, p, q) for some in _parts(network, patterns)]
    return np.concatenate([np.zeros(0), *parts])


def _parts(network: Network, patterns: PatternArray) -> Iterator[PatternArray]:
    """Patterns whose Jacobians are held together."""
    entries = network.output_dim * network.input_dim
    step = max(1, ENTRIES // entries)
    for i in range(0, len(patterns), step):
        look(TABLES * 8 * entries * min(step, len(patterns) - i))
        yield patterns[i : i + step]


def greatest_norm(network: Network, patterns: PatternArray, p: float, q: float) -> tuple[float, float, float]:
    """The greatest norm, and proved ends of an interval around it.

    Where the interval of floats is wide, exact maps take the place of those whose norms may be the greatest.
    """
    ends = [np.zeros((2, 0))]
    for some in _parts(network, patterns):
        maps = bounded_maps(network, some)
        norms = operator_norms(maps.J, p, q), upper_norms(maps.J, maps.J_error, p, q)
        ends.append(np.stack(norms))
    values, upper = np.concatenate(ends, axis=1)
    exact, settled = ExactNetwork(network), set[int]()
    every = np.ones((1, network.output_dim), dtype=bool)

    def lower_at(i: int) -> float:
        maps = bounded_maps(network, patterns[[i]])
        if i in settled:
            settle(exact, patterns[[i]], maps, every)
        return lower_norm(maps.J[0], maps.J_error[0], p, q)

    while True:
        best, top = int(values.argmax()), int(upper.argmax())
        lower = lower_at(best)
        if top in settled or upper[top] <= lower * (1 + NARROW):
            return float(values[best]), lower, float(upper[top])
        maps = bounded_maps(network, patterns[[top]])
        settle(exact, patterns[[top]], maps, every)
        values[top] = operator_norms(maps.J, p, q)[0]
        upper[top] = upper_norms(maps.J, maps.J_error, p, q)[0]
        settled.add(top)
