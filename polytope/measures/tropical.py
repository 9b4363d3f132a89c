r"""The tropical view: a network of convex activations as a difference F - G of tropical signomials.

With :math:`A = A^+ - A^-` a layer :math:`z = A (F - G) + b` is :math:`H' - G'` with
:math:`H' = A^+ F + A^- G + b` and :math:`G' = A^+ G + A^- F`, and ReLU gives :math:`F' = \max(H', G')`. Any
convex piecewise-linear unit and any maximum follow in the same way. A subtrahend of one monomial is affine
and moves to the other side, so first layers stay small.

References: Zhang, Naitzat, Lim (2018), "Tropical Geometry of Deep Neural Networks",
https://arxiv.org/abs/1805.07091
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from polytope.given import NetworkLike, as_network
from polytope.ir import Layer
from polytope.ir.activations import Activation
from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.oneline import one_line
from polytope.ir.sweep import outputs
from polytope.measures.signomial import Numbers, Signomial, added, affine, greatest, pruned

Pair = tuple[Signomial, Signomial]  # F and G of one value F - G
Differences = tuple[list[Pair], list[tuple[int, int]]]  # and the numbers of monomials without pruning


@dataclass(frozen=True, eq=False)
class TropicalForm:
    """A network as ``F - G``, output by output.

    Arguments:
        F, G: one signomial for each output, essential monomials only where pruned.
        monomials_before: for each output the numbers of monomials of F and G that the formulas give without
            pruning.
    """

    F: tuple[Signomial, ...]
    G: tuple[Signomial, ...]
    monomials_before: tuple[tuple[int, int], ...]

    __repr__ = one_line

    @property
    def monomials(self) -> tuple[tuple[int, int], ...]:
        """For each output the numbers of monomials of F and G."""
        return tuple((len(f), len(g)) for f, g in zip(self.F, self.G, strict=True))

    def __call__(self, x: Any) -> Numbers:
        """The network's values; exact where the form and the points are fractions.

        Arguments:
            x: points, ``[B, d]``: float64, or an object array of fractions.

        Returns:
            ``[B, out]``.
        """
        columns = [f(x) - g(x) for f, g in zip(self.F, self.G, strict=True)]
        return np.stack(columns, axis=1)


def tropical_form(
    network: NetworkLike, *, exact: bool = True, prune: bool = True, max_monomials: int = 5000
) -> TropicalForm:
    """A network whose units are convex as a difference of tropical signomials.

    Arguments:
        network: its units are maxima of their pieces (ReLU, leaky, absolute value, max groups).
        exact: count in fractions, equal to the float64 weights, so that the form is the network and prunes
            are proved; otherwise in float64, an estimate.
        prune: drop monomials that are nowhere alone the greatest, layer by layer.
        max_monomials: no signomial may have more, before it is pruned.

    Raises:
        ValueError: a unit is not convex, or a signomial grows beyond ``max_monomials``.

    Example:
        >>> import polytope as pt
        >>> form = tropical_form(pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]))  # |x|
        >>> form.monomials, form.monomials_before, form([[-3.0]]).tolist()
        (((2, 1),), ((4, 1),), [[3.0]])
    """
    network = as_network(network)
    sums = _Sums(exact, prune, max_monomials)
    d = network.input_dim
    zero = sums.number(0.0)
    nothing = np.array([zero] * d, dtype=object if exact else float)
    units = [sums.numbers(row) for row in np.eye(d)]
    start = [(affine(unit, zero), affine(nothing, zero)) for unit in units]
    found, counts = outputs(network, (start, [(1, 1)] * d), _Differences(sums))
    F, G = zip(*found, strict=True)
    return TropicalForm(F, G, tuple(counts))


@dataclass(frozen=True)
class _Sums:
    """How numbers are kept, and sums and maxima formed."""

    exact: bool
    prune: bool
    most: int

    def number(self, value: float) -> Any:
        return Fraction(float(value)) if self.exact else float(value)

    def numbers(self, values: FloatArray) -> Numbers:
        return np.array([self.number(v) for v in values.tolist()], dtype=object if self.exact else float)

    def plus(self, first: Signomial | None, second: Signomial) -> Signomial:
        if first is None:
            return second
        self._check(len(first) * len(second))
        total = added(first, second)
        return self._pruned(total, simple=min(len(first), len(second)) == 1)

    def best(self, parts: list[Signomial]) -> Signomial:
        self._check(sum(map(len, parts)))
        return self._pruned(greatest(parts), simple=len(parts) == 1)

    def _pruned(self, F: Signomial, *, simple: bool) -> Signomial:
        return F if simple or not self.prune else pruned(F)

    def _check(self, n: int) -> None:
        if n > self.most:
            raise ValueError(
                f"tropical_form: a signomial would have {n} monomials, more than max_monomials={self.most}. "
                "Take a smaller network, a window of fewer dimensions, or a larger limit."
            )

    def reduced(self, F: Signomial, G: Signomial) -> Pair:
        """The same difference with an affine G moved to F."""
        if len(G) > 1:
            return F, G
        zero = affine(G.exponents[0] * 0, self.number(0.0))
        return Signomial(F.exponents - G.exponents[0], F.coefficients - G.coefficients[0]), zero


@dataclass(frozen=True)
class _Differences:
    """Values as differences of signomials."""

    sums: _Sums

    def affine(self, number: int, layer: Layer, reads: Sequence[Differences]) -> Differences:
        maps, parts = [], []
        for linear, h in zip(layer.maps, reads, strict=True):
            outermost, *factors = linear.chain()  # their product would be rounded
            for factor in reversed(factors):
                h = _affine([factor], np.zeros(factor.shape[0]), [h], self.sums)
            maps.append(outermost)
            parts.append(h)
        return _affine(maps, layer.bias, parts, self.sums)

    def activate(self, number: int, layer: Layer, z: Differences) -> Differences:
        return _activated(layer.phi, *z, self.sums)


def _affine(
    maps: Sequence[LinearMap], biases: FloatArray, reads: Sequence[Differences], sums: _Sums
) -> Differences:
    """Pre-activations, and their numbers of monomials without pruning."""
    matrices = [linear.to_sparse() for linear in maps]
    out, numbers = [], []
    for unit, bias in enumerate(biases.tolist()):
        H: Signomial | None = None
        G: Signomial | None = None
        formal = [1, 1]
        for matrix, (values, counts) in zip(matrices, reads, strict=True):
            row = slice(matrix.indptr[unit], matrix.indptr[unit + 1])
            for j, weight in zip(matrix.indices[row].tolist(), matrix.data[row].tolist(), strict=True):
                if not weight:
                    continue
                f, g = values[j] if weight > 0 else values[j][::-1]
                m, n = counts[j] if weight > 0 else counts[j][::-1]
                size = sums.number(abs(weight))
                H, G = sums.plus(H, f.times(size)), sums.plus(G, g.times(size))
                formal = [formal[0] * m, formal[1] * n]
        empty = reads[0][0][0][1]
        zero = affine(empty.exponents[0] * 0, sums.number(0.0))
        H, G = H or zero, G or zero
        shifted = Signomial(H.exponents, H.coefficients + sums.number(bias))
        out.append(sums.reduced(shifted, G))
        numbers.append((formal[0], formal[1]))
    return out, numbers


def _activated(
    activation: Activation, z: list[Pair], numbers: list[tuple[int, int]], sums: _Sums
) -> Differences:
    """Outputs of convex units: the maximum of their pieces ``s (H - G) + t``, each with all subtrahends."""
    if not activation.is_convex():
        raise ValueError("tropical_form: a unit is not convex; it is no difference of this form.")
    out, counts = [], []
    for unit in range(activation.n_units(len(z))):
        pieces = _pieces(activation, len(z), unit)
        sources = sorted({source for source, _, _ in pieces})
        up = {m: sums.number(max(max(s, 0.0) for k, s, _ in pieces if k == m)) for m in sources}
        down = {m: sums.number(max(max(-s, 0.0) for k, s, _ in pieces if k == m)) for m in sources}
        parts, monomials = [], 0
        for source, slope, intercept in pieces:
            terms = []
            for m in sources:
                mine = sums.number(slope if m == source else 0.0)
                rise, fall = max(mine, sums.number(0.0)), max(-mine, sums.number(0.0))
                terms += [(z[m][0], numbers[m][0], rise + down[m] - fall)]
                terms += [(z[m][1], numbers[m][1], fall + up[m] - rise)]
            base, size = _weighted(terms, sums, z[source][0])
            parts.append(Signomial(base.exponents, base.coefficients + sums.number(intercept)))
            monomials += size
        subtrahends = [
            term
            for m in sources
            for term in ((z[m][1], numbers[m][1], up[m]), (z[m][0], numbers[m][0], down[m]))
        ]
        below, size = _weighted(subtrahends, sums, z[sources[0]][0])
        out.append(sums.reduced(sums.best(parts), below))
        counts.append((monomials, size))
    return out, counts


def _pieces(activation: Activation, n: int, unit: int) -> list[tuple[int, float, float]]:
    """The pieces of a unit: which of n pre-activations each reads, its slope and its intercept."""
    units, pieces = activation.n_units(n), []
    for p in range(activation.n_pieces(unit)):
        pattern = np.zeros(units, dtype=np.int8)
        pattern[unit] = p
        maps = activation.affine(pattern)
        pieces.append((int(maps.source[unit]), float(maps.slope[unit]), float(maps.intercept[unit])))
    return pieces


def _weighted(
    terms: Sequence[tuple[Signomial, int, Any]], sums: _Sums, like: Signomial
) -> tuple[Signomial, int]:
    """A sum of signomials times factors, and its number of monomials without pruning."""
    total: Signomial | None = None
    size = 1
    for F, n, factor in terms:
        if factor:
            total = sums.plus(total, F.times(factor))
            size *= n
    return total or affine(like.exponents[0] * 0, sums.number(0.0)), size
