r"""Columns and units of unlike sizes brought to size about 1, exactly: by powers of two.

With :math:`x = 2^{e_0} t` and :math:`h_l = 2^{e_l} h_l'` for each coordinate and unit, a layer reads
:math:`z_l' = 2^{-e_l} (\sum_k A_{l,k} 2^{e_k} h_k' + b_l)`. No number is rounded, so patterns and cells are
the same ones; only the floating-point arithmetic of a search, which has one scale, sees all of them well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array

from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.scales import column_scales
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
from polytope.ir.matrix import lengths, sparse
from polytope.ir.sweep import outputs

ORDINARY = 10  # exponents within which coordinates are left as they are
ORDINARY_UNITS = (
    20  # exponents within which hidden units are: rows of any size have error bounds of their own
)
MOST = 960  # the greatest exponents that are tried; half as great ones where those would round a number
MOST_ENTRIES = 10**7  # of first layers that tell of sizes
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
    for number, layer in enumerate(network.layers, start=1):
        unscaled = [np.zeros(linear.shape[1], dtype=np.int64) for linear in layer.maps]
        if _power(network, number, unscaled, MOST).any():
            return False
    return True


def _scaled(network: Network, columns: IntArray, most: int) -> Network:
    """The network in scaled coordinates, with scaled units where they are not of ordinary size."""
    domain = _Exponents(network, most)
    last, layers = outputs(network, columns, domain), domain.layers
    if last.any():
        layers.append(Layer((len(layers),), (powers(last),), np.zeros(len(last))))
    return replace(network, layers=tuple(layers))


@dataclass(frozen=True, eq=False)
class _Exponents:
    """Exponents of the sizes of values; and the layers of scaled values."""

    network: Network
    most: int
    layers: list[Layer] = field(default_factory=list)

    def affine(self, number: int, layer: Layer, reads: Sequence[IntArray]) -> IntArray:
        power = _power(self.network, number, reads, self.most)
        maps = tuple(linear.scaled(-power, size) for linear, size in zip(layer.maps, reads, strict=True))
        bias = times_power(layer.bias, -power) if power.any() else layer.bias
        scaled = layer.activation and layer.activation.scaled(-power)
        self.layers.append(Layer(layer.inputs, maps, bias, scaled))
        return power

    def activate(self, number: int, layer: Layer, z: IntArray) -> IntArray:
        return z[layer.phi.affine(np.zeros(layer.width, dtype=np.int8)).source]


def _power(network: Network, number: int, reads: Sequence[IntArray], most: int) -> IntArray:
    """For each pre-activation of a layer the exponent p of its size, ``z = 2**p z'``; 0 where it is ordinary.

    The size is that of the weights: a bias that is much larger only says that breakpoints are far away.
    Members of groups have one exponent, and so have all units where others would break up a convolution;
    outputs 0.
    """
    layer = network.layers[number - 1]
    size = np.full(len(layer.bias), NO_EXPONENT)
    if number == len(network.layers) and layer.activation is None:
        return np.zeros_like(size)
    for linear, columns in zip(layer.maps, reads, strict=True):
        size = np.maximum(size, linear.row_exponents(columns))
    bias = exponents(layer.bias)
    raised = (size < 0) & (size < bias - ABOVE)
    size = np.where(size < NO_EXPONENT // 2, bias, np.where(raised, np.minimum(bias - ABOVE, 0), size))
    if not _scales_freely(network, number):
        size[:] = size.max()
    elif layer.activation is not None:
        classes = layer.activation.scale_classes(len(size))
        largest = np.full(len(size), NO_EXPONENT)
        np.maximum.at(largest, classes, size)
        size = largest[classes]
    ordinary = (np.abs(size) <= ORDINARY_UNITS) | (size < NO_EXPONENT // 2)
    return np.clip(np.where(ordinary, 0, size), -most, most)


def _scales_freely(network: Network, number: int) -> bool:
    """Whether all maps to a layer and from it can be scaled row by row and column by column."""
    own = network.layers[number - 1].maps
    readers = (
        linear
        for layer in network.layers[number:]
        for k, linear in zip(layer.inputs, layer.maps, strict=True)
        if k == number
    )
    return all(linear.scales_freely for linear in (*own, *readers))


def _scaled_domain(domain: Polyhedron, columns: IntArray) -> Polyhedron:
    """The domain in scaled coordinates; each row is brought to size 1 where that is exact."""
    given = sparse(domain.rows)
    entries, ends = times_power(given.data, columns[given.indices]), given.indptr
    A = csr_array((entries, given.indices, ends), shape=given.shape)
    rows = -exponents(lengths(A, np.inf))
    b = domain.b.copy()
    for i in np.flatnonzero(rows):
        try:
            scaled = times_power(np.append(entries[ends[i] : ends[i + 1]], b[i]), rows[i])
        except InexactScaleError:
            continue
        entries[ends[i] : ends[i + 1]], b[i] = scaled[:-1], scaled[-1]
    return Polyhedron(A.toarray() if isinstance(domain.rows, np.ndarray) else A, b)


def _column_exponents(network: Network, domain: Polyhedron) -> IntArray:
    """The size of each coordinate in the domain, as an exponent; none if all are of ordinary size.

    It is half the width where rows on one coordinate bound it, else what balances the rows' numbers.
    """
    with np.errstate(over="ignore"):
        low, high, _ = coordinate_bounds(domain.rows, -domain.b, np.inf)
    wide = high / 2 - low / 2
    known = np.isfinite(wide) & (wide > 0)
    found = exponents(np.where(known, wide, 1.0))
    if not known.all():
        found[~known] = exponents(column_scales(*_rows(network, domain)))[~known]
    return found if (np.abs(found) > ORDINARY).any() else np.zeros_like(found)


def _rows(network: Network, domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """Rows that tell of sizes: the domain's, and if these say too little, those of units on the input."""
    A, b = [domain.A], [domain.b]
    if not (domain.A[domain.b != 0] != 0).any(axis=0).all():
        for layer in network.layers:
            if layer.inputs == (0,) and len(layer.bias) * domain.dim <= MOST_ENTRIES:
                A.append(layer.maps[0].to_sparse().toarray())
                b.append(layer.bias)
    return np.concatenate(A), np.concatenate(b)
