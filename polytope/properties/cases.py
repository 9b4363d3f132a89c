r"""The cases of a VNN-LIB property that share their inputs, decided together.

The conditions of the unsafe set become units :math:`g_i = C_i (x, f(x)) - e_i` behind the network, so the
exact search cuts its cells where a condition changes. They are watched from a little above 0: where a unit is
on in a cell its condition is met nowhere in the closed cell, and cells that merely touch the unsafe set have
all units of a case off. Rational linear programs decide those.

Nothing is decided by a rounded number: bounds count with all that rounding may do, and at a counterexample
all constraints of its case hold in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polytope.bounds.largest import largest_of
from polytope.bounds.output_bounds import bounds_at, bounds_over_box
from polytope.core.result import ROOT
from polytope.core.vertex_cells import explore, suits_vertices
from polytope.engines.budget import Budget
from polytope.engines.layer_split import LayerSplit
from polytope.exact.dyadic import dyadic
from polytope.exact.interior import interior_point
from polytope.exact.network import ExactNetwork
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Dense, Layer, Network, mlp, relu
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.maxima import maxima_first
from polytope.properties.attack import descend
from polytope.properties.counterexamples import is_counterexample, nearest_float
from polytope.properties.inputs import AllowedInputs, Point, allowed_inputs
from polytope.properties.touching import Touching
from polytope.properties.vnnlib_property import Case
from polytope.runs.enumerate import enumerate_regions

FIRST_SLICE, SLICE = 100, 100_000  # regions looked at together, few at first: one counterexample is enough
ABOVE = (
    2.0**-32
)  # from how far above 0 conditions are watched, in shares of what they can be; any share is right


Shown = Literal["bounds", "branching", "enumeration"]
"""What shows that a property holds: bounds for all inputs at once, bounds for each of many cells and the few
regions that are left over, or every region; each needs more than the one before."""


Slice = tuple[PatternArray, FloatArray, bool]
"""Patterns and interior points of some regions, and whether the budget sufficed so far."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A counterexample, if one was found; otherwise whether there is none, by how many regions.

    Arguments:
        witness: the counterexample, or the float64 input next to it.
        shown: what shows that there is none.
        is_float: whether the witness itself is one.
    """

    witness: FloatArray | None
    decided: bool
    regions: int = 0
    shown: Shown = "bounds"
    is_float: bool = True


def settle(
    exact: ExactNetwork,
    cases: Sequence[Case],
    budget: Budget,
    workers: int,
    thorough: bool,
    rng: np.random.Generator,
) -> Outcome:
    """Find a counterexample among cases with the same inputs, or prove that there is none.

    Arguments:
        exact: the network.
        thorough: whether to prove by enumeration even where bounds would do.
    """
    inputs = allowed_inputs(cases[0])
    if inputs is None:
        return Outcome(None, decided=True)
    if isinstance(inputs, AllowedInputs):
        return CaseGroup.of(exact, cases, inputs).settle(budget, workers, thorough, rng)
    for case in cases:
        if is_counterexample(exact, case, inputs):
            return _reported(exact, case, inputs)
    return Outcome(None, decided=True)


@dataclass(frozen=True, eq=False)
class CaseGroup:
    """Cases with the same inputs.

    Arguments:
        exact: the network.
        cases: the cases.
        inputs: what they allow.
        conditions: those of all cases as one network on the inputs' domain, each met where at most 0.
        rows: for each case the numbers of its conditions.
        strict: ``bool[k]``, which conditions must be below 0.
    """

    exact: ExactNetwork
    cases: Sequence[Case]
    inputs: AllowedInputs
    conditions: Network
    rows: tuple[IntArray, ...]
    strict: NDArray[np.bool_]

    @classmethod
    def of(cls, exact: ExactNetwork, cases: Sequence[Case], inputs: AllowedInputs) -> CaseGroup:
        """The conditions of some cases behind the network, and what no window holds of their inputs."""
        network, d, more = exact.network, exact.network.input_dim, len(inputs.b)
        C = np.concatenate([*(case.C[:, :d] for case in cases), inputs.A])
        Y = np.concatenate([*(case.C[:, d:] for case in cases), np.zeros((more, network.output_dim))])
        e = np.concatenate([*(case.e for case in cases), inputs.b])
        layer = Layer((len(network.layers), 0), (Dense(Y), Dense(C)), -e)
        behind = replace(network, layers=(*network.layers, layer), output_names=("conditions",))
        if inputs.window is not None:
            front = mlp([(inputs.window.directions.T, inputs.window.base)])
            behind = front.then(behind)
        ends = np.cumsum([0, *[len(case.e) for case in cases]])
        shared = np.arange(ends[-1], ends[-1] + more)
        rows = tuple(np.concatenate([np.arange(i, j), shared]) for i, j in pairwise(ends))
        strict = np.concatenate([*(case.strict for case in cases), np.zeros(more, dtype=bool)])
        return cls(exact, cases, inputs, behind, rows, strict)

    def settle(self, budget: Budget, workers: int, thorough: bool, rng: np.random.Generator) -> Outcome:
        """Find a counterexample or prove that there is none; if thorough, not by bounds alone."""
        for number, rows in enumerate(self.rows):
            if not len(rows):
                return self._anywhere(number)
        low, high = bounds_over_box(self.conditions, self.inputs.box)
        never = (low > 0) | (self.strict & (low >= 0))
        possible = [n for n, rows in enumerate(self.rows) if thorough or not never[rows].any()]
        if not possible:
            return Outcome(None, decided=True)
        for number in possible:
            if budget.spent(0):
                return Outcome(None, decided=False)
            t, _ = descend(self.conditions, self.inputs.box, self.inputs.domain, self.rows[number], rng)
            found = self._tried(number, t)
            if found is not None:
                return found
        branch = not thorough and suits_vertices(self.inputs.domain)
        if not thorough and not branch and np.isfinite(self.inputs.box).all():
            return self._branched(possible, budget)
        split = watched(self.conditions, np.maximum(np.abs(low), np.abs(high)))
        cases = [self.rows[number] for number in possible] if branch else []
        slices = _slices(split, self.inputs.domain, cases, budget, workers)
        found = self._looked_through(possible, slices, budget)
        return replace(found, shown="branching" if branch else "enumeration")

    def _branched(self, possible: Sequence[int], budget: Budget) -> Outcome:
        """By branch and bound over the pieces of units, in many dimensions."""
        from polytope.bounds.branching.search import Branching  # loads torch, which takes seconds

        box = self.inputs.box
        conditions = maxima_first(self.conditions)
        network = largest_of(conditions, [self.rows[number].tolist() for number in possible])
        middle = box[0] / 2 + box[1] / 2
        radius = float(np.maximum(box[1] - middle, middle - box[0]).max()) * (1 + 2.0**-40)
        search = Branching(network, middle, box, np.inf, radius, lambda: budget.spent(0), whole=True)
        touching, units, regions = Touching(conditions, self.inputs.domain), conditions.n_units, 0
        while search.least < radius:
            if budget.spent(0):
                return Outcome(None, decided=False, regions=regions)
            patterns, points = search.step(np.inf)
            for number, t in [(n, t) for t in points for n in possible]:
                inside = bool(self.inputs.domain.contains(t[None])[0])
                found = self._tried(number, t) if inside else None
                if found is not None:
                    return replace(found, regions=regions)
            for _, place, pattern in patterns:
                rows, regions = self.rows[possible[place]], regions + 1
                exact = touching.point(pattern[:units], rows, self.strict[rows])
                if exact is not None:
                    return replace(self._reported(possible[place], exact), regions=regions)
        return Outcome(None, decided=True, regions=regions, shown="branching")

    def _looked_through(self, possible: Sequence[int], slices: Iterator[Slice], budget: Budget) -> Outcome:
        """Regions, cut where conditions pass what they are watched from; a counterexample ends it."""
        k = len(self.strict)
        touching = Touching(self.conditions, self.inputs.domain)
        regions, decided = 0, True
        for patterns, points, complete in slices:
            regions += len(patterns)
            decided &= complete
            off = patterns[:, -k:] == 0
            for number in possible:
                rows = self.rows[number]
                for i in np.flatnonzero(off[:, rows].all(axis=1)).tolist():
                    found = self._tried(number, points[i])
                    if found is None and budget.spent(0):
                        decided = False
                    elif found is None:
                        t = touching.point(patterns[i, :-k], rows, self.strict[rows])
                        found = None if t is None else self._reported(number, t)
                    if found is not None:
                        return replace(found, regions=regions)
        return Outcome(None, decided, regions)

    def _anywhere(self, number: int) -> Outcome:
        """A case without conditions: any point of the domain."""
        domain = self.inputs.domain
        found = self._tried(number, domain.inscribed_ball[0])
        if found is not None:
            return found
        rows = [dyadic(row).integers.tolist() for row in np.column_stack([domain.A, -domain.b])]
        t = interior_point(rows)
        assert t is not None, "the domain has interior"
        return self._reported(number, t)

    def _tried(self, number: int, t: FloatArray) -> Outcome | None:
        """The point of the domain as a counterexample of a case, if it is one."""
        rows = self.rows[number]
        if len(rows) and (bounds_at(self.conditions, t)[0][rows] > 0).any():
            return None
        exact = tuple(map(Fraction, t.tolist()))
        met = is_counterexample(self.exact, self.cases[number], self.inputs.lifted(exact))
        return self._reported(number, exact) if met else None

    def _reported(self, number: int, t: Point) -> Outcome:
        return _reported(self.exact, self.cases[number], self.inputs.lifted(t))


def _reported(exact: ExactNetwork, case: Case, x: Point) -> Outcome:
    """A counterexample as a float64 input, itself one if any next to it is."""
    witness, is_float = nearest_float(exact, case, x)
    return Outcome(witness, decided=True, is_float=is_float)


def watched(conditions: Network, size: FloatArray) -> Network:
    """Each condition a unit that is off up to a little above 0, relative to its largest values, if finite."""
    last = conditions.layers[-1]
    above = ABOVE * np.maximum(np.abs(last.bias), np.where(np.isfinite(size), size, 1.0))
    level = np.minimum(last.bias - above, np.nextafter(last.bias, -np.inf))
    shifted = replace(last, bias=level, activation=relu())
    return replace(conditions, layers=(*conditions.layers[:-1], shifted))


def _slices(
    network: Network, domain: Polyhedron, cases: Sequence[IntArray], budget: Budget, workers: int
) -> Iterator[Slice]:
    """All regions; where there are cases, at least those on which no row of some case is positive."""
    if not suits_vertices(domain):
        found = enumerate_regions(network, domain, LayerSplit(), max_seconds=budget.rest)
        yield found.patterns, found.interior_points, found.complete
        return
    start, together = ROOT, FIRST_SLICE
    while start:
        cells = explore(
            network,
            domain,
            keep="cells",
            max_regions=together,
            limits=budget,
            workers=workers,
            start=start,
            cases=[rows.tolist() for rows in cases],
        )
        start, together = cells.open_cells, min(10 * together, SLICE)
        stopped = bool(start) and budget.spent(0)
        yield cells.patterns, cells.interior_points, not stopped
        if stopped:
            return
