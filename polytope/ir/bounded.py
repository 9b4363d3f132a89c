r"""Affine maps in float64 with proved bounds on their rounding errors, entry by entry.

A product :math:`A^T w` of n terms is computed within :math:`\gamma_n |A|^T |w|`, and what w is off by comes
out as :math:`|A|^T e`: beside the combinations one more pass with the absolute maps carries the errors. An
entry that is zero because no path leads to it has the error zero.

References: Higham (2002), "Accuracy and Stability of Numerical Algorithms", chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from polytope.ir.activations import PatternArray
from polytope.ir.backward import OnPieces, batches, identities, to_sources
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.network import Network
from polytope.ir.sweep import outputs_to_input

UNIT = 2.0**-52  # twice the unit roundoff: the bounds have room for their own rounding
SMALLEST = 2.0**-500  # no product of two larger numbers underflows
LARGEST = 2.0**500


@dataclass(frozen=True, eq=False)
class BoundedMaps:
    """The affine maps of B patterns, and bounds on the errors of every number.

    Arguments:
        J, J_error: ``[B, out, d]``.
        c, c_error: ``[B, out]``.
    """

    J: FloatArray
    c: FloatArray
    J_error: FloatArray
    c_error: FloatArray


def bounded_maps(network: Network, patterns: PatternArray) -> BoundedMaps:
    """The affine maps of patterns ``int8[B, units]``; where float64 has not the range, errors are ``inf``."""
    count, out, d = len(patterns), network.output_dim, network.input_dim
    found = BoundedMaps(
        np.empty((count, out, d)), np.empty((count, out)), np.empty((count, out, d)), np.empty((count, out))
    )
    for some in batches(network, count, 2 * out):
        with np.errstate(over="ignore", invalid="ignore"):
            domain = _Bounded(network, patterns[some], out)
            chosen = identities(out, len(patterns[some]))
            J, J_error = outputs_to_input(network, (chosen, np.zeros_like(chosen)), domain)
        found.J[some], found.J_error[some] = domain.rows(J), domain.rows(J_error)
        found.c[some], found.c_error[some] = domain.constant, domain.constant_error
    for value, error in ((found.J, found.J_error), (found.c, found.c_error)):
        error[~np.isfinite(value) | ~np.isfinite(error) | (not _sizes(network).in_range)] = np.inf
        value[~np.isfinite(value)] = 0.0
    return found


@dataclass(frozen=True, eq=False)
class _Sizes:
    """What bounds need to know of a network.

    Arguments:
        in_range: whether all its numbers but zero are so far from the ends of float64 that bounds hold.
        terms: for each map of each layer the most products in one sum of the transposed map.
    """

    in_range: bool
    terms: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=8)  # bounds of single patterns ask again and again
def _sizes(network: Network) -> _Sizes:
    fine = True

    def look(values: FloatArray) -> FloatArray:
        nonlocal fine
        size = np.abs(values[values != 0])
        fine = fine and bool((size >= SMALLEST).all() and (size <= LARGEST).all())
        return np.where(values != 0, 1.0, 0.0)

    terms = []
    for layer in network.layers:
        look(layer.bias)
        terms.append(tuple(sum(_most_terms(f.entrywise(look)) for f in m.chain()) for m in layer.maps))
        activation = layer.activation
        if activation is not None:
            last = np.array([activation.n_pieces(unit) - 1 for unit in range(layer.width)])
            for piece in range(int(last.max()) + 1):
                pieces = activation.affine(np.minimum(last, piece).astype(np.int8))
                look(pieces.slope)
                look(pieces.intercept)
    return _Sizes(fine, tuple(terms))


def _most_terms(places: LinearMap) -> int:
    """The most ones in one column."""
    return int(places.apply_transpose(np.ones((places.shape[0], 1))).max(initial=0.0))


Pair = tuple[FloatArray, FloatArray]  # combinations and bounds on their errors, [width, B * m] each


class _Bounded(OnPieces):
    """m combinations for each pattern, and constants ``[B, m]`` with bounds on their errors."""

    def __init__(self, network: Network, patterns: PatternArray, m: int) -> None:
        super().__init__(network, patterns)
        self.m, self.terms = m, _sizes(network).terms
        self.constant = np.zeros((len(patterns), m))
        self.constant_error = np.zeros((len(patterns), m))

    def rows(self, weights: FloatArray) -> FloatArray:
        """Combinations of the input as ``[B, m, d]``."""
        return weights.reshape(len(weights), -1, self.m).transpose(1, 2, 0)

    def affine(self, number: int, layer: Layer, weights: Pair) -> Iterator[Pair]:
        w, e = weights
        self._add_constant(layer.bias @ w, np.abs(layer.bias) @ _room(w, e, len(w)))
        terms = self.terms[number - 1]
        for linear, absolute, n in zip(layer.maps, layer.absolute_maps, terms, strict=True):
            yield (linear.apply_transpose(w), absolute.apply_transpose(_room(w, e, n)))

    def activate(self, number: int, layer: Layer, weights: Pair) -> Pair:
        pieces, (w, e) = self.pieces(number), weights
        each = w.reshape(len(w), -1, self.m)
        around = _room(w, e, 1 if pieces.own else len(w)).reshape(each.shape)
        self._add_constant(
            np.einsum("ub,ubm->bm", pieces.intercept, each),
            np.einsum("ub,ubm->bm", np.abs(pieces.intercept), _room(w, e, len(w)).reshape(each.shape)),
        )
        n = len(layer.bias)
        slope = pieces.slope[:, :, None]
        return (
            to_sources(pieces, slope * each, n).reshape(n, -1),
            to_sources(pieces, np.abs(slope) * around, n).reshape(n, -1),
        )

    def plus(self, k: int, a: Pair, b: Pair) -> Pair:
        total = a[0] + b[0]
        return total, a[1] + b[1] + UNIT * np.abs(total)

    def _add_constant(self, value: FloatArray, error: FloatArray) -> None:
        self.constant += value.reshape(-1, self.m)
        self.constant_error += error.reshape(-1, self.m) + UNIT * np.abs(self.constant)


def _room(w: FloatArray, e: FloatArray, terms: int) -> FloatArray:
    """What a sum of so many products with w can be off by, per unit of the other factor's size."""
    size = np.abs(w)
    out = np.maximum(e + (UNIT * (terms + 4)) * size, SMALLEST)
    out[(size == 0) & (e == 0)] = 0.0
    return out
