r"""Certified bounds of a network's outputs over a domain, from the network alone.

Two enclosures, intersected: linear bounds pushed through the layers, and the mean-value form
:math:`f_i(x) \in f_i(c) \pm \sum_j \max |\partial f_i / \partial x_j| \, r_j` around the centre c of the
domain's bounding box, with interval Jacobians.

References: Weng et al. (2018), "Towards Fast Computation of Certified Robustness for ReLU Networks"
(linear bounds), https://arxiv.org/abs/1804.09699
"""

from __future__ import annotations

import numpy as np

from polytope.bounds.interval_jacobian import interval_jacobian, slope_ranges
from polytope.bounds.intervals import (
    LOST,
    middle_radius,
    preactivation_bounds,
    room,
    unbounded_where_unknown,
)
from polytope.bounds.linear_bounds import linear_bounds
from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Layer, Network
from polytope.ir.algebra import identity
from polytope.ir.maps import FloatArray

DERIVATIVES = 1 << 26  # of outputs by the values of a layer, beyond which linear bounds must do


def bounded_box(network: Network, domain: Polyhedron, name: str) -> FloatArray:
    """The box ``[2, d]`` around a domain, for a function of some name that needs a bounded one."""
    if domain.dim != network.input_dim:
        raise ValueError(f"The domain lies in R^{domain.dim}, the network's input in R^{network.input_dim}.")
    box = domain.bounds if domain.is_bounded else None
    if box is None:
        raise UnboundedDomainError(f"{name} needs a bounded domain; intersect it with a box.")
    if (box[0] > box[1]).any():
        raise EmptyDomainError(f"{name}: the domain is empty: no point satisfies all its rows.")
    return box


def bounds_over_box(network: Network, box: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same over a box ``[2, d]``, which may be flat."""
    *_, (low, high) = linear_bounds(with_outputs(network), box)
    widest = max(network.input_dim, *(len(layer.bias) for layer in network.layers))
    if network.output_dim * widest > DERIVATIVES:
        return low, high
    center = middle_radius(box)[0]
    radius = np.maximum(box[1] - center, center - box[0]) * (1 + 2.0**-50)
    least, greatest = bounds_at(network, center)
    with np.errstate(all="ignore"):
        J = interval_jacobian(network, slope_ranges(network, box))
        reach = J @ radius * (1 + room(len(radius))) + (8 + len(radius)) * LOST
        below, above = unbounded_where_unknown(least - reach, greatest + reach)
    return np.maximum(low, np.nextafter(below, -np.inf)), np.minimum(high, np.nextafter(above, np.inf))


def bounds_at(network: Network, x: FloatArray) -> FloatArray:
    """Bounds ``[2, out]`` of the outputs at one point ``[d]``: the values with all that rounding may do."""
    *_, found = preactivation_bounds(with_outputs(network), np.stack([x, x]))
    return found


def with_outputs(network: Network) -> Network:
    """The network with its outputs as the pre-activations of a last layer."""
    n = network.output_dim
    return network.then(Network((n,), (Layer((0,), (identity(n),), np.zeros(n)),)))
