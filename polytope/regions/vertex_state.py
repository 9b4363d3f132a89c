r"""The arrays of one compiled search: made, grown, reset to a node, read out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray
from polytope.regions import kernels_layer as layout
from polytope.regions.flat_network import FlatNetwork
from polytope.regions.kernels_layer import Work
from polytope.regions.packed import PackedPatterns

Start = tuple[FloatArray, NDArray[np.int64], NDArray[np.int64], FloatArray]


def new_work(net: FlatNetwork, start: Start, keep: int, chunk: int) -> Work:
    """Arenas of moderate size for a search that starts in the cell ``start``."""
    d, n_layers, words, n_units = (int(x) for x in net.par[:4])
    VF, _VI, rec_i, rec_f = start
    n_pre = net.Z0.shape[1]
    widest = int(np.diff(net.unit_off).max(initial=1)) + 8
    k = 1024 + 4 * len(VF)
    block = (d + 2) * max((_reach(net, layer) for layer in range(n_layers)), default=0)
    early = int(net.par[4]) == 1
    if early:
        block = (d + 2) * (n_pre + len(net.kind))
    cells = chunk if keep else 1
    facets = cells * (5 if d == 2 else 8 + 2 * d) + 64 * words + 1024
    vertices = facets * 2 + k if keep & 4 else 1
    floats: dict[str, int | tuple[int, ...]] = {
        "tf": 4 * block + 4096,
        "VF": 1 << 16,
        "h": 64,
        "hb": (widest, d + 3),
        "val": int(np.diff(net.pre_off).max(initial=1)) + 8,
        "rad": int(np.diff(net.pre_off).max(initial=1)) + 8,
        "g": d + 8,
        "box": (2, d),
        "v": k,
        "vt": k,
        "memo": k,
        "fl": 4,
        "ha": d + 8,
        "hc": d + 8,
        "two": 2,
        "DZ": (n_pre if early else 1, d + 2),
        "sol": 1024,
        "rec_f": (256 + len(rec_f), d + 3),
        "o_point": (cells, d),
        "o_fpoint": (facets if keep & 2 else 1, d),
        "o_vert": (vertices, d + 1),
    }
    ints: dict[str, int | tuple[int, ...]] = {
        "saved": n_layers,
        "ti": 4 * block + 4096,
        "VI": 1 << 16,
        "lists": 4 * widest * n_layers + 1024 + (8 * len(net.kind) if early else 0),
        "hits": n_pre + 1,
        "n_hit": n_layers + 1,
        "fresh": len(net.kind) + 1,
        "n_fresh": n_layers + 1,
        "need": n_pre + 1,
        "frames": (128, layout.N_NODE + 16),
        "rec_i": (256 + len(rec_i), 7),
        "ext": (256, 4),
        "seg": len(net.kind),
        "pl": widest,
        "sg": k,
        "req": k,
        "path": 1 << 12,
        "child": 16,
        "flats": (16, 16),
        "number": 1 << layout.MOST,
        "pairs": 64 + 8 * k,
        "o_fptr": cells + 1,
        "o_vptr": cells + 1,
        "o_inc": (vertices, words),
        "o_ext": (facets if keep else 1, 2),
    }
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in floats.items()}
    arrays |= {name: np.zeros(shape, dtype=np.int64) for name, shape in ints.items()}
    arrays |= {
        "R": np.zeros(layout.N_REG, dtype=np.int64),
        "Z": np.zeros((d + 2, n_pre)),
        "lab": (lab := np.zeros(n_units // 8 * 8 + 16, dtype=np.int8)),
        "labs": lab.view(np.uint64),
        "fix": np.zeros(len(net.kind) + 1, dtype=np.int8),
        "hit": np.zeros(n_pre + 1, dtype=np.int8),
        "o_pat": np.zeros((cells, pattern_bytes(net)), dtype=np.int8),
        "o_funit": np.zeros(facets if keep else 1, dtype=np.int32),
        "o_fkey": np.zeros(facets if keep else 1, dtype=np.uint64),
    }
    arrays["number"][:] = -1
    arrays["codes"] = layout.mix.py_func(np.arange(len(net.kind), dtype=np.uint64), 1)
    return Work(arrays)


def pattern_bytes(net: FlatNetwork) -> int:
    """Bytes of a pattern in the output: one for each unit, or for eight where all have two pieces."""
    units, packed = int(net.par[3]), int(net.par[7])
    return (units + 7) // 8 if packed else units


def patterns_of(net: FlatNetwork, rows: NDArray[np.int8]) -> Any:
    """The patterns that rows of the output hold, packed if they are."""
    return PackedPatterns(rows.view(np.uint8), int(net.par[3])) if net.par[7] else rows


def _reach(net: FlatNetwork, layer: int) -> int:
    """Pre-activations that the units of a layer are read by."""
    readers = net.rd_layer[net.rd_ptr[layer] : net.rd_ptr[layer + 1]]
    return int((net.pre_off[readers + 1] - net.pre_off[readers]).sum())


def reset(net: FlatNetwork, w: Work, start: Start, keep: int, path: NDArray[np.int64]) -> None:
    """The state at the root, about to follow a path; the output buffers stay as they are."""
    d, _, _words, _ = (int(x) for x in net.par[:4])
    VF, VI, rec_i, rec_f = start
    while len(w.VF) < 4 * len(VF) or len(w.VI) < 4 * len(VI) or len(w.path) < len(path) + 1:
        _enlarge(w, "VF", "VI", "path")
    out = [layout.OUTN, layout.OUTF, layout.OUTV, layout.OUTX]
    kept = w.R[out].copy()
    w.R[:] = 0
    w.R[out] = kept
    w.Z[:] = net.Z0
    w.saved[:] = -1
    w.fix[:] = 0
    w.need[:-1] = np.diff(net.of_ptr)
    w.VF[: len(VF)] = VF
    w.VI[: len(VI)] = VI
    w.rec_i[: len(rec_i)] = rec_i
    w.rec_f[: len(rec_f)] = rec_f
    w.path[: len(path)] = path
    w.fl[0] = 2.0**20
    k = len(VF) // (d + 1)
    values = {
        layout.K: k,
        layout.SIMPLE: 1,
        layout.RECN: len(rec_i),
        layout.VTOP: len(VF),
        layout.ITOP: len(VI),
        layout.LO: -1,
        layout.OPP: -1,
        layout.PLEN: len(path),
        layout.KEEP: keep,
        layout.MAXIT: np.iinfo(np.int64).max,
        layout.LLEN: int(net.unit_off[1]),
        layout.LTOP: 2 * int(net.unit_off[1]),
        layout.NOFF: 2 * int(net.unit_off[1]),
        layout.BEST: -1,
        layout.PU: -1,
    }
    for register, value in values.items():
        w.R[register] = value
    w.lists[: 2 * int(net.unit_off[1]) : 2] = np.arange(int(net.unit_off[1]))
    w.fl[2] = 1e308


def _enlarge(w: Work, *names: str) -> None:
    """Room for as much again in some arrays."""
    for name in names:
        a = getattr(w, name)
        w.put(name, np.concatenate([a, np.zeros_like(a)]))


ARENAS = {
    0: ("VF", "VI"),
    1: ("tf", "ti"),
    2: ("lists", "rec_i", "rec_f", "ext", "frames"),
    3: ("v", "vt", "memo", "sg", "req", "pairs"),
}


def grow(w: Work, which: int) -> None:
    """Twice the room in the arenas that were full."""
    _enlarge(w, *ARENAS[which])


def drain(w: Work, keep: int) -> dict[str, NDArray[Any]]:
    """What the output buffers hold; new ones take the place of those that are handed over."""
    n, nf, nv, nx = (int(w.R[i]) for i in (layout.OUTN, layout.OUTF, layout.OUTV, layout.OUTX))
    used = {"o_pat": n, "o_point": n, "o_fptr": n + 1, "o_funit": nf, "o_fkey": nf, "o_ext": nx}
    used |= {"o_fpoint": nf} if keep & 2 else {}
    used |= {"o_vptr": n + 1, "o_vert": nv, "o_inc": nv} if keep & 4 else {}
    out = {}
    for name, size in used.items():
        buffer = getattr(w, name)
        out[name] = buffer[:size]
        if 2 * size > len(buffer):
            w.put(name, np.empty_like(buffer))
        else:
            out[name] = out[name].copy()
    for name in {"o_fptr", "o_vptr"} & out.keys():
        out[name] = np.diff(out[name])
        getattr(w, name)[0] = 0
    w.R[[layout.OUTN, layout.OUTF, layout.OUTV, layout.OUTX]] = 0
    return out


def full(w: Work, keep: int) -> None:
    """Larger output buffers, for a cell that does not fit into empty ones."""
    names = ["o_funit", "o_fkey", "o_ext"]
    names += ["o_fpoint"] if keep & 2 else []
    names += ["o_vert", "o_inc"] if keep & 4 else []
    _enlarge(w, *names)
