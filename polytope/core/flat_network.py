r"""A network as plain arrays: what the native search reads, one column of weights per unit.

Every *unit* (an output of a layer) keeps the column of weights with which later layers read it, dense or
sparse, so that deciding one unit is one rank-one update :math:`Z_q \mathrel{+}= A_{q}[:, u] \otimes h_u`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.core.equal_functions import EqualFunctions
from polytope.core.readers import Read, Readers, reads_of
from polytope.ir.activations import MaxGroups, PiecewiseLinear
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import Dense, FloatArray, IntArray
from polytope.ir.network import Network

ROUND = 2.0**-53
FEW_UNITS = 4000  # undecided units of a cell at which it gets a network of its own
MANY_UNITS = 2000  # networks with more units, if sparse, have units decided before their layer's turn

UNIT_PIECES, UNIT_MAX, UNIT_DOMAIN = 0, 1, 2


class FlatNetwork:
    """The arrays of the layers up to the last activation; ``pre`` counts pre-activations over all layers.

    Layer 0 is made of the rows of the domain (units of kind 2, of which only one side is kept).

    ============================ =====================================================================
    kind, src, n_seg, tab [unit] its kind; the pre-activation (or row of the domain) it reads; its number of
                                 pieces (for rows the caller's number); where they start in the tables
    slope, icept, brk, label     tables of pieces: affine function, breakpoint above, number in patterns
    mem                          members of max groups
    pat [unit]                   place in the pattern, or -1
    pre_off, unit_off [layer]    where a layer's pre-activations and units start
    rd_ptr [layer]               where the readers of a layer's outputs start
    rd_layer, rd_dense,          for each reader: its layer, where its columns start in ``dense``, or in
    rd_sparse, rd_norm           ``sp_ptr`` (which points into ``sp_idx`` and ``sp_val``), where the norms of
                                 its rows start in ``norm``; else -1
    gamma [layer]                factor of the rounding errors of the layer's sums
    alias, same [pre]            the unit that the pre-activation copies, or -1; the first pre-activation that
                                 is the same function of the input
    given [pre]                  1 where the pre-activation reads the input alone, so that Z0 is exact
    plain [layer]                1 where all units have one breakpoint, the same, and the same pieces
    dom                          rows of the domain, a.x + c <= 0
    xmax                         largest absolute coordinates in the domain
    of_ptr [pre], of_unit        the units that read a pre-activation
    dense_error                  bounds on the errors of ``dense``, if it has any
    lost                         see ``lost_by_underflow``
    par                          d, layers, words in a set of facets, units in a pattern, 1 if units are to be
                                 decided early (core/early.hpp), number of undecided units below which
                                 a cell is searched on its own (see ``reduced_network``), 1 if the weights
                                 have errors, 1 if patterns have no number but 0 and 1
    Z0                           what does not depend on the cell: coefficients, constant, error bound
    ============================ =====================================================================
    """

    INTEGERS: ClassVar = (
        *("src", "n_seg", "tab", "mem", "pat", "pre_off", "unit_off", "rd_ptr", "rd_layer", "rd_dense"),
        *("rd_sparse", "rd_norm", "sp_ptr", "sp_idx", "alias", "same", "given", "of_ptr", "of_unit", "plain"),
        "par",
    )
    SMALL: ClassVar = ("kind", "label")
    FLOATS: ClassVar = (
        *("slope", "icept", "brk", "dense", "dense_error", "sp_val"),
        *("gamma", "norm", "xmax", "lost", "dom", "Z0"),
    )

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for names, kind in ((self.INTEGERS, np.int64), (self.SMALL, np.int8), (self.FLOATS, np.float64)):
            for name in names:
                setattr(self, name, np.ascontiguousarray(arrays[name], dtype=kind))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _plain_layers(units: dict[str, NDArray[Any]]) -> IntArray:
    """Which layers are made of units with one shared table of two pieces."""
    offsets = units["unit_off"].tolist()
    out = np.zeros(len(offsets) - 1, dtype=np.int64)
    for layer, (first, last) in enumerate(pairwise(offsets)):
        span = slice(first, last)
        alike = (units["kind"][span] == UNIT_PIECES) & (units["n_seg"][span] == 2)
        out[layer] = last > first and alike.all() and (units["tab"][span] == units["tab"][first]).all()
    return out


def pays_early(units: Mapping[str, NDArray[Any]], readers: Mapping[str, NDArray[Any]]) -> bool:
    """Whether units of later layers are best decided early: many units, most of them read sparsely."""
    layers = len(units["unit_off"]) - 1
    return layers > 2 and len(units["kind"]) > MANY_UNITS and bool((readers["rd_sparse"] >= 0).any())


def can_reduce(units: dict[str, NDArray[Any]], alias: IntArray, d: int) -> bool:
    """Whether cells can get networks of their own: no groups, no copies, in the plane."""
    return d == 2 and bool((units["kind"] != UNIT_MAX).all() and (alias < 0).all())


def _units_of(units: dict[str, NDArray[Any]], n_pre: int) -> dict[str, IntArray]:
    """For each pre-activation the units that read it."""
    kind, src, n_seg, tab = units["kind"], units["src"], units["n_seg"], units["tab"]
    rows, owners = [src[kind == UNIT_PIECES]], [np.flatnonzero(kind == UNIT_PIECES)]
    for u in np.flatnonzero(kind == UNIT_MAX).tolist():
        rows.append(units["mem"][tab[u] : tab[u] + n_seg[u]])
        owners.append(np.full(int(n_seg[u]), u))
    row = np.concatenate(rows).astype(np.int64)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=n_pre)
    return {
        "of_ptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "of_unit": np.concatenate(owners)[order].astype(np.int64),
    }


@dataclass
class _Pieces:
    """Tables of pieces, grown while the layers are read."""

    slope: list[float]
    icept: list[float]
    brk: list[float]
    label: list[int]
    mem: list[int]

    def add(self, breaks: FloatArray, slopes: FloatArray, icepts: FloatArray) -> tuple[int, int]:
        """One unit's pieces without the empty ones; returns (start, number)."""
        start = len(self.slope)
        n = int(np.isfinite(breaks).sum())
        for p in range(n + 1):
            if 0 < p < n and breaks[p] == breaks[p - 1]:
                continue
            self.slope.append(float(slopes[p]))
            self.icept.append(float(icepts[p]))
            self.brk.append(float(breaks[p]) if p < n else np.inf)
            self.label.append(p)
        return start, len(self.slope) - start


def used_layers(network: Network) -> list[int]:
    """Numbers (from 1) of the layers with activations, and of those that one depends on, in order."""
    used: set[int] = set()
    for number in range(len(network.layers), 0, -1):
        layer = network.layers[number - 1]
        if layer.activation is not None or number in used:
            used.add(number)
            used.update(k for k in layer.inputs if k)
    return sorted(used)


def flatten(
    network: Network,
    rows: FloatArray,
    cutting: list[tuple[int, int]],
    xmax: FloatArray,
    words: int,
) -> FlatNetwork:
    """The arrays of a network on a domain.

    Arguments:
        rows: the rows ``a.x + c <= 0`` of the domain, ``[rows, d + 1]``.
        cutting: those that the first cell does not yet satisfy: (row, its number for the caller).
        xmax: largest absolute coordinates in the domain.
        words: 64-bit words in a vertex's set of facets.
    """
    d = network.input_dim
    numbers = used_layers(network)
    layers = [network.layers[number - 1] for number in numbers]
    units = _units(network, numbers, cutting)
    widths = [0] + [len(layer.bias) for layer in layers]
    pre_off = np.cumsum([0, *widths]).astype(np.int64)
    constant, readers, same = _read(layers, numbers, pre_off, units, (d, xmax))
    early = pays_early(units, readers)
    few = FEW_UNITS if early and can_reduce(units, constant.alias, d) else 0
    groups = units["n_seg"][units["kind"] == UNIT_MAX]
    binary = max(units["label"].max(initial=0), groups.max(initial=2) - 1) <= 1
    par = np.array([d, len(layers) + 1, words, network.n_units, early, few, 0, binary], dtype=np.int64)
    rest: dict[str, NDArray[Any]] = {"plain": _plain_layers(units), "pre_off": pre_off, "same": same}
    rest |= {"gamma": constant.gamma, "alias": constant.alias}
    rest["given"] = np.repeat([0, *(layer.inputs == (0,) for layer in layers)], [0, *widths[1:]])
    rest |= _units_of(units, int(pre_off[-1]))
    least = _least(readers["dense"], readers["sp_val"], units["slope"])
    lost = np.array([lost_by_underflow(xmax, least)])
    rest |= {"dom": rows, "xmax": xmax, "par": par, "Z0": constant.Z0, "lost": lost}
    return FlatNetwork({**units, **readers, **rest})


def _read(
    layers: list[Layer],
    numbers: list[int],
    pre_off: IntArray,
    units: dict[str, NDArray[Any]],
    inputs: tuple[int, FloatArray],
) -> tuple[_Constants, Mapping[str, NDArray[Any]], IntArray]:
    """Layer by layer: what does not depend on others, the weights of its readers, and equal functions."""
    place, n = {number: i + 1 for i, number in enumerate(numbers)}, int(pre_off[-1])
    starts = {k: int(units["unit_off"][i]) for k, i in place.items()}
    (d, xmax), nothing = inputs, np.full(n, -1, dtype=np.int64)
    constant = _Constants(d, xmax, np.zeros((d + 2, n)), np.zeros(len(layers) + 1), nothing)
    readers = Readers(len(layers))
    equal = EqualFunctions(units, np.arange(n), np.arange(len(units["kind"])))
    for i, layer in enumerate(layers, start=1):
        look()
        reads, part = reads_of(layer), slice(int(pre_off[i]), int(pre_off[i + 1]))
        constant.add(i, layer, reads, part, starts)
        for read in reads:
            if read.value:
                readers.add(place[read.value], i, read, part.start)
        mine = slice(int(units["unit_off"][i]), int(units["unit_off"][i + 1]))
        equal.add(part, mine, constant.Z0[: d + 1, part], reads, starts)
    return constant, readers.arrays(), equal.same


def _units(network: Network, numbers: list[int], cutting: list[tuple[int, int]]) -> dict[str, NDArray[Any]]:
    """Kind, pieces and place in the pattern of every unit."""
    pieces, n_rows = _Pieces([], [], [], [], []), len(cutting)
    columns = [_numbered(UNIT_DOMAIN, [c[0] for c in cutting], [c[1] for c in cutting], [0] * n_rows)]
    pat, unit_off, pre = [np.full(n_rows, -1)], [0, n_rows], 0
    shared: dict[int, tuple[int, int]] = {}
    for number in numbers:
        look()
        layer = network.layers[number - 1]
        act, n = layer.activation, len(layer.bias)
        if isinstance(act, MaxGroups):
            starts, members = [], [[int(m) + pre for m in group if m >= 0] for group in act.members]
            for group in members:
                starts.append(len(pieces.mem))
                pieces.mem.extend(group)
            columns.append(_numbered(UNIT_MAX, [-1] * len(members), [len(m) for m in members], starts))
        else:
            spans = np.array(_spans(pieces, act, n, shared), dtype=np.int64)
            tab, n_seg = np.broadcast_to(spans, (n, 2)).T
            columns.append(_numbered(UNIT_PIECES, np.arange(pre, pre + n), n_seg, tab))
        start = network.unit_offsets[number - 1]
        pat.append(np.arange(start, start + layer.width) if act is not None else np.full(n, -1))
        pre += n
        unit_off.append(unit_off[-1] + columns[-1].shape[1])
    kind, src, n_seg, tab = np.concatenate(columns, axis=1)
    as_int = {"src": src, "n_seg": n_seg, "tab": tab, "mem": pieces.mem, "unit_off": unit_off}
    as_float = {"slope": pieces.slope, "icept": pieces.icept, "brk": pieces.brk}
    return {
        "kind": kind.astype(np.int8),
        "label": np.array(pieces.label, dtype=np.int8),
        "pat": np.concatenate(pat).astype(np.int64),
        **{k: np.array(v, dtype=np.int64) for k, v in as_int.items()},
        **{k: np.array(v, dtype=np.float64) for k, v in as_float.items()},
    }


def _numbered(kind: int, source: ArrayLike, number: ArrayLike, table: ArrayLike) -> IntArray:
    """Kind, source, number of pieces and start in the tables of some units, ``int[4, n]``."""
    columns = [np.asarray(a, dtype=np.int64) for a in (source, number, table)]
    return np.stack([np.full_like(columns[0], kind), *columns])


def _spans(pieces: _Pieces, act: object, n: int, shared: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    """Where the pieces of n units stand in the tables, or of all; an affine layer has one piece, h = z."""
    if act is None:
        if 0 not in shared:
            shared[0] = pieces.add(np.array([]), np.array([1.0]), np.array([0.0]))
        return [shared[0]]
    if not isinstance(act, PiecewiseLinear):
        raise TypeError(f"Vertex cells know pieces and max groups, not {type(act).__name__}.")
    tables = [
        np.broadcast_to(t, (max(len(t), 1), t.shape[1]))
        for t in (act.breakpoints, act.slopes, act.intercepts)
    ]
    rows = max(len(t) for t in tables)
    return [pieces.add(*(t[i if len(t) > 1 else 0] for t in tables)) for i in range(rows)]


def lost_by_underflow(xmax: FloatArray, least: float) -> float:
    r"""More than an operation can lose by underflow, as an error of a value in the domain.

    A product is off by at most :math:`2^{-1075}`, a value with d + 1 of them by that times
    :math:`1 + \sum_t |x_t|`. The error of a unit is at least this bound, so that its product with a weight
    covers what that product loses: it is divided by the smallest weight.

    Arguments:
        xmax: largest absolute coordinates.
        least: the smallest absolute weight that is not zero.
    """
    return float(2.0**-1030 * (1 + xmax.sum()) / min(least, 1.0))


def _least(*tables: NDArray[Any]) -> float:
    """The smallest absolute number that is not zero; 1 if it is larger."""
    sizes = (np.abs(table[table != 0]).min(initial=1.0) for table in tables)
    return float(min(sizes))


@dataclass
class _Constants:
    """What the layers read of the input and their biases; error factors; copies of single units.

    Arguments:
        d: number of inputs.
        xmax: largest absolute coordinates in the domain.
        Z0: ``[d + 2, pre]``; gamma: ``[layers]``; alias: ``int[pre]``.
    """

    d: int
    xmax: FloatArray
    Z0: FloatArray
    gamma: FloatArray
    alias: IntArray

    def add(self, i: int, layer: Layer, reads: list[Read], part: slice, starts: Mapping[int, int]) -> None:
        """A layer.

        Arguments:
            i: where it stands.
            part: its pre-activations.
            starts: the first unit of each layer that is read.
        """
        self.Z0[self.d, part] = layer.bias
        terms, inputs, given = 0, 0, np.zeros((self.d, len(layer.bias)))
        copies = np.full(len(layer.bias), -1, dtype=np.int64)
        counts = np.zeros(len(layer.bias), dtype=np.int64)
        for k, linear, matrix in reads:
            if matrix is None:
                read = linear.apply(np.eye(self.d)).T
                self.Z0[: self.d, part] += read
                given += np.abs(read)
                inputs += 1
                counts += 1
                continue
            if isinstance(linear, Dense):
                terms += linear.shape[1]
                counts += linear.shape[1]
                continue
            row_counts = np.diff(matrix.indptr)
            terms += int(row_counts.max(initial=0))
            counts += row_counts
            first = np.minimum(matrix.indptr[:-1], max(matrix.nnz - 1, 0))
            if matrix.nnz:
                one = (row_counts == 1) & (matrix.data[first] == 1.0)
                copies[one] = matrix.indices[first][one] + starts[k]
        copies[(counts != 1) | (layer.bias != 0)] = -1
        self.alias[part] = copies
        exact = not layer.bias.any() and bool(((counts == 0) | (copies >= 0)).all())
        if not exact and (terms or inputs > 1):
            self.gamma[i] = (terms + inputs + 8) * ROUND
            with np.errstate(over="ignore"):  # then the bound is infinite
                size = given.T @ self.xmax + np.abs(layer.bias)
                self.Z0[self.d + 1, part] = self.gamma[i] * size * 1.001
