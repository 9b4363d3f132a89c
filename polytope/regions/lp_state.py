r"""The arrays of one compiled search over cells of inequalities: made, grown, reset, read out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray, IntArray
from polytope.regions import kernels_layer as layout
from polytope.regions.flat_network import UNIT_MAX, UNIT_PIECES, FlatNetwork
from polytope.regions.found import Path
from polytope.regions.kernels_lp import START
from polytope.regions.kernels_lp_cell import CENTERED, POOL, RADIUS, SOLVABLE, STATE
from polytope.regions.kernels_lp_copy import LpWork

FLOATS = 16  # places in ``fl``


@dataclass(frozen=True, eq=False)
class Root:
    """The first cell: bounds of the coordinates, further rows of the domain, and a point deep inside.

    Arguments:
        low, high: a box around the domain.
        box_rows: ``int[d, 2]``, the rows ``dom`` of the flat network that are these bounds.
        rows: ``int[n]``, the units of layer 0, each a row of the domain that cuts the box.
        center: ``[d]``, a point strictly inside.
    """

    low: FloatArray
    high: FloatArray
    box_rows: IntArray
    rows: IntArray
    center: FloatArray


def most_rows(net: FlatNetwork) -> int:
    """The most rows that a cell can have besides those of the box."""
    bends = np.where(net.kind == UNIT_PIECES, net.n_seg - 1, np.where(net.kind == UNIT_MAX, net.n_seg, 1))
    return int(bends.sum()) + 1


def new_work(net: FlatNetwork, keep: bool, chunk: int) -> LpWork:
    """Arenas of moderate size."""
    d, n_layers, _, n_units = (int(x) for x in net.par[:4])
    n_pre, n_rows = net.Z0.shape[1], most_rows(net)
    widest = int(np.diff(net.unit_off).max(initial=1)) + 8
    block = (d + 2) * int(np.diff(net.pre_off).sum())
    cells = chunk if keep else 1
    floats: dict[str, int | tuple[int, ...]] = {
        "tf": 4 * block + 4096,
        "hb": (widest, d + 3),
        "g": d + 8,
        "f": d + 1,
        "fl": FLOATS,
        "Z": (d + 2, n_pre),
        "T": (d, n_rows + 1),
        "rows": (d + 3, n_rows),
        "pool": (d, 2 * d + 16),
        "two": (2, d),
        "deep": (2, d),
        "pv": 2 * d + 16,
        "pw": 2 * d + 16,
        **dict.fromkeys(("beta", "weight", "slack", "slack1", "brks"), n_rows + 1),
        **dict.fromkeys(("lo", "hi"), d + n_rows + 1),
        **dict.fromkeys(("center", "x"), d),
        "fa": 1 << 16,
        "o_point": (cells, d),
    }
    ints: dict[str, int | tuple[int, ...]] = {
        "R": layout.N_REG,
        "saved": n_layers,
        "ti": 4 * block + 4096,
        "lists": 4 * widest * n_layers + 1024,
        "seg": len(net.kind),
        "pl": widest,
        "path": 1 << 12,
        "need": n_pre + 1,
        "basic": n_rows + 1,
        "nonb": d,
        "upper": d,
        "oldest": 1,
        "ia": 1 << 14,
        "stat": 16,
        "frames": (128, layout.N_NODE + 16),
        "rec_i": (n_rows, 7),
        "o_ptr": cells + 1,
        "o_unit": cells * min(n_rows, 64) + n_rows,
    }
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in floats.items()}
    arrays |= {name: np.zeros(shape, dtype=np.int64) for name, shape in ints.items()}
    arrays |= {
        "lab": np.zeros(n_units + 1, dtype=np.int8),
        "fix": np.zeros(len(net.kind) + 1, dtype=np.int8),
        "o_pat": np.zeros((cells, n_units), dtype=np.int8),
    }
    return LpWork(arrays)


def reset(net: FlatNetwork, w: LpWork, root: Root, *, keep: bool, path: Path = ()) -> None:
    """The state at the root, about to follow a path; the output buffers stay as they are."""
    d = int(net.par[0])
    out = w.R[[layout.OUTN, layout.OUTF]].copy()
    while len(w.path) <= len(path):
        w.put("path", np.concatenate([w.path, np.zeros_like(w.path)]))
    w.path[: len(path)] = path
    w.R[:] = 0
    w.Z[:] = net.Z0
    w.saved[:] = -1
    w.lo[:d], w.hi[:d], w.center[:] = root.low, root.high, root.center
    w.hi[d:] = np.inf
    for i, unit in enumerate(root.rows.tolist()):
        row = net.dom[net.src[unit]]
        length = np.linalg.norm(row[:d])
        size = float(np.abs(row[:d]) @ net.xmax + abs(row[d])) / length
        w.rows[: d + 1, i] = row / length
        w.rows[d + 1, i] = (d + 16) * layout.U * size
        w.rows[d + 2, i] = size
        w.rec_i[i] = [-net.n_seg[unit] - 1, 1, 0, -2, -2, net.src[unit], -2]
    values = {
        layout.RECN: len(root.rows),
        STATE: CENTERED | SOLVABLE,
        POOL: 0,
        layout.LO: -1,
        layout.OPP: -1,
        layout.KEEP: int(keep),
        layout.MAXIT: np.iinfo(np.int64).max,
        layout.BEST: -1,
        layout.PU: -1,
        layout.PHASE: START,
        layout.PLEN: len(path),
        layout.OUTN: out[0],
        layout.OUTF: out[1],
    }
    for register, value in values.items():
        w.R[register] = value
    slack = -(w.rows[:d, : len(root.rows)].T @ root.center + w.rows[d, : len(root.rows)])
    slack -= w.rows[d + 1, : len(root.rows)]
    margin = 8 * layout.U * net.xmax
    box = np.minimum(root.center - root.low, root.high - root.center) - margin
    w.fl[:] = 0.0
    w.fl[2] = 1e308
    w.fl[9] = 1e3
    w.fl[RADIUS] = min(slack.min(initial=np.inf), box.min())
    if not w.fl[RADIUS] > 0:
        w.R[STATE] = SOLVABLE


ARENAS = {1: ("tf", "ti"), 2: ("lists", "frames"), 3: ("fa", "ia")}


def grow(w: LpWork, which: int) -> None:
    """Twice the room in the arenas that were full."""
    for name in ARENAS[which]:
        array = getattr(w, name)
        w.put(name, np.concatenate([array, np.zeros_like(array)]))


def drain(w: LpWork) -> dict[str, NDArray[Any]]:
    """What the output buffers hold, copied; they are empty afterwards."""
    n, nf = int(w.R[layout.OUTN]), int(w.R[layout.OUTF])
    out: dict[str, NDArray[Any]] = {
        "patterns": w.o_pat[:n].copy(),
        "points": w.o_point[:n].copy(),
        "ends": w.o_ptr[1 : n + 1].copy(),
        "units": w.o_unit[:nf].copy(),
    }
    w.R[[layout.OUTN, layout.OUTF]] = 0
    return out
