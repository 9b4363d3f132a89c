r"""Columns and units of unlike sizes brought to size about 1, exactly: by powers of two.

With :math:`x = 2^{e_0} t` and :math:`h_l = 2^{e_l} h_l'` for each coordinate and unit, a layer reads
:math:`z_l' = 2^{-e_l} (\sum_k A_{l,k} 2^{e_k} h_k' + b_l)`. No number is rounded, so patterns and cells are
the same ones; only the floating-point arithmetic of a search, which has one scale, sees all of them well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Layer, Network
from polytope.ir.maps import (
    NO_EXPONENT,
    FloatArray,
    InexactScaleError,
    IntArray,
    exponents,
    powers,
    times_power,
)

ORDINARY = 10  # exponents within which sizes are left as they are
MOST = 960  # the greatest exponents that are tried; half as great ones where those would round a number
ABOVE = 40  # how much larger than the weights, as an exponent, a bias may become


@dataclass(frozen=True, eq=False)
class Equilibrated:
    """A network and a domain in scaled coordinates t, ``x = scale * t``, with the patterns of the given ones.

    Arguments:
        network: with the same outputs; the given one where nothing is scaled.
        domain: its rows are positive multiples of the given ones, in their order.
        scale: ``[d]``, powers of two.
    """

    network: Network
    domain: Polyhedron
    scale: FloatArray


def equilibrated(network: Network, domain: Polyhedron, *, columns: bool = True) -> Equilibrated:
    """The network and the domain with coordinates and hidden units of size about 1.

    What is of ordinary size is left as it is; so is what no power of two can bring there without rounding.

    Arguments:
        columns: scale coordinates too; otherwise distances in the input space stay what they are.
    """
    chosen = _column_exponents(network, domain) if columns else np.zeros(domain.dim, dtype=np.int64)
    if not chosen.any() and _is_ordinary(network):
        return Equilibrated(network, domain, np.ones(domain.dim))
    most = MOST
    while most:
        power = np.clip(chosen, -most, most)
        try:
            inner = _scaled_domain(domain, power) if power.any() else domain
            return Equilibrated(_scaled(network, power, most), inner, powers(power).factors)
        except InexactScaleError:
            most //= 2
    return Equilibrated(network, domain, np.ones(domain.dim))


def _is_ordinary(network: Network) -> bool:
    """Whether the weights of all hidden units are of ordinary size."""
    unscaled = [np.zeros(width, dtype=np.int64) for width in _widths(network)]
    return not any(
        _power(layer, unscaled, MOST).any() for layer in network.layers if not _is_output(network, layer)
    )


def _is_output(network: Network, layer: Layer) -> bool:
    """Whether a layer's values are outputs that no unit bends."""
    return layer is network.layers[-1] and layer.activation is None


def _widths(network: Network) -> list[int]:
    """Of h_0, h_1, ..."""
    return [network.input_dim, *(layer.width for layer in network.layers)]


def _scaled(network: Network, columns: IntArray, most: int) -> Network:
    """The network in scaled coordinates, with scaled units where they are not of ordinary size."""
    known, layers = [columns], []
    for layer in network.layers:
        power = _power(layer, known, most)
        if _is_output(network, layer):
            power[:] = 0
        maps = tuple(
            linear.scaled(-power, known[k]) for k, linear in zip(layer.inputs, layer.maps, strict=True)
        )
        bias = times_power(layer.bias, -power) if power.any() else layer.bias
        bend = layer.activation and layer.activation.scaled(-power)
        layers.append(Layer(layer.inputs, maps, bias, bend))
        known.append(power[_first_read(layer)])
    if known[-1].any():
        layers.append(Layer((len(layers),), (powers(known[-1]),), np.zeros(len(known[-1]))))
    return replace(network, layers=tuple(layers))


def _first_read(layer: Layer) -> IntArray:
    """A pre-activation that each unit reads."""
    if layer.activation is None:
        return np.arange(len(layer.bias))
    return layer.activation.affine(np.zeros(layer.width, dtype=np.int8)).source


def _power(layer: Layer, known: list[IntArray], most: int) -> IntArray:
    """For each pre-activation the exponent p of its size, ``z = 2**p z'``; 0 where it is ordinary.

    The size is that of the weights: a bias that is much larger only says that a unit bends far away.
    """
    size = np.full(len(layer.bias), NO_EXPONENT)
    for k, linear in zip(layer.inputs, layer.maps, strict=True):
        size = np.maximum(size, linear.row_exponents(known[k]))
    bias = exponents(layer.bias)
    raised = (size < 0) & (size < bias - ABOVE)
    size = np.where(size < NO_EXPONENT // 2, bias, np.where(raised, np.minimum(bias - ABOVE, 0), size))
    size[size < NO_EXPONENT // 2] = 0
    if layer.activation is not None:
        classes = layer.activation.scale_classes(len(size))
        largest = np.full(len(size), NO_EXPONENT)
        np.maximum.at(largest, classes, size)
        size = largest[classes]
    return np.clip(np.where(np.abs(size) > ORDINARY, size, 0), -most, most)


def _scaled_domain(domain: Polyhedron, columns: IntArray) -> Polyhedron:
    """The domain in scaled coordinates; each row is brought to size 1 where that is exact."""
    A = times_power(domain.A, columns)
    rows = -exponents(np.abs(A).max(axis=1, initial=0.0))
    b = domain.b.copy()
    for i in np.flatnonzero(rows):
        try:
            scaled = times_power(np.append(A[i], b[i]), rows[i])
        except InexactScaleError:
            continue
        A[i], b[i] = scaled[:-1], scaled[-1]
    return Polyhedron(A, b)


def _column_exponents(network: Network, domain: Polyhedron) -> IntArray:
    """The size of each coordinate in the domain, as an exponent; none if all are of ordinary size.

    It is half the width where rows on one coordinate bound it; the others are chosen to suit these.
    """
    with np.errstate(over="ignore"):
        low, high, _ = coordinate_bounds(domain.A, -domain.b, np.inf)
    wide = high / 2 - low / 2
    known = np.isfinite(wide) & (wide > 0)
    found = exponents(np.where(known, wide, 1.0))
    if not known.all():
        found = _balanced(*_rows(network, domain), found, ~known)
    return found if (np.abs(found) > ORDINARY).any() else np.zeros_like(found)


def _rows(network: Network, domain: Polyhedron) -> tuple[csr_array, FloatArray]:
    """Rows that tell of sizes: the domain's, and if these say too little, those of units on the input."""
    A, b = [csr_array(domain.A)], [domain.b]
    if not (domain.A[domain.b != 0] != 0).any(axis=0).all():
        for layer in network.layers:
            if layer.inputs == (0,):
                A.append(layer.maps[0].to_sparse())
                b.append(layer.bias)
    return csr_array(vstack(A)), np.concatenate(b)


def _balanced(A: csr_array, b: FloatArray, columns: IntArray, free: NDArray[np.bool_]) -> IntArray:
    r"""Exponents of columns, where they are free, that make the entries of rows ``A x <= b`` most alike.

    The least squares of :math:`\log |a_{ij}| + s_j - r_i` and :math:`\log |b_i| - r_i` over rows' sizes r and
    columns' sizes s (Curtis and Reid 1972): multiplying a row or a column changes nothing else.
    """
    A.eliminate_zeros()
    size, constant = exponents(A.data), np.where(b != 0, exponents(b), 0)
    if np.abs(np.concatenate([size, constant, columns])).max(initial=0) <= ORDINARY:
        return columns
    entries = np.diff(A.indptr)
    share = 1.0 / np.maximum(entries + (b != 0), 1)

    def table(values: FloatArray | IntArray) -> csr_array:
        return csr_array((values.astype(float), A.indices, A.indptr), shape=A.shape)

    sizes, there = table(size), table(np.ones(A.nnz))
    mean = (sizes.sum(axis=1) + constant) * share
    matrix = np.diag(there.sum(axis=0)) - (there.T @ table(np.repeat(share, entries))).toarray()
    right = there.T @ mean - sizes.sum(axis=0) - matrix[:, ~free] @ columns[~free]
    out = columns.copy()
    out[free] = np.round(np.linalg.lstsq(matrix[np.ix_(free, free)], right[free], rcond=1e-9)[0])
    return out
