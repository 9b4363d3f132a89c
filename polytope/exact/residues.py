r"""Affine maps modulo primes: equal or not, in exact arithmetic, for millions of patterns at once.

A float64 number :math:`m 2^k` has a residue modulo every odd prime, and sums and products of numbers have the
sums and products of the residues. Maps that differ modulo p differ. Numbers that agree modulo primes whose
product is greater than their difference can be, over their common denominator, are equal.

All residues lie in :math:`-p/2 \dots p/2` as float64 numbers, and p is so small that no sum of products is
rounded: a pass modulo p costs little more than one in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, isqrt, log2

import numpy as np

from polytope.ir.activations import Activation, PatternArray
from polytope.ir.backward import OnPieces, batches, to_sources
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, IntArray, LinearMap
from polytope.ir.network import Network
from polytope.ir.sweep import outputs, outputs_to_input


class Residues:
    """A network modulo a prime.

    Arguments:
        network: the network.
        prime: at most ``largest_prime(network)``.
    """

    def __init__(self, network: Network, prime: int) -> None:
        self.network, self.prime = network, prime
        self.maps = [
            [[factor.entrywise(self.of) for factor in linear.chain()] for linear in layer.maps]
            for layer in network.layers
        ]
        self.biases = [self.of(layer.bias) for layer in network.layers]

    def of(self, values: FloatArray) -> FloatArray:
        """The residues of float64 numbers."""
        if (np.abs(values) < self.prime / 2).all() and (np.rint(values) == values).all():
            return values
        fractions, exponents = np.frexp(values)
        whole = (fractions * 2.0**53).astype(np.int64) % self.prime
        first = int(exponents.min())
        powers = np.array([pow(2, k - 53, self.prime) for k in range(first, int(exponents.max()) + 1)])
        return self.reduced((whole * powers[exponents - first] % self.prime).astype(float))

    def times(self, factors: FloatArray, values: FloatArray) -> FloatArray:
        """The products of float64 numbers with residues."""
        residues = self.of(factors)
        products = residues * values
        return products if (np.abs(residues) <= 1).all() else self.reduced(products)

    def reduced(self, values: FloatArray) -> FloatArray:
        """The residues of integers below 2^53 in size, in their place."""
        quotient = values * (1.0 / self.prime)
        np.rint(quotient, out=quotient)
        quotient *= self.prime
        values -= quotient
        return values

    def rows(self, patterns: PatternArray, weights: FloatArray) -> IntArray:
        """Combinations of the outputs as affine functions of x: residues 0 .. p - 1, ``[B, m, d + 1]``.

        Arguments:
            patterns: ``int8[B, units]``.
            weights: ``[out, m]``, residues.
        """
        m, d = weights.shape[1], self.network.input_dim
        out = np.empty((len(patterns), m, d + 1), dtype=np.int64)
        for some in batches(self.network, len(patterns), m):
            domain = _Combinations(self, patterns[some], m)
            J = outputs_to_input(self.network, np.tile(weights, (1, len(patterns[some]))), domain)
            out[some, :, :d] = J.reshape(d, -1, m).transpose(1, 2, 0)
            out[some, :, d] = domain.constant
        return out % self.prime


class _Combinations(OnPieces):
    """m combinations for each pattern modulo a prime, ``[width, B * m]``; constants are summed up."""

    def __init__(self, modulo: Residues, patterns: PatternArray, m: int) -> None:
        super().__init__(modulo.network, patterns)
        self.modulo, self.m = modulo, m
        self.constant = np.zeros((len(patterns), m))

    def affine(self, number: int, layer: Layer, weights: FloatArray) -> Iterator[FloatArray]:
        bias = self.modulo.biases[number - 1]
        if bias.any():
            self._add_constant((bias @ weights).reshape(-1, self.m))
        for factors in self.modulo.maps[number - 1]:
            pulled = weights
            for factor in factors:
                pulled = self.modulo.reduced(factor.apply_transpose(pulled))
            yield pulled

    def activate(self, number: int, layer: Layer, weights: FloatArray) -> FloatArray:
        pieces, each = self.pieces(number), weights.reshape(len(weights), -1, self.m)
        if pieces.intercept.any():
            self._add_constant(self.modulo.times(pieces.intercept[:, :, None], each).sum(axis=0))
        sloped = self.modulo.times(pieces.slope[:, :, None], each)
        n = len(layer.bias)
        pulled = sloped if pieces.own else self.modulo.reduced(to_sources(pieces, sloped, n))
        return pulled.reshape(n, -1)

    def plus(self, k: int, a: FloatArray, b: FloatArray) -> FloatArray:
        return self.modulo.reduced(a + b)

    def _add_constant(self, values: FloatArray) -> None:
        self.constant = self.modulo.reduced(self.constant + self.modulo.reduced(values))


def largest_prime(network: Network) -> int:
    """A bound on primes such that sums of products of residues are below 2^53."""
    terms = max(
        *(len(layer.bias) for layer in network.layers),
        *(layer.width for layer in network.layers),
        *(factor.shape[0] for layer in network.layers for m in layer.maps for factor in m.chain()),
    )
    return isqrt(2**54 // (terms + 2))  # so (p / 2 + 2)^2 terms + p < 2^53; 2 is for the rounded quotient


def primes(network: Network, at_most: int | None = None) -> Iterator[int]:
    """Primes below the largest that suits a network, descending."""
    p = at_most or largest_prime(network)
    while p > 2:
        if p % 2 and all(p % q for q in range(3, isqrt(p) + 1, 2)):
            yield p
        p -= 1


def enough_primes(network: Network) -> list[int]:
    """Primes modulo which two affine maps of the network are equal only if they are equal."""
    bits, found = difference_bits(network), []
    for p in primes(network):
        found.append(p)
        bits -= log2(p) - 2.0**-20
        if bits < 0:
            return found
    raise OverflowError("residues: the network's numbers need more primes than there are.")


def difference_bits(network: Network) -> float:
    """log2 of a bound on the difference of two maps' numbers, times their common denominator."""
    size, denominator = outputs(network, (0, 0), _Bits())
    return float(1 + size + denominator)


class _Bits:
    """Sizes and denominators of the values' coefficients and constants, as exponents of two."""

    def affine(self, number: int, layer: Layer, reads: Sequence[tuple[int, int]]) -> tuple[int, int]:
        parts = [_bits(layer.bias)]
        for linear, (size, denominator) in zip(layer.maps, reads, strict=True):
            for factor in reversed(linear.chain()):
                more, fine = _map_bits(factor)
                size, denominator = size + more, denominator + fine
            parts.append((size, denominator))
        return max(s for s, _ in parts) + ceil(log2(len(parts))), max(e for _, e in parts)

    def activate(self, number: int, layer: Layer, z: tuple[int, int]) -> tuple[int, int]:
        slope, intercept = _piece_bits(layer.phi, layer.width)
        return max(z[0] + slope[0], intercept[0]) + 1, max(z[1] + slope[1], intercept[1])


def _bits(values: FloatArray) -> tuple[int, int]:
    """Nonnegative s and e such that all numbers are below 2^s in size, and integers over 2^e."""
    fractions, exponents = np.frexp(values[values != 0])
    whole = np.abs(fractions * 2.0**53).astype(np.int64)
    lowest = np.log2((whole & -whole).astype(float)).astype(np.int64)
    size, fine = exponents.max(initial=0), (53 - exponents - lowest).max(initial=0)
    return int(size), int(fine)


def _map_bits(linear: LinearMap) -> tuple[int, int]:
    """As ``_bits`` for the numbers of a map, with the size of the greatest sum of a row."""
    fine = 0

    def look(values: FloatArray) -> FloatArray:
        nonlocal fine
        fine = max(fine, _bits(values)[1])
        return np.abs(values)

    absolute = linear.entrywise(look)
    with np.errstate(over="ignore"):
        sums = absolute.apply(np.ones((linear.shape[1], 1)))
    most = float(sums.max(initial=0.0))
    return (max(0, ceil(log2(most)) + 1) if 0 < most < np.inf else 0 if most == 0 else 1100), fine


def _piece_bits(activation: Activation, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """As ``_bits`` for all slopes and all intercepts of a layer."""
    last = np.array([activation.n_pieces(unit) - 1 for unit in range(width)])
    every = [activation.affine(np.minimum(last, p).astype(np.int8)) for p in range(int(last.max()) + 1)]
    slopes, intercepts = [maps.slope for maps in every], [maps.intercept for maps in every]
    return _bits(np.concatenate(slopes)), _bits(np.concatenate(intercepts))
