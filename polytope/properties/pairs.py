"""Two networks side by side on a domain, and what is known of their difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf

import numpy as np

from polytope.bounds.branching.folded import Folded, error_of, folded
from polytope.bounds.differences import bounds_of_difference, same_architecture
from polytope.bounds.linear_bounds import linear_bounds
from polytope.bounds.output_bounds import bounds_over_box
from polytope.engines.budget import Budget
from polytope.errors import UnboundedDomainError
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Dense, Layer, Network, PiecewiseLinear
from polytope.ir.algebra import product
from polytope.ir.continuity import refuse_infinite, refuse_jumps
from polytope.ir.maps import Diagonal, FloatArray
from polytope.ir.matrix import lengths
from polytope.ir.network import stack
from polytope.measures.simplify import without_zeros
from polytope.measures.units import UnitUse, prove_units
from polytope.properties.attack import descend
from polytope.properties.cases import Outcome, settle
from polytope.properties.vnnlib_property import Case

DESCENTS = 4
ENTRIES = 1 << 26  # numbers in the cases of one question


@dataclass(eq=False)
class Pair:
    """Two networks, side by side, and what is known of their difference on a domain.

    Arguments:
        both: the outputs of the first, then of the second.
        difference: its outputs are the differences.
        domain, box: where; the box ``[2, d]`` is around the domain.
        rng: source of randomness.
        bounds: low and high of the differences, ``[2, out]``.
    """

    first: Network
    second: Network
    both: ExactNetwork
    difference: Network
    domain: Polyhedron
    box: FloatArray
    rng: np.random.Generator
    bounds: FloatArray

    @classmethod
    def of(cls, first: Network, second: Network, domain: Polyhedron, rng: np.random.Generator | None) -> Pair:
        """Two networks on a domain, of whose difference nothing is known yet."""
        for what, one, other in (
            ("inputs", first.input_dim, second.input_dim),
            ("outputs", first.output_dim, second.output_dim),
        ):
            if one != other:
                raise ValueError(f"The networks have {one} and {other} {what}; they cannot be compared.")
        if domain.dim != first.input_dim:
            raise ValueError(
                f"The domain lies in R^{domain.dim}, the networks' input in R^{first.input_dim}."
            )
        for network in (first, second):
            refuse_infinite(network)
            refuse_jumps(network)
        if not domain.is_bounded:
            raise UnboundedDomainError("Networks are compared on a bounded domain; intersect it with a box.")
        _ = domain.inscribed_ball  # raises where there is no interior
        both, n = stack(first, second), first.output_dim
        ends = Diagonal(np.ones(n)), Diagonal(-np.ones(n))
        minus = Layer(both.layers[-1].inputs, ends, np.zeros(n))
        difference = replace(both, layers=(*both.layers[:-1], minus), output_names=first.output_names)
        unknown = np.array([[-inf], [inf]]) * np.ones(n)
        generator = np.random.default_rng(0 if rng is None else rng)
        return cls(first, second, ExactNetwork(both), difference, domain, domain.bounds, generator, unknown)

    @property
    def upper(self) -> float:
        """No output differs by more."""
        return float(np.abs(self.bounds).max(initial=0.0))

    @property
    def most(self) -> FloatArray:
        """How much the first network's outputs may exceed the second's, then the other way, ``[2 out]``."""
        return np.concatenate([self.bounds[1], -self.bounds[0]])

    def bound(self) -> None:
        """By the weights that differ, and where these bounds are not zero by the difference itself."""
        if same_architecture(self.first, self.second):
            self.bounds = bounds_of_difference(self.first, self.second, self.box)
        if self.upper > 0:
            low, high = bounds_over_box(self.difference, self.box)
            self._keep(low, high)

    def bound_without_zeros(self, budget: Budget) -> None:
        """By the weights that differ where one network lacks units that are 0 in the other."""
        if same_architecture(self.first, self.second):
            return
        step = None if budget.rest is None else budget.rest / 4
        uses = [prove_units(network, self.domain, max_seconds=step) for network in (self.first, self.second)]
        first, second = map(without_zeros, (self.first, self.second), uses)
        if same_architecture(first, second):
            self._keep(*bounds_of_difference(first, second, self.box))
        elif all(_has_own_breakpoints(network) for network in (self.first, self.second)):
            small = [
                _folded(one, use, self.box) for one, use in zip((self.first, self.second), uses, strict=True)
            ]
            if same_architecture(small[0].network, small[1].network):
                off = error_of(small[0]) + error_of(small[1])
                low, high = bounds_of_difference(small[0].network, small[1].network, self.box)
                self._keep(np.nextafter(low - off, -inf), np.nextafter(high + off, inf))

    def _keep(self, low: FloatArray, high: FloatArray) -> None:
        self.bounds = np.stack([np.maximum(self.bounds[0], low), np.minimum(self.bounds[1], high)])

    def apart(self, x: FloatArray) -> Fraction:
        """The largest difference of an output at a float64 input, exactly."""
        y, n = values_at(self.both, tuple(map(Fraction, x.tolist()))), self.first.output_dim
        return max((abs(a - b) for a, b in zip(y[:n], y[n:], strict=True)), default=Fraction(0))

    def farthest(self) -> tuple[FloatArray | None, Fraction]:
        """An input of the domain at which some output differs much, and by how much.

        By descents for the outputs that may differ most.
        """
        n, last = self.first.output_dim, self.difference.layers[-1]
        most = self.most
        chosen = np.argsort(-most, kind="stable")[:DESCENTS]
        rows = np.zeros((len(chosen), n))
        rows[np.arange(len(chosen)), chosen % n] = np.where(chosen < n, -1.0, 1.0)
        room = np.where(np.isfinite(most), most, 0.0)[chosen]  # a descent ends where a row is negative
        maps = tuple(product(Dense(rows), linear) for linear in last.maps)
        turned = replace(
            self.difference, layers=(*self.difference.layers[:-1], Layer(last.inputs, maps, room))
        )
        best, farthest = None, Fraction(0)
        for row in range(len(chosen)):
            x, _ = descend(turned, self.box, self.domain, np.array([row]), self.rng)
            apart = self.apart(x) if self.domain.contains(x[None])[0] else Fraction(0)
            if apart > farthest:
                best, farthest = x, apart
        return best, farthest

    def cases(self, tolerance: float) -> list[Case]:
        """For every output and sign, that it differs by more than a tolerance, where bounds allow it."""
        n, d = self.first.output_dim, self.first.input_dim
        if self.domain.is_box and (lengths(self.domain.rows, inf) == 1).all():
            A, b = np.zeros((0, d)), np.zeros(0)  # the box is the domain
        else:
            A, b = self.domain.A, self.domain.b
        low, high = self.box
        found = []
        for place in np.flatnonzero(self.most > tolerance).tolist():
            i, sign = place % n, 1.0 if place < n else -1.0
            C = np.zeros((1, d + 2 * n))
            C[0, d + i], C[0, d + n + i] = -sign, sign
            found.append(Case(low, high, A, b, C, np.array([-tolerance]), np.array([True])))
        return found

    def settled(self, tolerance: float, budget: Budget, workers: int) -> Outcome:
        """An input at which some output differs by more than a tolerance, or the proof that there is none."""
        size = len(self.box[0]) + 2 * self.first.output_dim
        if size * int((self.most > tolerance).sum()) > ENTRIES:
            return Outcome(None, decided=False)
        return settle(self.both, self.cases(tolerance), budget, workers, False, self.rng)


def _has_own_breakpoints(network: Network) -> bool:
    """Whether every unit has breakpoints of its own pre-activation."""
    kinds = (layer.activation for layer in network.layers)
    return all(kind is None or isinstance(kind, PiecewiseLinear) for kind in kinds)


def _folded(network: Network, use: UnitUse, box: FloatArray) -> Folded:
    """The network of the units that are not proved to stay on one piece in the box."""
    ends, pieces, begin = [], [], 0
    for layer, z in zip(network.layers, linear_bounds(network, box), strict=True):
        if layer.activation is not None:
            span = slice(begin, begin + layer.width)
            seen = layer.activation.pattern(z.T).T
            pieces.append(np.where(use.fixed[span], use.piece[span], seen))
            ends.append(z)
            begin = span.stop
    return folded(network, ends, pieces, box, worth=inf)
