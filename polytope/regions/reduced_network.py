r"""The network that is left of a large one on a small cell: its undecided units alone.

Of the ten thousands of units of a convolutional network a few hundred bend on a small cell. With the
others eliminated (see ``kernels_reduce``) a flip costs a few hundred additions, and the cell is searched at
the speed of a small network. A cell of this cell, where fewer units bend, is reduced again, by dense algebra
(``eliminate``). Weights carry bounds on their errors; doubtful signs are decided in the given network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from polytope.ir.maps import FloatArray, IntArray
from polytope.regions import kernels_layer as layout
from polytope.regions.eliminate import eliminate, layer_norms
from polytope.regions.flat_network import ROUND, FlatNetwork
from polytope.regions.kernels_layer import Work
from polytope.regions.vertex_state import Start

OTHER = 1 << 40  # names of facets that no undecided row has
LEAF_UNITS = 160  # reduced networks of at most so many units are not reduced again
SHRINK = 2  # larger ones are, on cells with this share of their units


@dataclass(frozen=True, eq=False)
class Reduced:
    """A cell's own network and first cell, and what its numbers mean in the given network.

    Arguments:
        net, start: what the search runs on.
        weights, errors, norms: of the network, ``[units, units]``, with bounds on their errors; the norms of
            their columns (see ``eliminate``).
        units, rows: for each unit and row its number in the given network.
        n_records: facets that the cell had before; their rows have the numbers of the given network.
        seg: pieces of the units of the given network.
    """

    net: FlatNetwork
    start: Start
    weights: FloatArray
    errors: FloatArray
    norms: FloatArray
    units: IntArray
    rows: IntArray
    n_records: int
    seg: IntArray

    def given_row(self, a: int, b: int, brk: float) -> tuple[int, int, float]:
        """A row of the reduced network by the numbers of the given one."""
        return int(self.rows[a]), int(self.rows[b]) if b >= 0 else b, brk

    def given_pieces(self, w: Work) -> IntArray:
        """The pieces of the given network's units on the present cell."""
        seg = self.seg.copy()
        seg[self.units] = w.seg[: len(self.units)]
        return seg


def reduce(net: FlatNetwork, w: Work, scratch: tuple[FloatArray, FloatArray]) -> Reduced:
    """The undecided units of the present cell as a network of their own.

    Arguments:
        scratch: zeros, for ``undecided_columns``.
    """
    from polytope.regions.kernels_reduce import undecided_columns

    units, ends = _undecided(net, w)
    _gather(net, units, ends)
    weights, errors = np.zeros((2, len(units), len(units)))
    undecided_columns(net, w, units, ends, *scratch, weights, errors)
    rows = net.src[units]
    whole, start = _network(net, w, units, ends, weights, errors)
    return Reduced(
        whole,
        start,
        weights,
        errors,
        _norms(whole, weights, errors),
        units,
        rows,
        len(start[2]),
        w.seg.copy(),
    )


def reduce_again(part: Reduced, w: Work) -> Reduced:
    """The undecided units of a cell of a reduced network as a network of their own."""
    units, ends = _undecided(part.net, w)
    weights, errors = eliminate(part.net, w, part.weights, part.errors, part.norms, units)
    net, (VF, VI, rec_i, rec_f) = _network(part.net, w, units, ends, weights, errors)
    own = np.unique(w.VI[int(w.R[layout.IOFF]) :][: int(w.R[layout.K])]) >= part.n_records
    for column in (5, 6):
        inside = own & (rec_i[:, column] >= 0)
        rec_i[inside, column] = part.rows[rec_i[inside, column]]
    return Reduced(
        net,
        (VF, VI, rec_i, rec_f),
        weights,
        errors,
        _norms(net, weights, errors),
        part.units[units],
        part.rows[units],
        len(rec_i),
        part.given_pieces(w),
    )


def _gather(net: FlatNetwork, units: IntArray, ends: IntArray) -> None:
    """Sort the units of each layer by the first row that reads them: columns found together overlap then."""
    for q, (i, j) in enumerate(pairwise([0, *ends.tolist()])):
        readers = net.rd_sparse[net.rd_ptr[q] : net.rd_ptr[q + 1]]
        if i < j and len(readers) and readers[0] >= 0:
            ptr = net.sp_ptr[readers[0] + units[i:j] - net.unit_off[q]]
            units[i:j] = units[i:j][np.argsort(net.sp_idx[np.minimum(ptr, len(net.sp_idx) - 1)])]


def _norms(net: FlatNetwork, weights: FloatArray, errors: FloatArray) -> FloatArray:
    """What ``eliminate`` needs, if the network is to be reduced again."""
    return layer_norms(weights, errors, net.unit_off) if net.par[4] else np.zeros((0, 0))


def _undecided(net: FlatNetwork, w: Work) -> tuple[IntArray, IntArray]:
    """The undecided units, and where those of each layer end."""
    from polytope.regions.kernels_reduce import undecided

    units, ends = np.zeros(len(net.kind), dtype=np.int64), np.zeros(int(net.par[1]), dtype=np.int64)
    return units[: int(undecided(net, w, units, ends))], ends


def _network(
    net: FlatNetwork, w: Work, units: IntArray, ends: IntArray, weights: FloatArray, errors: FloatArray
) -> tuple[FlatNetwork, Start]:
    """The undecided units as a network whose layers read all earlier ones, and the present cell."""
    n, rows = len(units), net.src[units]
    names = net.same[rows].tolist()
    pre_off = np.concatenate([[0, 0], np.unique(ends[ends > 0])])
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    same = np.array([first[name] for name in names], dtype=np.int64)
    gamma = (np.concatenate([[0], pre_off[:-1]]) + 16) * ROUND
    layers = len(pre_off) - 1
    Z0 = w.Z[:, rows].copy()
    size = np.abs(Z0[:2]).T @ net.xmax + np.abs(Z0[2])
    Z0[3] = Z0[3] * 1.001 + np.repeat(gamma[:layers], np.diff(pre_off)) * size * 1.001
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
    }
    return FlatNetwork(arrays), _cell(w, first)


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


def _cell(w: Work, first: dict[int, int]) -> Start:
    """The present polygon with its facets' records, named as the undecided rows are."""
    R = w.R
    k, at, io = int(R[layout.K]), int(R[layout.VOFF]), int(R[layout.IOFF])
    records, edges = np.unique(w.VI[io : io + k], return_inverse=True)
    rec_i, rec_f = w.rec_i[records].copy(), w.rec_f[records].copy()
    rec_i[:, 0] = -1
    for column in (3, 4):
        rec_i[:, column] = [first.get(x, x if x < 0 else OTHER + x) for x in rec_i[:, column].tolist()]
    return w.VF[at : at + 3 * k].copy(), edges.astype(np.int64), rec_i, rec_f
