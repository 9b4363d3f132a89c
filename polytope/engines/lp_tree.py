r"""The search tree over LP cells: split layer by layer, unit by unit; its leaves are the activation regions.

A node holds a cell, the layer it is in, the units of that layer still undecided, and the affine maps of
the earlier layers on the cell. Children are disjoint, so there is no visited set and nothing is found
twice; depth first, the memory is the depth of the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.core.ceiling import Ceiling
from polytope.core.result import SearchResult
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.engines.lp_cell import LpCell
from polytope.engines.lp_decide import Decider
from polytope.engines.lp_functions import (
    AffineValue,
    Function,
    behind,
    boundary_functions,
    inputs,
    preactivation,
)
from polytope.exact.rows import Cut
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries, PieceRow
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray, IntArray

HIGHS_CELLS = "layer split, LP cells (HiGHS)"  # as reports call the engine


@dataclass(frozen=True, eq=False)
class Node:
    """An open cell of the search.

    Arguments:
        cell: its geometry.
        number: the layer being split, from 1; 0 before the first.
        values: h_0, h_1, ... on the cell; ``None`` where no later layer reads them.
        z: this layer's pre-activations on the cell.
        functions, errors: its boundary functions on the cell, of unit length, and their errors ``[m, 2]``.
        undecided: units of this layer without a piece yet.
        pattern: pieces of earlier layers and of the decided units of this layer.
    """

    cell: LpCell
    number: int
    values: tuple[AffineValue | None, ...]
    z: AffineValue
    functions: FloatArray
    errors: FloatArray
    undecided: IntArray
    pattern: PatternArray

    def with_cell(self, cell: LpCell, undecided: IntArray, pattern: PatternArray) -> Node:
        """The same layer on a part of the cell, or with more units decided."""
        return Node(cell, self.number, self.values, self.z, self.functions, self.errors, undecided, pattern)


@dataclass
class Split:
    """A node that was split: the most regions in it, those found before it, its parts still waiting."""

    most: int
    found: int
    waiting: int


@dataclass(eq=False)
class Tree:
    """The tree of one network over one domain, and what it has found."""

    network: Network
    tables: tuple[LayerBoundaries, ...]
    decide: Decider
    keep: bool
    count: int = 0
    patterns: list[PatternArray] = field(default_factory=list)
    points: list[FloatArray] = field(default_factory=list)
    carriers: list[IntArray] = field(default_factory=list)

    def search(self, budget: Budget, progress: Progress | None) -> SearchResult:
        """Depth first until the tree or the budget ends."""
        with watched(budget.first):
            stack, splits = [self._root()], [Split(self._ceiling.whole, 0, 1)]
        while stack and not budget.spent(self.count):
            if progress:
                progress(self.count, len(stack))
            while not splits[-1].waiting:
                splits.pop()
            try:
                with watched(budget.look):
                    node = self._descend(stack[-1])
                    leaf = not len(node.undecided)
                    children = [] if leaf else self._children(node)
                    point = self._point(node) if leaf and self.keep else None
            except BudgetSpent:
                break
            stack.pop()
            splits[-1].waiting -= 1
            if leaf:
                self._leaf(node, point)
                continue
            splits.append(Split(self._bound(node), self.count, len(children)))
            stack += reversed(children)
        d, units = self.network.input_dim, self.network.n_units
        return SearchResult(
            engine=HIGHS_CELLS,
            n_regions=self.count,
            open_bound=self._open_bound(stack, splits),
            kept_patterns=np.array(self.patterns, dtype=np.int8).reshape(-1, units),
            interior_points=np.array(self.points).reshape(-1, d),
            candidates=tuple(self.carriers) if self.keep else None,
            statistics={**self.decide.tally, "solver_seconds": sum(p.seconds for p in self.decide.programs)},
        )

    @cached_property
    def last(self) -> int:
        """The number of the last layer with an activation: behind it nothing is split."""
        return max((table.number for table in self.tables if len(table.unit)), default=0)

    def _root(self) -> Node:
        d = self.network.input_dim
        nothing, none = np.zeros((0, d + 1)), np.zeros(0, dtype=np.int64)
        pattern = np.zeros(self.network.n_units, dtype=np.int8)
        return Node(self.decide.root(), 0, (), inputs(d), nothing, np.zeros((0, 2)), none, pattern)

    def _descend(self, node: Node) -> Node:
        """Decide what can be decided, and go on to later layers while nothing is undecided."""
        node = self._settle(node)
        while not len(node.undecided) and node.number < self.last:
            node = self._settle(self._enter(node), entering=True)
        return node

    def _leaf(self, node: Node, point: FloatArray | None) -> None:
        self.count += 1
        if point is not None:
            self.patterns.append(node.pattern)
            self.points.append(point)
            self.carriers.append(self._carriers(node.cell))

    def _point(self, node: Node) -> FloatArray:
        """A point strictly inside a region."""
        inside = node.cell.radius > 0
        return node.cell.center if inside else self.decide.exact_point(node.cell, node.pattern)

    def _carriers(self, cell: LpCell) -> IntArray:
        """The units and domain rows whose boundaries include every facet of the cell."""
        units = [
            -(cut.boundary + 1)
            if cut.number == 0
            else self.network.unit_offsets[cut.number - 1]
            + int(self.tables[cut.number - 1].unit[cut.boundary])
            for cut in cell.cuts
        ]
        return np.unique(np.array(units, dtype=np.int64))

    def _bound(self, node: Node) -> int:
        """The most regions a node can hold."""
        if node.number == 0:
            return self._ceiling.whole
        open_here = int(np.isin(self.tables[node.number - 1].unit, node.undecided).sum())
        return self._ceiling.cell(node.number, open_here)

    @cached_property
    def _ceiling(self) -> Ceiling:
        return Ceiling(self.network, self.network.input_dim)

    def _open_bound(self, stack: Sequence[Node], splits: Sequence[Split]) -> int:
        """The most regions that the nodes on the stack can hold; it never grows while the search goes on."""
        most, end = 0, len(stack)
        for split in reversed(splits):
            start = end - split.waiting
            most += sum(self._bound(node) for node in stack[start:end])
            most, end = min(most, split.most - (self.count - split.found)), start
        return most + sum(self._bound(node) for node in stack[:end])

    def _enter(self, node: Node) -> Node:
        """Close the layer and open the next: its pre-activations as affine functions on the cell."""
        number = node.number + 1
        values = (*node.values, self._outputs(node))
        values = tuple(v if self.network.last_use[k] >= number else None for k, v in enumerate(values))
        layer, table = self.network.layers[number - 1], self.tables[number - 1]
        z = preactivation(layer, values)
        functions, errors = boundary_functions(table, z)
        units = np.arange(layer.width if layer.activation else 0)
        return Node(node.cell, number, values, z, functions, errors, units, node.pattern)

    def _outputs(self, node: Node) -> AffineValue:
        """The outputs of the node's layer; the input before the first one."""
        if not node.number:
            return node.z
        layer = self.network.layers[node.number - 1]
        return behind(layer, node.z, self.network.layer_pattern(node.number, node.pattern))

    def _settle(self, node: Node, *, entering: bool = False) -> Node:
        """Give a piece to every undecided unit that has only one on this cell."""
        if not len(node.undecided):
            return node
        layer, table = self.network.layers[node.number - 1], self.tables[node.number - 1]
        assert layer.activation is not None, "only units of a layer with an activation are undecided"
        at_center = node.z.map[:, :-1] @ node.cell.center + node.z.map[:, -1]
        guess = layer.activation.pattern(at_center[:, None])[:, 0]
        start = self.network.unit_offsets[node.number - 1]
        pattern = node.pattern.copy()
        crossing, one_sided = self._tell(node, guess, entering=entering)
        pattern[start + node.undecided[one_sided]] = guess[node.undecided[one_sided]]
        still = node.undecided[crossing].tolist()
        for unit in node.undecided[~crossing & ~one_sided].tolist():
            if self._fills(node, table.pieces[unit][guess[unit]]):
                pattern[start + unit] = guess[unit]
            else:
                still.append(unit)
        return node.with_cell(node.cell, np.array(still, dtype=np.int64), pattern)

    def _tell(
        self, node: Node, guess: PatternArray, *, entering: bool
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which undecided units a known point shows to leave their piece, and which the box to stay."""
        table, units = self.tables[node.number - 1], node.undecided
        rows, owner = table.rows_of(units, guess[units].astype(np.int64))
        boundary, sign = table.row_boundary[rows], table.row_sign[rows]
        functions, errors = sign[:, None] * node.functions[boundary], node.errors[boundary]
        outside = self.decide.seen(node.cell, functions, errors)
        if entering and (~outside).sum() > 4 * self.network.input_dim:
            self.decide.bound(node.cell)
            outside = self.decide.seen(node.cell, functions, errors)
        inside = self.decide.excluded(node.cell, functions, errors)
        leaves = np.bincount(owner, outside, minlength=len(units)) > 0
        stays = np.bincount(owner, ~inside, minlength=len(units)) == 0
        self.decide.tally["seen"] += int(leaves.sum())
        self.decide.tally["boxed"] += int(stays.sum())
        return leaves, stays

    def _function(self, node: Node, boundary: int, sign: float) -> Function:
        origin = Cut(node.number, boundary, sign)
        gradient, constant = node.errors[boundary].tolist()
        return Function(sign * node.functions[boundary], (gradient, constant), origin)

    def _fills(self, node: Node, rows: Sequence[PieceRow]) -> bool:
        """Whether a piece holds on the whole cell."""
        for boundary, sign, strict in rows:
            f = self._function(node, boundary, sign)
            if self.decide.positive(node.cell, f, node.pattern):
                return False
            if strict and not self.decide.positive(node.cell, f.negated(), node.pattern):
                return False
        return True

    def _children(self, node: Node) -> list[Node]:
        """The node split by one of its units: one child for each piece that has an interior there."""
        unit = self._next_unit(node)
        rest = node.undecided[node.undecided != unit]
        children = []
        for piece, rows in enumerate(self.tables[node.number - 1].pieces[unit]):
            cell = self._part(node, rows)
            if cell is not None:
                pattern = node.pattern.copy()
                pattern[self.network.unit_offsets[node.number - 1] + unit] = piece
                children.append(node.with_cell(cell, rest, pattern))
        return children

    def _next_unit(self, node: Node) -> int:
        """The undecided unit with a boundary nearest to the cell's centre: it splits the cell most evenly."""
        table = self.tables[node.number - 1]
        wanted = np.zeros(self.network.layers[node.number - 1].width, dtype=bool)
        wanted[node.undecided] = True
        live = np.flatnonzero(wanted[table.unit])
        distance = np.abs(node.functions[live, :-1] @ node.cell.center + node.functions[live, -1])
        return int(table.unit[live[distance.argmin()]])

    def _part(self, node: Node, rows: Sequence[PieceRow]) -> LpCell | None:
        """The part of the cell on one piece, or ``None`` where it has no interior."""
        cell = node.cell
        for boundary, sign, strict in rows:
            f = self._function(node, boundary, sign)
            above = self.decide.positive(cell, f, node.pattern)
            if (above or strict) and not self.decide.positive(cell, f.negated(), node.pattern):
                return None
            if above:
                cell = self.decide.cut(cell, f, node.pattern)
        return cell
