r"""Compiled: the affine maps of the layers on a cell, kept up to date by rank-one updates that can be undone.

``Z[t, r]`` holds coefficient t of pre-activation r on the present cell (``t = d``: the constant,
``t = d + 1``: a bound on the error of the value anywhere in the domain). A decided unit adds its column,
:math:`Z_q \mathrel{+}= A_q[:, u] \otimes h_u`. What is overwritten goes to a trail first, so that leaving a
branch restores the very bits.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from typing import ClassVar

import numpy as np

from polytope.regions.kernels_handle import Handle, kernel

U = 2.0**-53

# registers: the state of the present node; the first N_NODE are saved in frames
VOFF, K, IOFF, SIMPLE, LAYER, LOFF, LLEN, POS, LO, HI, OPP, HASH = range(12)
RECN, EXN, VTOP, ITOP, LTOP, TI, TF, PU, NOFF, NLEN, BEST, NPUSH, LIVE, SINCE = range(12, 26)
N_NODE = 26
DEPTH, MEMO, NREQ, COUNT, BUDGET, DONE, PLEN, FORCED, KEEP = range(26, 35)
OUTN, OUTF, OUTV, OUTX, PHASE, TRICK, QA, QB, QUNIT, ASKED, MAXIT, WHAT = range(35, 47)
NEXACT = 47
N_REG = 48

# entries of the trail above the numbers of layers: units fixed, without and with their rows let go
FIX, FIX_ROWS = 1 << 40, 1 << 41

MOST = 12  # bends in one list of cells (kernels_arrange), which has a place for each choice of sides

# what a call comes back with
FINISHED, NEED_SIGN, GROW, FLUSH, PAUSED, WORDS, REDUCE, LOST = range(8)

# a step of a path: the unit that was split, shifted, and the branch that was taken
UNIT, BRANCH = 20, (1 << 20) - 1


class Work(Handle):
    """The state of one search: arenas used as stacks, and scratch.

    R registers; Z affine maps; saved depth at which a layer's block went to the trail (ti, tf) last; VF, VI
    cells (planes of coordinates and error bounds; facets of edges, or words and slots); lists, frames;
    rec_i, rec_f facets (unit, pieces below and above, row's name, row's members; affine row, error,
    breakpoint); ext further units vanishing on facets; seg, lab pieces of the decided units (labs: the same
    memory, eight to a number); g, v, vt the
    row being decided, its values at the vertices and their bounds; memo answers; req questions; o_* output
    buffers. For the last layer (``kernels_arrange``): flats, and number, the cells by their sides. codes are
    the units' hashes. For units decided early (``kernels_early``): fix marks them, need counts the units that
    a row still matters to, DZ holds changes of rows (hit, listed in hits by layer), fresh the units just
    fixed. The rest is scratch.
    """

    fields: ClassVar[dict[str, tuple[str, int]]] = {
        **dict.fromkeys(
            (
                "R",
                "saved",
                "ti",
                "VI",
                "lists",
                "seg",
                "pl",
                "sg",
                "req",
                "path",
                "child",
                "pairs",
                "o_fptr",
                "o_vptr",
                "need",
                "hits",
                "n_hit",
                "fresh",
                "n_fresh",
                "number",
                "codes",
            ),
            ("i", 1),
        ),
        **dict.fromkeys(("Z", "DZ", "rec_f", "hb", "box", "o_point", "o_fpoint", "o_vert"), ("f", 2)),
        **dict.fromkeys(
            ("tf", "VF", "h", "ha", "hc", "two", "val", "rad", "g", "v", "vt", "memo", "fl", "sol"), ("f", 1)
        ),
        **dict.fromkeys(("frames", "rec_i", "ext", "flats", "o_inc", "o_ext"), ("i", 2)),
        **dict.fromkeys(("lab", "fix", "hit"), ("b", 1)),
        **dict.fromkeys(("o_pat",), ("b", 2)),
        **dict.fromkeys(("o_funit",), ("w", 1)),
        **dict.fromkeys(("labs", "o_fkey"), ("u", 1)),
    }


@kernel(inline="always")
def mix(u, piece):
    """A 64-bit hash of (unit, piece); a region's is the sum over its units that are not on piece 0."""
    x = (np.uint64(u) << np.uint64(7)) + np.uint64(piece) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x + np.uint64(0x632BE59BD9B4E019)) * np.uint64(0xD6E8FEB86659FD93)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(x ^ (x >> np.uint64(31)))


@kernel(inline="always")
def across(u, piece):
    """What unit u adds to a facet's key: its piece on the other side, and that it is one of the facet's."""
    return (mix(u, piece) if piece else np.int64(0)) + mix(u, 127)


@kernel
def unit_affine(net, w, u, s, h):
    """The affine function of unit u on its piece into ``h[0:d+3]`` (last: error, size); False if zero."""
    d = net.par[0]
    slope, icept = 1.0, 0.0
    if net.kind[u] == 0:
        src = net.src[u]
        slope = net.slope[net.tab[u] + s]
        icept = net.icept[net.tab[u] + s]
        if slope == 0.0 and icept == 0.0:
            return False
    else:
        src = net.mem[net.tab[u] + s]
    size = 0.0
    for t in range(d):
        x = slope * w.Z[t, src]
        h[t] = x
        size += abs(x) * net.xmax[t]
    x = slope * w.Z[d, src]
    h[d] = x + icept
    size += abs(x) + abs(icept)
    h[d + 1] = abs(slope) * w.Z[d + 1, src]
    if slope != 0.0 and (icept != 0.0 or abs(slope) != 1.0):
        h[d + 1] = h[d + 1] * (1 + 4 * U) + 4 * U * size
    h[d + 2] = size
    return size != 0.0 or h[d + 1] != 0.0


@kernel
def snapshot(net, w, q):
    """Put the block of layer q on the trail, once for each level of the search."""
    R = w.R
    if R[DEPTH] == 0 or w.saved[q] == R[DEPTH]:
        return
    r0, r1 = net.pre_off[q], net.pre_off[q + 1]
    n = r1 - r0
    at = R[TF]
    for t in range(w.Z.shape[0]):
        z, saved = w.Z[t, r0:r1], w.tf[at : at + n]
        for r in range(n):
            saved[r] = z[r]
        at += n
    w.ti[R[TI]] = q
    w.ti[R[TI] + 1] = w.saved[q]
    R[TI] += 2
    R[TF] = at
    w.saved[q] = R[DEPTH]


@kernel
def log_row(w, r, d):
    """Put one row on the trail."""
    R = w.R
    if R[DEPTH] == 0:
        return
    for t in range(d + 2):
        w.tf[R[TF] + t] = w.Z[t, r]
    w.ti[R[TI]] = -r - 1
    R[TI] += 2
    R[TF] += d + 2


@kernel
def rows_needed(net, w, u, change):
    """Count the rows that stop mattering to unit u on its piece (change -1), or matter again (1)."""
    at, s = net.tab[u], w.seg[u]
    if net.kind[u] == 0:
        if net.slope[at + s] == 0.0:
            w.need[net.src[u]] += change
        return
    for i in range(net.n_seg[u]):
        if i != s:
            w.need[net.mem[at + i]] += change


@kernel
def undo(net, w, ti, tf):
    """Take the trail back to a mark."""
    R = w.R
    K1 = w.Z.shape[0]
    i, f = R[TI], R[TF]
    while i > ti:
        i -= 2
        q = w.ti[i]
        if q >= FIX:
            u = q & (FIX - 1)
            w.fix[u] = 0
            if q >= FIX_ROWS:
                rows_needed(net, w, u, 1)
        elif q >= 0:
            r0, r1 = net.pre_off[q], net.pre_off[q + 1]
            n = r1 - r0
            f -= n * K1
            for t in range(K1):
                z, saved = w.Z[t, r0:r1], w.tf[f + t * n : f + t * n + n]
                for r in range(n):
                    z[r] = saved[r]
            w.saved[q] = w.ti[i + 1]
        else:
            f -= K1
            for t in range(K1):
                w.Z[t, -q - 1] = w.tf[f + t]
    R[TI] = ti
    R[TF] = tf


@kernel
def trail_need(net, layer):
    """Rows and units that one step in a layer can put on the trail at most."""
    if net.par[4] == 1:
        return 2 * (net.alias.shape[0] + net.kind.shape[0])
    n = 0
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        n += net.pre_off[q + 1] - net.pre_off[q]
    return n


@kernel(fastmath={"contract"})
def push_dense(net, w, e, q, n_units, layer):
    """Add the columns of the units in ``pl`` to a dense reader, four columns at a time."""
    d = net.par[0]
    r0, r1 = net.pre_off[q], net.pre_off[q + 1]
    n = r1 - r0
    base = net.rd_dense[e]
    first = net.unit_off[layer]
    hb = w.hb
    i = 0
    while i < n_units:
        j0 = base + (w.pl[i] - first) * n
        c0 = net.dense[j0 : j0 + n]
        if i + 3 >= n_units:
            for t in range(d + 1):
                z = w.Z[t, r0:r1]
                x0 = hb[i, t]
                for r in range(n):
                    z[r] += c0[r] * x0
            i += 1
            continue
        j1 = base + (w.pl[i + 1] - first) * n
        j2 = base + (w.pl[i + 2] - first) * n
        j3 = base + (w.pl[i + 3] - first) * n
        c1 = net.dense[j1 : j1 + n]
        c2 = net.dense[j2 : j2 + n]
        c3 = net.dense[j3 : j3 + n]
        if d == 2:
            z0, z1, z2 = w.Z[0, r0:r1], w.Z[1, r0:r1], w.Z[2, r0:r1]
            a0, a1, a2, a3 = hb[i, 0], hb[i + 1, 0], hb[i + 2, 0], hb[i + 3, 0]
            b0, b1, b2, b3 = hb[i, 1], hb[i + 1, 1], hb[i + 2, 1], hb[i + 3, 1]
            d0, d1, d2, d3 = hb[i, 2], hb[i + 1, 2], hb[i + 2, 2], hb[i + 3, 2]
            for r in range(n):
                y0, y1, y2, y3 = c0[r], c1[r], c2[r], c3[r]
                z0[r] = (z0[r] + y0 * a0 + y1 * a1) + (y2 * a2 + y3 * a3)
                z1[r] = (z1[r] + y0 * b0 + y1 * b1) + (y2 * b2 + y3 * b3)
                z2[r] = (z2[r] + y0 * d0 + y1 * d1) + (y2 * d2 + y3 * d3)
        else:
            for t in range(d + 1):
                z = w.Z[t, r0:r1]
                x0, x1, x2, x3 = hb[i, t], hb[i + 1, t], hb[i + 2, t], hb[i + 3, t]
                for r in range(n):
                    z[r] = (z[r] + c0[r] * x0 + c1[r] * x1) + (c2[r] * x2 + c3[r] * x3)
        i += 4
    push_errors(net, w, e, q, n_units, layer)


@kernel(fastmath={"contract"})
def push_errors(net, w, e, q, n_units, layer):
    r"""Add the units' error bounds: the sum of :math:`|A_{rj}| e_j`; for many units :math:`\|A_r\| \|e\|`."""
    d = net.par[0]
    r0, r1 = net.pre_off[q], net.pre_off[q + 1]
    n = r1 - r0
    hb = w.hb
    gam = net.gamma[q] + 4 * U if net.gamma[q] > 0.0 else 0.0
    z = w.Z[d + 1, r0:r1]
    first = net.unit_off[layer]
    if net.par[6] == 0 and n > 64 and 4 * n_units > net.unit_off[layer + 1] - first:
        total = 0.0
        for i in range(n_units):
            x = hb[i, d + 1] + gam * hb[i, d + 2]
            total += x * x
        x = total**0.5 * 1.002
        norm = net.norm[net.rd_norm[e] : net.rd_norm[e] + n]
        for r in range(n):
            z[r] += norm[r] * x
        return
    for i in range(n_units):
        at = net.rd_dense[e] + (w.pl[i] - first) * n
        col = net.dense[at : at + n]
        x = (hb[i, d + 1] + gam * hb[i, d + 2]) * 1.001
        for r in range(n):
            z[r] += abs(col[r]) * x
        if net.par[6] == 1:
            wrong = net.dense_error[at : at + n]
            x = (hb[i, d + 1] + hb[i, d + 2]) * 1.001
            for r in range(n):
                z[r] += wrong[r] * x


@kernel
def push_many(net, w, n_units, layer):
    """Add the columns of the units in ``pl`` (decided together) to every layer that reads them."""
    if n_units == 0 or net.rd_ptr[layer] == net.rd_ptr[layer + 1]:
        return
    m = 0
    for i in range(n_units):
        u = w.pl[i]
        if unit_affine(net, w, u, w.seg[u], w.hb[m]):
            w.pl[m] = u
            m += 1
    if m == 0:
        return
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        if net.rd_dense[e] >= 0:
            snapshot(net, w, q)
            push_dense(net, w, e, q, m, layer)
        else:
            push_sparse(net, w, e, q, m, layer)


@kernel
def push_sparse(net, w, e, q, n_units, layer):
    """Add the columns of the units in ``pl`` to a sparse reader; few rows go to the trail one by one."""
    d = net.par[0]
    R, Z = w.R, w.Z
    gam = net.gamma[q] + 4 * U if net.gamma[q] > 0.0 else 0.0
    fudge = 1.001 if net.gamma[q] > 0.0 else 1.0
    base = net.rd_sparse[e] - net.unit_off[layer]
    rows = 0
    for i in range(n_units):
        at = base + w.pl[i]
        rows += net.sp_ptr[at + 1] - net.sp_ptr[at]
    log = R[DEPTH] > 0 and w.saved[q] != R[DEPTH]
    if log and 2 * rows > net.pre_off[q + 1] - net.pre_off[q]:
        snapshot(net, w, q)
        log = False
    for i in range(n_units):
        at = base + w.pl[i]
        p0, p1 = net.sp_ptr[at], net.sp_ptr[at + 1]
        if log:
            for p in range(p0, p1):
                r = net.sp_idx[p]
                for t in range(d + 2):
                    w.tf[R[TF] + t] = Z[t, r]
                w.ti[R[TI]] = -r - 1
                R[TI] += 2
                R[TF] += d + 2
        for t in range(d + 1):
            x = w.hb[i, t]
            z = Z[t]
            for p in range(p0, p1):
                z[net.sp_idx[p]] += net.sp_val[p] * x
        err = (w.hb[i, d + 1] + gam * w.hb[i, d + 2]) * fudge
        z = Z[d + 1]
        for p in range(p0, p1):
            z[net.sp_idx[p]] += abs(net.sp_val[p]) * err


@kernel
def root(net, w, r):
    """The first pre-activation that r equals on this cell; -1 if it is identically zero."""
    r = net.same[r]
    while net.alias[r] >= 0:
        u = net.alias[r]
        if net.kind[u] == 0:
            at = net.tab[u] + w.seg[u]
            if net.icept[at] != 0.0:
                return r
            if net.slope[at] == 0.0:
                return -1
            if net.slope[at] != 1.0:
                return r
            r = net.same[net.src[u]]
        else:
            r = net.same[net.mem[net.tab[u] + w.seg[u]]]
    return r
