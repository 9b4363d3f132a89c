r"""The shape of a classifier's decision boundary: where its two largest outputs are equal."""

from __future__ import annotations

import numpy as np

from polytope.ir import Dense, Layer, Network, max_groups
from polytope.measures.topology import Topology, level_set_topology
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


def decision_topology(complex: RegionComplex) -> Topology:
    r"""The boundary between all classes: the zero set of :math:`\max_i (f_i - \max_{j \ne i} f_j)`.

    That is how far the largest output leads the second: never negative, and 0 where the class changes. Of a
    scalar output the boundary is its zero set. ``level_set_topology`` of ``network.margin(i, j)`` is the
    place where two classes are equal, whether or not a third is larger.

    Arguments:
        complex: a complete complex of a classifier in a bounded domain of one to three dimensions.

    Returns:
        Betti numbers of dimensions 0 to d - 1 (to d where two classes tie all over a region), and numbers of
        faces in the cells of the lead, which are finer than those of the network.

    Raises:
        ValueError: there are more than three dimensions.
        IncompleteComplexError, UnboundedDomainError: the complex is partial, or its domain unbounded.
        GeometryError: vertices that error bounds do not tell apart.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]], [0.0] * 3)])  # three sectors meet in 0
        >>> decision_topology(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1])))
        Topology(f_vector=(4, 3), betti=(1, 0))
    """
    require_regions(complex, "decision_topology")
    if complex.network.output_dim == 1:
        return level_set_topology(complex)
    complex.require_complete("decision_topology")
    if complex.domain.dim > 3:
        raise ValueError(
            f"decision_topology works in up to three dimensions, not {complex.domain.dim}: take a Slice."
        )
    regions = enumerate_regions(lead(complex.network), complex.domain)
    return level_set_topology(regions)


def lead(network: Network) -> Network:
    r"""The scalar network :math:`\max_i (f_i - \max_{j \ne i} f_j)`: the largest output's lead."""
    k = network.output_dim
    others = np.array([[j for j in range(k) if j != i] for i in range(k)])
    rivals = Layer(
        (0,),
        (Dense(np.eye(k)[others.ravel()]),),
        np.zeros(others.size),
        max_groups(np.arange(others.size).reshape(others.shape)),
    )
    best = Layer((0, 1), (Dense(np.eye(k)), Dense(-np.eye(k))), np.zeros(k), max_groups(np.arange(k)[None]))
    out = Layer((2,), (Dense(np.ones((1, 1))),), np.zeros(1))
    return network.then(Network((k,), (rivals, best, out), output_names=("lead",)))
