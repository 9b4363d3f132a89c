r"""Counting regions by integer programming: binaries say on which piece each unit is, patterns found are cut.

With a binary :math:`p_{j,k}` for piece k of unit j, :math:`\sum_k p_{j,k} = 1`, and bounds by intervals as M,
a row :math:`g(z) \le 0` of the piece becomes :math:`g(z) + s \le M (1 - p_{j,k})`, and its map
:math:`|h - a z - t| \le M (1 - p_{j,k})`. The slack s (of strict rows) is maximised: it is positive where a
pattern has an interior. Each pattern found is forbidden by :math:`\sum_j p_{j,k_j} \le n - 1`.

References: Serra, Tjandraatmadja, Ramalingam (2018), "Bounding and Counting Linear Regions of Deep Neural
Networks", https://arxiv.org/abs/1711.02114
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array

from polytope.core.interior_points import point_inside
from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.engines.engine import at_the_root
from polytope.engines.listed import listed
from polytope.errors import SolverError, UnboundedDomainError
from polytope.exact.cells import ExactCells
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.programs import INFEASIBLE, SOLVED, integer_program
from polytope.ir import Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries, PieceRow, boundaries
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.sweep import outputs

PRESOLVED = 1 << 16  # entries of a program, beyond which HiGHS's presolve, which sees no clock, takes seconds


@dataclass(frozen=True)
class IntegerProgram:
    """The regions of a small network, one mixed-integer program for each: a third opinion on a count.

    Every region that it names is one, in rational arithmetic; that there is no other one it cannot prove: a
    region whose units are nowhere farther than ``slack`` from their breakpoints is missed. So its results are
    never ``complete``; the statistic ``exhausted`` is 1 where no program has a solution any more, and 0 where
    HiGHS ended one without an answer. About ten milliseconds a region.

    Arguments:
        slack: least slack of a region's rows, in the units of the pre-activations (scaled where these are not
            of ordinary size).
        most_units: larger networks are refused.
    """

    slack: float = 1e-6
    most_units: int = 64

    def __post_init__(self) -> None:
        if not self.slack >= 1e-8:
            raise ValueError(
                f"IntegerProgram: a slack of {self.slack} is below what HiGHS resolves; 1e-8 is least."
            )

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        start: Sequence[Path] = ROOT,
        budget: Budget,
        keep: Keep,
        progress: Progress | None,
    ) -> SearchResult:
        """Solve, record, forbid, until nothing is left.

        Raises:
            ValueError: the network has more than ``most_units`` units.
            UnboundedDomainError: the constants M need a bounded domain.
        """
        at_the_root(start, self)
        if network.n_units > self.most_units:
            raise ValueError(
                f"IntegerProgram: {network.n_units} units are more than most_units={self.most_units}; "
                "LayerSplit() counts large networks."
            )
        if not domain.is_bounded:
            raise UnboundedDomainError("IntegerProgram needs a bounded domain: its constants M come from it.")
        with watched(budget.first):
            even = equilibrated(network, domain)
            model = _model(even.network, even.domain, boundaries(even.network))
        exact = ExactCells(network, domain.rows, domain.b)
        regions: list[tuple[PatternArray, FloatArray]] = []
        seen: list[PatternArray] = []
        programs, done = 0, False
        while not done and not budget.spent(len(regions)):
            programs += 1
            try:
                pattern = model.next(seen, self.slack, budget)
            except (SolverError, BudgetSpent):
                break
            done = pattern is None
            if pattern is not None:
                seen.append(pattern)
                point = point_inside(exact.rows(pattern)) if exact.has_pieces(pattern) else None
                if point is not None:
                    regions.append((pattern, point))
            if progress:
                progress(len(regions), int(not done))
        name = f"integer program (HiGHS), slack {self.slack:g}"
        statistics = {"programs": programs, "exhausted": int(done)}
        return listed(network, regions, engine=name, keep=keep, statistics=statistics)


@dataclass(eq=False)
class _Model:
    """The program: rows as triplets, bounds of columns; columns are s, x, then z, h and p of each layer."""

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    rows: list[tuple[list[int], list[float], float, float]] = field(default_factory=list)
    binaries: list[list[int]] = field(default_factory=list)  # of each unit, by piece

    def columns(self, low: Sequence[float], high: Sequence[float], *, whole: bool = False) -> IntArray:
        """New columns."""
        first = len(self.low)
        self.low += [float(v) for v in low]
        self.high += [float(v) for v in high]
        self.whole += [int(whole)] * len(low)
        return np.arange(first, len(self.low))

    def row(self, columns: Sequence[int], factors: Sequence[float], low: float, high: float) -> None:
        """A new row ``low <= factors . columns <= high``."""
        self.rows.append((list(columns), list(factors), low, high))

    def next(self, seen: Sequence[PatternArray], slack: float, budget: Budget) -> PatternArray | None:
        """An unseen pattern, of the largest slack if HiGHS can; ``None`` if all slacks are too small.

        Where time ends the search for the largest slack, any that HiGHS knows will do.
        """
        cuts = [
            ([of_unit[k] for of_unit, k in zip(self.binaries, p.tolist(), strict=True)], len(p) - 1.0)
            for p in seen
        ]
        rows = [*self.rows, *((columns, [1.0] * len(columns), -np.inf, most) for columns, most in cuts)]
        index = np.concatenate([np.full(len(row[0]), i) for i, row in enumerate(rows)])
        columns = np.concatenate([row[0] for row in rows]).astype(np.int64)
        factors = np.concatenate([row[1] for row in rows])
        matrix = csr_array((factors, (index, columns)), shape=(len(rows), len(self.low)))
        limits = (matrix, np.array([row[2] for row in rows]), np.array([row[3] for row in rows]))
        small = budget.left is None or matrix.nnz <= PRESOLVED
        for presolve, wanted in (
            (small, -1.0),
            (False, -1.0),
            (small, 0.0),
        ):  # HiGHS may end in a solve error
            cost, low = np.zeros(len(self.low)), np.array(self.low)
            cost[0], low[0] = wanted, 0.0 if wanted else 2 * slack  # the largest slack, or any
            budget.look()
            bounds, whole = (low, np.array(self.high)), np.array(self.whole)
            found = integer_program(cost, limits, bounds, whole, presolve=presolve, seconds=budget.rest)
            if found.status in (SOLVED, INFEASIBLE) or (found.x is not None and budget.late()):
                break
        if found.status == INFEASIBLE:
            return None
        if found.x is None or not (found.status == SOLVED or budget.late()):
            raise SolverError(f"HiGHS ended a mixed-integer program with: {found.message}")
        if found.x[0] <= slack:
            return None
        pieces = [int(np.argmax(found.x[of_unit])) for of_unit in self.binaries]
        return np.array(pieces, dtype=np.int8)


def _model(network: Network, domain: Polyhedron, tables: Sequence[LayerBoundaries]) -> _Model:
    """The program of a network in a domain, without cuts."""
    model = _Model()
    model.columns([0.0], [1.0])
    low, high = domain.bounds
    x = model.columns(low.tolist(), high.tolist())
    rows = csr_array(domain.rows)
    entries = np.diff(rows.indptr)
    for i in np.flatnonzero(entries != 1).tolist():  # what bounds one coordinate bounds its column
        look()
        row = slice(rows.indptr[i], rows.indptr[i + 1])
        model.row(x[rows.indices[row]].tolist(), rows.data[row].tolist(), -np.inf, float(domain.b[i]))
    outputs(network, x, _Columns(model, tables))
    return model


@dataclass(frozen=True, eq=False)
class _Columns:
    """Values as columns of a program."""

    model: _Model
    tables: Sequence[LayerBoundaries]

    def affine(self, number: int, layer: Layer, reads: Sequence[IntArray]) -> IntArray:
        return _preactivations(self.model, layer, reads)

    def activate(self, number: int, layer: Layer, z: IntArray) -> IntArray:
        return _units(self.model, layer, self.tables[number - 1], z)


def _preactivations(model: _Model, layer: Layer, reads: Sequence[IntArray]) -> IntArray:
    """Columns for z, their bounds by interval arithmetic, and the equations that define them."""
    middle, half = layer.bias.copy(), np.zeros(len(layer.bias))
    for linear, absolute, h in zip(layer.maps, layer.absolute_maps, reads, strict=True):
        low, high = np.array(model.low)[h], np.array(model.high)[h]
        middle += linear.apply((low + high)[:, None] / 2)[:, 0]
        half += absolute.apply((high - low)[:, None] / 2)[:, 0]
    z = model.columns((middle - half).tolist(), (middle + half).tolist())
    dense = [linear.to_sparse().toarray() for linear in layer.maps]
    read = np.concatenate(reads).tolist()
    for i, column in enumerate(z.tolist()):
        look()
        factors = np.concatenate([matrix[i] for matrix in dense]).tolist()
        bias = float(layer.bias[i])
        model.row([column, *read], [1.0, *(-v for v in factors)], bias, bias)
    return z


def _units(model: _Model, layer: Layer, table: LayerBoundaries, z: IntArray) -> IntArray:
    """Columns for h and the binaries of all pieces, and the rows that tie them to z."""
    h = []
    for unit, pieces in enumerate(table.pieces):
        look()
        ranges = []
        for piece in range(len(pieces)):
            pattern = np.zeros(layer.width, dtype=np.int8)
            pattern[unit] = piece
            maps = layer.phi.affine(pattern)
            column, slope = int(z[maps.source[unit]]), float(maps.slope[unit])
            ends = slope * np.array([model.low[column], model.high[column]]) + maps.intercept[unit]
            ranges.append((column, slope, float(maps.intercept[unit]), float(ends.min()), float(ends.max())))
        low, high = min(r[3] for r in ranges), max(r[4] for r in ranges)
        out = int(model.columns([low], [high])[0])
        on = model.columns([0.0] * len(pieces), [1.0] * len(pieces), whole=True).tolist()
        model.row(on, [1.0] * len(on), 1.0, 1.0)
        model.binaries.append(on)
        for p, (column, slope, intercept, least, most) in zip(on, ranges, strict=True):
            up, down = high - least, most - low
            model.row([out, column, p], [1.0, -slope, up], -np.inf, intercept + up)
            model.row([out, column, p], [-1.0, slope, down], -np.inf, down - intercept)
        for p, rows in zip(on, pieces, strict=True):
            for row in rows:
                _stay(model, table, row, z, p)
        h.append(out)
    return np.array(h, dtype=np.int64)


def _stay(model: _Model, table: LayerBoundaries, row: PieceRow, z: IntArray, p: int) -> None:
    """The row ``sign * g(z) + slack <= 0``, binding only while p is 1."""
    boundary, sign, strict = row
    factors = sign * table.coefficients[boundary]
    columns = z[table.index[boundary]]
    used = factors != 0
    low, high = np.array(model.low)[columns[used]], np.array(model.high)[columns[used]]
    offset = sign * float(table.offset[boundary])
    big = float(np.maximum(factors[used] * low, factors[used] * high).sum()) - offset + 1.0
    big = max(big, 0.0)
    model.row(
        [*columns[used].tolist(), p, 0], [*factors[used].tolist(), big, float(strict)], -np.inf, offset + big
    )
