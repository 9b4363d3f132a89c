r"""The network that is left of a large one on a small cell: its undecided units alone.

Of the ten thousands of units of a convolutional network a few hundred cross a breakpoint in a small cell.
With the others eliminated (core/reduction.hpp) a flip costs a few hundred additions, and the cell is searched
at the speed of a small network. A cell of this cell, where fewer do, is reduced again, by dense algebra
(``eliminate``). Weights carry bounds on their errors; doubtful signs are decided in the given network.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from polytope import _core
from polytope.core.eliminate import eliminate, layer_norms
from polytope.core.exact_signs import ExactSigns
from polytope.core.flat_network import ROUND, FlatNetwork, lost_by_underflow
from polytope.ir.maps import FloatArray, IntArray

OTHER = 1 << 40  # names of facets that no undecided row has
LEAF_UNITS = 160  # reduced networks of at most so many units are not reduced again
TINY = 2.0**-500  # weights that are smaller count as errors of zero
SHRINK = 2  # larger ones are, on cells with this share of their units

Start = tuple[FloatArray, IntArray, IntArray, FloatArray]  # as in ``vertex_cell.Problem``
Cell = Mapping[str, Any]
"""A cell as the core hands it over.

``units`` undecided, sorted by layer, with the ``ends`` of each layer; the ``layer`` it is in; ``pieces`` of
all units; ``maps`` ``[d + 2, units]`` of their rows; the polygon's ``planes`` and ``edges``, which number
rows of ``rec_i``, ``rec_f``; of the given network also ``weights`` and ``errors``, ``[units, units]``.
"""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A cell's own network and first cell, and what its numbers mean in the given network.

    Arguments:
        net, start: what the search runs on.
        weights, errors, norms: of the network, ``[units, units]``, with bounds on their errors; the norms of
            their columns (see ``eliminate``).
        units, rows: for each unit and row its number in the given network.
        pieces: of the units of the given network, where decided.
    """

    net: FlatNetwork
    start: Start
    weights: FloatArray
    errors: FloatArray
    norms: FloatArray
    units: IntArray
    rows: IntArray
    pieces: IntArray


@dataclass(frozen=True, eq=False)
class Reducer:
    """Counts the regions of cells of a network, or of a reduced one, in networks of their own.

    Arguments:
        net: the network whose cells are counted.
        exact: what decides signs in the given network.
        deadline: ``time.monotonic()`` at which to stop.
        part: what the network is in the given one, if it is a reduced one.
    """

    net: FlatNetwork
    exact: ExactSigns
    deadline: float
    part: Reduced | None = None

    def count(self, cell: Cell) -> int:
        """The number of regions in a cell; -1 if the time was not enough."""
        part = reduce(self.net, cell) if self.part is None else reduce_again(self.part, cell)
        inner = Reducer(part.net, self.exact, self.deadline, part)
        seconds = self.deadline - time.monotonic()
        raw = _core.explore(
            part.net,
            *part.start,
            keep=0,
            paths=[()],
            most=2**62,
            seconds=max(seconds, 0.0),
            workers=1,
            cases=[],
            exact=inner.sign,
            reduce=inner.count,
            attend=None,
        )
        stopped = raw["untouched"] or any(left for *_, left in raw["done"])
        return -1 if stopped else int(raw["regions"])

    def sign(
        self, facets: list[tuple[int, int, float]], row: tuple[int, int, float], pieces: IntArray
    ) -> float:
        """The value of a row at a vertex, decided in the given network."""
        assert self.part is not None, "the given network asks for itself"
        part = self.part
        whole = part.pieces.copy()
        whole[part.units] = pieces[: len(part.units)]
        return self.exact.value([self._given(f) for f in facets], self._given(row), whole)

    def _given(self, name: tuple[int, int, float]) -> tuple[int, int, float]:
        """A row by the numbers of the given network; those of older facets have them already, less OTHER."""
        assert self.part is not None, "the given network has its own numbers"
        a, b, at = name
        if b == -2:
            return a, b, at
        return self._row(a), self._row(b), at

    def _row(self, r: int) -> int:
        assert self.part is not None, "the given network has its own numbers"
        return r - OTHER if r >= OTHER else int(self.part.rows[r]) if r >= 0 else r


def reduce(net: FlatNetwork, cell: Cell) -> Reduced:
    """The undecided units of a cell as a network of their own."""
    units, weights, errors = cell["units"], cell["weights"], cell["errors"]
    rows = net.src[units]
    whole, start = _network(net, cell, weights, errors)
    norms = _norms(whole, weights, errors)
    return Reduced(whole, start, weights, errors, norms, units, rows, cell["pieces"])


def reduce_again(part: Reduced, cell: Cell) -> Reduced:
    """The undecided units of a cell of a reduced network as a network of their own."""
    units = cell["units"]
    weights, errors = eliminate(part.net, cell, part.weights, part.errors, part.norms, units)
    net, start = _network(part.net, cell, weights, errors, part)
    pieces = part.pieces.copy()
    pieces[part.units] = cell["pieces"][: len(part.units)]
    norms = _norms(net, weights, errors)
    return Reduced(net, start, weights, errors, norms, part.units[units], part.rows[units], pieces)


def _norms(net: FlatNetwork, weights: FloatArray, errors: FloatArray) -> FloatArray:
    """What ``eliminate`` needs, if the network is to be reduced again."""
    return layer_norms(weights, errors, net.unit_off) if net.par[4] else np.zeros((0, 0))


def _network(
    net: FlatNetwork,
    cell: Cell,
    weights: FloatArray,
    errors: FloatArray,
    part: Reduced | None = None,
) -> tuple[FlatNetwork, Start]:
    """The undecided units as a network whose layers read all earlier ones, and the present cell."""
    units, ends = cell["units"], cell["ends"]
    n, rows = len(units), net.src[units]
    names = net.same[rows].tolist()
    pre_off = np.concatenate([[0, 0], np.unique(ends[ends > 0])])
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    same = np.array([first[name] for name in names], dtype=np.int64)
    gamma = (np.concatenate([[0], pre_off[:-1]]) + 16) * ROUND
    layers = len(pre_off) - 1
    Z0 = cell["maps"].copy()
    size = np.abs(Z0[:2]).T @ net.xmax + np.abs(Z0[2])
    Z0[3] = Z0[3] * 1.001 + np.repeat(gamma[:layers], np.diff(pre_off)) * size * 1.001
    Z0[3, size > 0] += net.lost[0]
    tiny = np.abs(weights) < TINY
    weights, errors = np.where(tiny, 0.0, weights), np.where(tiny, errors + np.abs(weights), errors)
    early = n > LEAF_UNITS
    arrays = {
        **{name: getattr(net, name)[units] for name in ("kind", "n_seg", "tab")},
        **{name: getattr(net, name) for name in ("label", "mem", "slope", "icept", "brk", "dom", "xmax")},
        **_columns(pre_off, weights, errors),
        "src": np.arange(n),
        "pat": np.full(n, -1),
        "pre_off": pre_off,
        "unit_off": pre_off,
        "gamma": gamma[:layers],
        "alias": np.full(n, -1),
        "same": same,
        "given": np.zeros(n, dtype=np.int64),
        "plain": np.zeros(layers, dtype=np.int64),
        "of_ptr": np.arange(n + 1),
        "of_unit": np.arange(n),
        "par": np.array([2, layers, net.par[2], 0, early, n // SHRINK if early else 0, 1, 0]),
        "Z0": Z0,
        "lost": np.maximum(net.lost, lost_by_underflow(net.xmax, TINY)),
    }
    return FlatNetwork(arrays), _cell(cell, first, part)


def _columns(pre_off: IntArray, weights: FloatArray, errors: FloatArray) -> dict[str, FloatArray | IntArray]:
    """The tables of readers: every layer is read by all later ones, densely."""
    layers = len(pre_off) - 1
    rd_ptr, rd_layer, rd_dense, at = [0], [], [], 0
    dense, wrong = [np.zeros(0)], [np.zeros(0)]
    for source in range(layers):
        for target in range(source + 1, layers):
            if source:
                part = np.s_[pre_off[source] : pre_off[source + 1], pre_off[target] : pre_off[target + 1]]
                dense.append(weights[part].ravel())
                wrong.append(errors[part].ravel())
                rd_layer.append(target)
                rd_dense.append(at)
                at += dense[-1].size
        rd_ptr.append(len(rd_layer))
    nothing = np.zeros(1)
    return {
        "rd_ptr": np.array(rd_ptr),
        "rd_layer": np.array(rd_layer, dtype=np.int64),
        "rd_dense": np.array(rd_dense, dtype=np.int64),
        "rd_sparse": np.full(len(rd_layer), -1),
        "rd_norm": np.full(len(rd_layer), -1),
        "dense": np.concatenate([*dense, nothing]),
        "dense_error": np.concatenate([*wrong, nothing]),
        "norm": nothing,
        "sp_ptr": nothing,
        "sp_idx": nothing,
        "sp_val": nothing,
    }


def _cell(cell: Cell, first: dict[int, int], part: Reduced | None) -> Start:
    """The present polygon with its facets, named as the undecided rows are, or by their own names."""
    records, edges = np.unique(cell["edges"], return_inverse=True)
    rec_i, rec_f = cell["rec_i"][records].copy(), cell["rec_f"][records].copy()
    rec_i[:, 0] = -1
    for column in (3, 4):
        rec_i[:, column] = [first.get(x, x if x < 0 else OTHER + x) for x in rec_i[:, column].tolist()]
    rows = rec_i[:, 6] != -2  # of the network; those of the domain keep their numbers
    for column in (5, 6):
        rec_i[rows, column] = [_own_name(x, part) for x in rec_i[rows, column].tolist()]
    return cell["planes"].copy(), edges.astype(np.int64), rec_i, rec_f


def _own_name(r: int, part: Reduced | None) -> int:
    """A row's number in the given network, moved out of the way of the reduced network's rows."""
    if r < 0 or r >= OTHER:
        return r
    return OTHER + (r if part is None else int(part.rows[r]))
