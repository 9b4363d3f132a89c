r"""The defect of equivariance, :math:`e_g(x) = f(\rho_{in}(g) x) - \rho_{out}(g) f(x)`, a network itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from polytope.bounds.intervals import preactivation_bounds
from polytope.equivariant.groups.representations import Representation, same_group
from polytope.geometry.slice import Slice
from polytope.given import NetworkLike, as_network
from polytope.ir import Network, mlp, stack
from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex

Model = Callable[[FloatArray], ArrayLike]


def equivariance_error(
    model: Model, rho_in: Representation, rho_out: Representation, x: ArrayLike
) -> FloatArray:
    r"""The defect at points, :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty`, ``[G, B]``.

    An **estimate**: evaluated in float64.

    Arguments:
        model: a network, or any function of ``[B, d]`` to ``[B, out]``.
        rho_in, rho_out: actions of one group on inputs and outputs.
        x: ``[B, d]``.

    Raises:
        ValueError: dimensions or groups differ.
    """
    same_group(rho_in, rho_out)
    points = np.atleast_2d(np.asarray(x, dtype=float))
    values = np.asarray(model(points), dtype=float).reshape(len(points), -1)
    if points.shape[1] != rho_in.dim or values.shape[1] != rho_out.dim:
        raise ValueError(
            f"The model maps R^{points.shape[1]} to R^{values.shape[1]}, the group acts on R^{rho_in.dim} "
            f"and R^{rho_out.dim}."
        )
    errors = np.empty((len(rho_in), len(points)))
    for g, (into, out) in enumerate(zip(rho_in.matrices, rho_out.matrices, strict=True)):
        moved = np.asarray(model(points @ into.T), dtype=float).reshape(len(points), -1)
        errors[g] = np.abs(moved - values @ out.T).max(axis=1, initial=0.0)
    return errors


def region_equivariance(
    complex: RegionComplex, rho_in: Representation, rho_out: Representation
) -> FloatArray:
    r"""The defect of every region's affine map, ``[G, R]``.

    It is the largest entry of :math:`J_{gR} \, \rho_{in}(g) - \rho_{out}(g) J_R` and of
    :math:`c_{gR} - \rho_{out}(g) c_R`, where gR is the region that holds the image of R's interior point. An
    **estimate**: maps and images are rounded.

    Arguments:
        complex: the regions of a network from R^d to R^out, R of them.
        rho_in, rho_out: actions of one group on R^d and R^out.

    Raises:
        ValueError: dimensions or groups differ.
    """
    same_group(rho_in, rho_out)
    network, points = complex.network, complex.interior_points
    require_fit(network, rho_in, rho_out)
    J, c = network.affine(complex.patterns)
    errors = np.empty((len(rho_in), len(points)))
    for g, (into, out) in enumerate(zip(rho_in.matrices, rho_out.matrices, strict=True)):
        Jg, cg = network.affine(network.pattern(points @ into.T))
        slope = np.abs(Jg @ into - out @ J).max(axis=(1, 2), initial=0.0)
        errors[g] = np.maximum(slope, np.abs(cg - c @ out.T).max(axis=1, initial=0.0))
    return errors


def defect(network: NetworkLike, rho_in: Representation, rho_out: Representation, g: int) -> Network:
    r"""The network that computes the defect of one element; its weights are not rounded.

    Arguments:
        network: f, from R^d to R^out.
        rho_in, rho_out: actions of one group on R^d and R^out.
        g: number of the element, 0 .. G - 1.

    Returns:
        The network :math:`x \mapsto f(\rho_{in}(g) x) - \rho_{out}(g) f(x)`, from R^d to R^out.

    Raises:
        ValueError: dimensions or groups differ.
    """
    network = as_network(network)
    require_fit(network, rho_in, rho_out)
    into, out = rho_in.matrices[g], rho_out.matrices[g]
    if rho_in.is_signed_permutation:  # which only moves the columns of the first layers
        moved = network.restrict(Slice(np.zeros(rho_in.dim), into.T))
    else:
        moved = mlp([(into, np.zeros(rho_in.dim))]).then(network)
    difference = np.concatenate([np.eye(rho_out.dim), -out], axis=1)
    return stack(moved, network).then(mlp([(difference, np.zeros(rho_out.dim))]))


def require_fit(network: Network, rho_in: Representation, rho_out: Representation) -> None:
    """Refuse actions on other spaces than the network's."""
    same_group(rho_in, rho_out)
    if (rho_in.dim, rho_out.dim) != (network.input_dim, network.output_dim):
        raise ValueError(
            f"The network maps R^{network.input_dim} to R^{network.output_dim}, the group acts on "
            f"R^{rho_in.dim} and R^{rho_out.dim}."
        )


def evaluation_room(network: Network, box: FloatArray, into: FloatArray, out: FloatArray) -> float:
    """How far one float64 evaluation of a defect in a box ``[2, d]`` can be from its exact value.

    Arguments:
        into, out: the matrices of the element.
    """
    middle, radius = box.mean(axis=0), np.ptp(box, axis=0) / 2
    reach = np.abs(into) @ radius
    image = np.stack([into @ middle - reach, into @ middle + reach])
    size = np.abs(into) @ np.abs(box).max(axis=0)
    moved = _forward_error(network, image, 2.0**-50 * (8 + len(into)) * size)
    here = _forward_error(network, box, np.zeros(len(into)))
    mixed = np.abs(out) @ (here[0] + 2.0**-50 * (8 + len(out)) * here[1])
    return float((moved[0] + mixed + 2.0**-50 * moved[1]).max(initial=0.0))


def _forward_error(network: Network, box: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds on the rounding of the outputs and on their size, for inputs that carry an error already."""
    errors, sizes = [error], [np.abs(box).max(axis=0)]
    for layer, (low, high) in zip(network.layers, preactivation_bounds(network, box), strict=True):
        off, terms = np.zeros(len(layer.bias)), np.abs(layer.bias)
        for k, absolute in zip(layer.inputs, layer.absolute_maps, strict=True):
            both = absolute.apply(np.stack([errors[k], sizes[k]], axis=1))
            off, terms = off + both[:, 0], terms + both[:, 1]
        off = off + 2.0**-50 * (8 + max(linear.shape[1] for linear in layer.maps)) * terms
        if layer.activation is None:
            errors.append(off)
            sizes.append(np.maximum(np.abs(low), np.abs(high)))
            continue
        low, high = low - off, high + off
        slopes = layer.activation.slope_ranges(low, high)
        steep = np.maximum(np.abs(slopes.least), np.abs(slopes.greatest))
        lines = layer.activation.enclosure(low, high)
        size = np.maximum(np.abs(low), np.abs(high))[lines.source] * np.abs(lines.slope)
        size = size + np.maximum(np.abs(lines.below), np.abs(lines.above))
        errors.append((steep * off[slopes.source]).max(axis=0) + 2.0**-50 * size)
        sizes.append(size)
    return errors[-1], sizes[-1]
