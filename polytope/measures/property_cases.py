r"""The cases of a VNN-LIB property that share their inputs, decided together.

The conditions of the unsafe set become units :math:`g_i = C_i (x, f(x)) - e_i` behind the network, so the
exact search cuts its cells where a condition changes: a cell is unsafe where all conditions of a case are
off. A small shift keeps cells that only touch the unsafe set; rational linear programs decide those.
Counterexamples are looked for first by descent, and outer bounds may settle a case before any search, unless
the enumeration is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from polytope.errors import EmptyDomainError
from polytope.geometry.affine_hull import affine_hull
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.slice import Slice
from polytope.geometry.vnnlib_property import Case
from polytope.ir import Dense, Layer, Network, relu
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.measures.attack import descend
from polytope.measures.output_bounds import bounds_over_box
from polytope.measures.touching import Touching
from polytope.measures.units import bounding_box
from polytope.regions.enumerate import enumerate_regions
from polytope.regions.found import Budget
from polytope.regions.layer_split import LayerSplit
from polytope.regions.vertex_cell import explore
from polytope.regions.vertex_search import suits_vertices

SLICE = 100_000  # regions looked at together
BAND = 2.0**-32  # a condition is watched from this far above 0, relative to the size of its terms
CLEAR = 2.0**-40  # values beyond this are certain in float64, relative to the size of their terms


@dataclass(frozen=True, eq=False)
class Outcome:
    """A counterexample, if one was found; otherwise whether there is none, by how many regions."""

    witness: FloatArray | None
    decided: bool
    regions: int = 0


@dataclass(frozen=True, eq=False)
class CaseGroup:
    """Cases with the same inputs.

    Arguments:
        conditions: the conditions of all cases as one network on the window, each met where at most 0.
        rows: for each case the numbers of its conditions.
        strict: ``bool[k]``, which conditions must be below 0.
        window: from the domain's coordinates to inputs; ``None`` for all inputs.
        domain: the inputs in the window's coordinates; ``None`` for a single point, or none at all.
        fixed: that single point, if so.
    """

    conditions: Network
    rows: tuple[IntArray, ...]
    strict: NDArray[np.bool_]
    window: Slice | None
    domain: Polyhedron | None
    fixed: FloatArray | None

    @classmethod
    def of(cls, network: Network, cases: Sequence[Case]) -> CaseGroup:
        """The conditions of some cases behind the network, on the window of their inputs."""
        C = np.concatenate([case.C for case in cases])
        e = np.concatenate([case.e for case in cases])
        d = network.input_dim
        maps = (Dense(C[:, d:]), Dense(C[:, :d]))
        layer = Layer((len(network.layers), 0), maps, -e)
        behind = replace(network, layers=(*network.layers, layer), output_names=("conditions",))
        ends = np.cumsum([0, *[len(case.e) for case in cases]])
        rows = tuple(np.arange(a, b) for a, b in pairwise(ends))
        window, domain, fixed = _inputs(cases[0])
        strict = np.concatenate([case.strict for case in cases])
        return cls(behind if window is None else behind.restrict(window), rows, strict, window, domain, fixed)

    def settle(self, budget: Budget, workers: int, thorough: bool, rng: np.random.Generator) -> Outcome:
        """Find a counterexample or prove that there is none; if thorough, not by bounds alone."""
        if self.fixed is not None:
            return self._at_a_point(self.fixed)
        if self.domain is None:
            return Outcome(None, decided=True)
        if any(not len(rows) for rows in self.rows):
            return Outcome(self._lifted(self.domain.inscribed_ball[0]), decided=True)
        box = bounding_box(self.domain)
        assert box is not None, "every input is bounded"
        open_cases = list(self.rows)
        if not thorough:
            low, _ = bounds_over_box(self.conditions, box)
            open_cases = [rows for rows in self.rows if not (low[rows] > 0).any()]
        if not open_cases:
            return Outcome(None, decided=True)
        size = self._size(box, rng)
        for rows in open_cases:
            if budget.spent(0):
                return Outcome(None, decided=False)
            x, value = descend(self.conditions, box, self.domain, rows, rng)
            if value < -CLEAR * size[rows].max():
                return Outcome(self._lifted(x), decided=True)
        return self._enumerate(open_cases, size, budget, workers)

    def _enumerate(
        self, cases: Sequence[IntArray], size: FloatArray, budget: Budget, workers: int
    ) -> Outcome:
        """Every region, cut along the conditions; unsafe ones end the search."""
        assert self.domain is not None, "settled before"
        k = len(size)
        last = self.conditions.layers[-1]
        shifted = replace(last, bias=last.bias - BAND * size, activation=relu())
        watched = replace(self.conditions, layers=(*self.conditions.layers[:-1], shifted))
        touching = Touching(self.conditions, self.domain)
        regions, decided = 0, True
        for patterns, points, complete in _slices(watched, self.domain, budget, workers):
            regions += len(patterns)
            decided &= complete
            off = patterns[:, -k:] == 0
            for rows in cases:
                for i in np.flatnonzero(off[:, rows].all(axis=1)).tolist():
                    pattern = patterns[i, :-k]
                    if (self.conditions(points[i][None])[0, rows] < -CLEAR * size[rows]).all():
                        return Outcome(self._lifted(points[i]), decided=True, regions=regions)
                    x = None if budget.spent(0) else touching.point(pattern, rows, self.strict[rows])
                    if isinstance(x, np.ndarray) and self._met(x, rows, size):
                        return Outcome(self._lifted(x), decided=True, regions=regions)
                    decided &= isinstance(x, str) and x == "none"
        return Outcome(None, decided, regions)

    def _met(self, x: FloatArray, rows: IntArray, size: FloatArray) -> bool:
        """Whether a point that is a counterexample in rationals is one in float64, up to rounding."""
        assert self.domain is not None, "settled before"
        near = (self.conditions(x[None])[0, rows] <= CLEAR * size[rows]).all()
        return bool(near and self.domain.contains(x, 2.0**-40 * float(np.abs(x).max(initial=0.0)))[0])

    def _size(self, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The size of the terms of each condition near the middle of the domain, ``[k]``."""
        x = box[0] + (box[1] - box[0]) * rng.random((64, box.shape[1]))
        values: list[FloatArray] = [x.T, *[h for _, h in self.conditions.steps(x.T)]]
        layer = self.conditions.layers[-1]
        terms = np.tile(np.abs(layer.bias)[:, None], (1, len(x)))
        for j, linear in zip(layer.inputs, layer.absolute_maps, strict=True):
            terms += linear.apply(np.abs(values[j]))
        size: FloatArray = np.maximum(terms.max(axis=1), np.finfo(float).tiny)
        return size

    def _at_a_point(self, x: FloatArray) -> Outcome:
        """All inputs are fixed: one evaluation, if it is clear of 0."""
        value = self.conditions(x[None])[0]
        size = self._size(np.stack([x, x]), np.random.default_rng(0))
        for rows in self.rows:
            if (value[rows] < -CLEAR * size[rows]).all():
                return Outcome(x, decided=True)
        safe = all((value[rows] > CLEAR * size[rows]).any() for rows in self.rows)
        return Outcome(None, decided=safe)

    def _lifted(self, t: FloatArray) -> FloatArray:
        if self.window is None:
            return t
        lifted: FloatArray = self.window.lift(t[None])[0]
        return lifted


def _slices(
    network: Network, domain: Polyhedron, budget: Budget, workers: int
) -> Iterator[tuple[PatternArray, FloatArray, bool]]:
    """Patterns and interior points of all regions, some at a time, and whether the budget sufficed."""
    if not suits_vertices(domain):
        left = None if budget.max_seconds is None else max(budget.max_seconds - budget.seconds, 1e-3)
        found = enumerate_regions(network, domain, LayerSplit(), max_seconds=left)
        yield found.patterns, found.interior_points, found.complete
        return
    deadline = None if budget.max_seconds is None else budget.started + budget.max_seconds
    start = None
    while start is None or start:
        cells = explore(
            network,
            domain.A,
            domain.b,
            keep="cells",
            max_regions=SLICE,
            deadline=deadline,
            workers=workers,
            start=start,
        )
        start = cells.open_cells
        stopped = bool(start) and budget.spent(0)
        yield cells.patterns, cells.interior_points, not stopped
        if stopped:
            return


def _inputs(case: Case) -> tuple[Slice | None, Polyhedron | None, FloatArray | None]:
    """Window, domain in its coordinates, and the only point if there is but one."""
    d = len(case.low)
    free = np.flatnonzero(case.low < case.high)
    if not len(case.b):
        if not len(free):
            return None, None, case.low
        box = Polyhedron.box(case.low[free], case.high[free])
        if len(free) == d:
            return None, box, None
        return Slice(np.where(case.low < case.high, 0.0, case.low), np.eye(d)[free]), box, None
    rows = Polyhedron(
        np.concatenate([np.eye(d), -np.eye(d), case.A]), np.concatenate([case.high, -case.low, case.b])
    )
    try:
        window, inner = affine_hull(rows)
    except EmptyDomainError as error:
        if "one point" not in str(error):
            return None, None, None
        raise ValueError("The property leaves a single input; state it by equal bounds.") from error
    return window, inner, None
