r"""Compiled: the cells that the bends of the last layer make of one cell, counted or listed without cutting.

Hyperplanes :math:`H_1, .., H_n` that cross a convex cell P make as many cells of it as there are sets S of
them with :math:`P \cap \bigcap_{i \in S} H_i` not empty, S = {} included (deletion and restriction; in
general position). These flats are visited depth first, each once, as sections of the one before. The
vertices of all flats are the vertices of the arrangement, which list the cells (``kernels_book``). Only clear
signs are used: at the first doubtful one the answer is ``DOUBT``, and the search splits the cell instead.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np

from polytope.regions.kernels_book import (
    B_CELLS,
    B_INFO,
    B_SUM,
    BOOK,
    DOUBT,
    F_EDGE,
    F_I,
    F_N,
    F_ROW,
    F_V,
    F_VAL,
    I_TOP,
    MEMBERS,
    N_EARLY,
    N_EDGE,
    N_ROW,
    NEXT,
    NO_ROOM,
    SIDES,
    TOP,
    book_flat,
    book_segment,
    list_cells,
    most_cells,
)
from polytope.regions.kernels_cut import edge_between, edge_point, popcount
from polytope.regions.kernels_decide import load_row
from polytope.regions.kernels_emit import CELLS
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    COUNT,
    IOFF,
    ITOP,
    KEEP,
    LLEN,
    LOFF,
    MAXIT,
    MOST,
    SIMPLE,
    VOFF,
    VTOP,
    K,
    U,
)

MIXED, BELOW, ABOVE = 0, 1, 2


@kernel
def store_rows(net, w, at):
    """The rows of the listed units, d + 4 numbers each, into the float arena; False if one bends twice."""
    R = w.R
    d = net.par[0]
    for i in range(R[LLEN]):
        u = w.lists[R[LOFF] + 2 * i]
        if net.kind[u] != 0 or net.n_seg[u] != 2:
            return False
        load_row(net, w, net.src[u], -1, net.brk[net.tab[u]])
        for t in range(d + 4):
            w.VF[at + t] = w.g[t]
        at += d + 4
    return True


@kernel(fastmath={"contract"})
def side_of(w, row, voff, k, d, to):
    """On which side of a stored row k vertices are; its values from ``to``."""
    VF = w.VF
    e0, e1 = VF[row + d + 2], VF[row + d + 3]
    v = VF[to : to + k]
    x = VF[voff : voff + k]
    c, c0 = VF[row], VF[row + d]
    for i in range(k):
        v[i] = c0 + c * x[i]
    for q in range(1, d):
        x = VF[voff + q * k : voff + q * k + k]
        c = VF[row + q]
        for i in range(k):
            v[i] += c * x[i]
    e = VF[voff + d * k : voff + d * k + k]
    n = 0
    margin = w.fl[0]
    for i in range(k):
        y, t = v[i], e0 + e1 * e[i]
        if abs(y) <= margin * t:
            if abs(y) <= t:
                return DOUBT
            margin = abs(y) / t
        if y > 0.0:
            n += 1
    w.fl[0] = margin
    return BELOW if n == 0 else (ABOVE if n == k else MIXED)


@kernel
def list_edges(VI, ioff, k, dim, simple, at):
    """The edges of a cell, two vertices each, to ``at``; their number, or NO_ROOM."""
    limit = VI.shape[0] - 8
    n = 0
    for a in range(1, k):
        Ia = VI[ioff + a]
        for b in range(a):
            if popcount(Ia & VI[ioff + b]) < dim - 1:
                continue
            if simple == 1 or edge_between(VI, ioff, k, a, b, 1, dim, False):
                if at + 2 * n + 2 > limit:
                    return NO_ROOM
                VI[at + 2 * n] = a
                VI[at + 2 * n + 1] = b
                n += 1
    return n


@kernel
def section(net, w, f, i, row, d):
    """The section of flat f by its i-th row: planes at its TOP, facets at its I_TOP; its size."""
    VF, VI = w.VF, w.VI
    voff, k, ioff, edges, top, at = f[F_V], f[F_N], f[F_I], f[F_EDGE], f[TOP], f[I_TOP]
    val = f[F_VAL] + i * k
    if at + f[N_EDGE] + 8 > VI.shape[0]:
        return NO_ROOM
    n = 0
    for x in range(f[N_EDGE]):
        a, b = VI[edges + 2 * x], VI[edges + 2 * x + 1]
        VI[at + n] = x
        n += 1 if (VF[val + a] > 0.0) != (VF[val + b] > 0.0) else 0
    if top + (d + 1) * n + 8 > VF.shape[0]:
        return NO_ROOM
    e0, e1 = VF[row + d + 2], VF[row + d + 3]
    for y in range(n):
        x = VI[at + y]
        a, b = VI[edges + 2 * x], VI[edges + 2 * x + 1]
        ta, tb = e0 + e1 * VF[voff + d * k + a], e0 + e1 * VF[voff + d * k + b]
        edge_point(net, VF, voff, k, d, a, b, VF[val + a], VF[val + b], ta, tb, top, n, y)
        VI[at + y] = VI[ioff + a] & VI[ioff + b]
    return n


@kernel
def segment(w, rows, f, own, early, keep, d):
    """The number of a segment's points on rows before its own; the segment and its facets are at f's tops."""
    VF, VI = w.VF, w.VI
    o, at = f[TOP], f[I_TOP] + 2
    members = f[MEMBERS] | (np.int64(1) << (own & 63) if own >= 0 else np.int64(0))
    sides = f[SIDES]
    ends = np.int64(0)  # sides of the crossing rows at the first end
    n_rows = f[N_ROW] if keep else early
    ts = o + 2 * (d + 1)
    es = ts + n_rows
    if es + n_rows + 8 > VF.shape[0] or at + n_rows + 8 > VI.shape[0]:
        return NO_ROOM
    n = 0
    n_early = 0
    margin = w.fl[0]
    for i in range(n_rows):
        j = VI[f[F_ROW] + i]
        if j == own:
            continue
        row = rows + (d + 4) * j
        va = VF[row + d]
        vb = va
        for t in range(d):
            va += VF[row + t] * VF[o + 2 * t]
            vb += VF[row + t] * VF[o + 2 * t + 1]
        ta = VF[row + d + 2] + VF[row + d + 3] * VF[o + 2 * d]
        tb = VF[row + d + 2] + VF[row + d + 3] * VF[o + 2 * d + 1]
        if abs(va) <= margin * ta or abs(vb) <= margin * tb:
            if abs(va) <= ta or abs(vb) <= tb:
                return DOUBT
            margin = min(abs(va) / ta if ta > 0.0 else margin, abs(vb) / tb if tb > 0.0 else margin)
        if (va > 0.0) == (vb > 0.0):
            if va > 0.0:
                sides |= np.int64(1) << (j & 63)
            continue
        s = abs(va) + abs(vb)
        VF[ts + n] = abs(va) / s
        VF[es + n] = 1.001 * (ta + tb) / (s - ta - tb) + 8 * U
        VI[at + n] = j
        if va > 0.0:
            ends |= np.int64(1) << (j & 63)
        n += 1
        n_early += 1 if i < early else 0
    for i in range(1, n):
        for j in range(i):
            gap, tol = abs(VF[ts + i] - VF[ts + j]), VF[es + i] + VF[es + j]
            if gap <= margin * tol:
                if gap <= tol:
                    return DOUBT
                margin = gap / tol
    w.fl[0] = margin
    if keep:
        book_segment(w, o, at, ts, n, n_early, sides, ends, members, VI[f[I_TOP]] & VI[f[I_TOP] + 1], d)
    return n_early


@kernel
def open_cell(net, w, rows, m, keep, top, itop):
    """The cell itself as the first flat; rows that cross it are moved to the front. Number of these rows."""
    R, VF, VI = w.R, w.VF, w.VI
    d = net.par[0]
    f = w.flats[0]
    k = R[K]
    f[F_V], f[F_N], f[F_I] = R[VOFF], k, R[IOFF]
    if top + m * k + 64 > VF.shape[0] or itop + 3 * m + 2 * k + 64 > VI.shape[0]:
        return NO_ROOM
    f[F_VAL] = top
    f[F_ROW] = itop
    units, fixed = itop + m, itop + 2 * m
    n = 0
    n_fixed = 0
    for i in range(m):
        row = rows + (d + 4) * i
        u = w.lists[R[LOFF] + 2 * i]
        side = side_of(w, row, f[F_V], k, d, top + n * k)
        if side == DOUBT:
            return DOUBT
        if side != MIXED:
            VI[fixed + n_fixed] = 2 * u + (1 if side == ABOVE else 0)
            n_fixed += 1
            continue
        if keep and (n == MOST or net.pat[u] < 0):
            return DOUBT
        for t in range(d + 4):
            VF[rows + (d + 4) * n + t] = VF[row + t]
        VI[units + n] = u
        VI[itop + n] = n
        n += 1
    VI[fixed + n_fixed] = -1
    f[N_ROW], f[N_EARLY], f[NEXT], f[MEMBERS], f[SIDES] = n, n, 0, 0, 0
    f[TOP], f[I_TOP] = top + n * k, itop + 3 * m + 1
    if d == 2:  # a vertex of a polygon lies on the edges after and before it
        if k > 62:
            return DOUBT
        at = f[I_TOP]
        for a in range(k):
            VI[at + a] = np.int64(1) << a | np.int64(1) << (a - 1 if a > 0 else k - 1)
        f[F_I] = at
        f[I_TOP] = at + k
    return n


@kernel
def open_flat(w, rows, level, parent, k, own, early, keep, d):
    """The section at the parent's tops as a flat; rows that cross it, their values. DOUBT, NO_ROOM, or 0."""
    VF, VI = w.VF, w.VI
    f = w.flats[level]
    f[F_V], f[F_N], f[F_I] = parent[TOP], k, parent[I_TOP]
    top, itop = parent[TOP] + (d + 1) * k, parent[I_TOP] + k
    n_rows = parent[N_ROW] if keep else early
    if top + n_rows * k + 64 > VF.shape[0] or itop + n_rows + 64 > VI.shape[0]:
        return NO_ROOM
    f[F_VAL], f[F_ROW] = top, itop
    sides = parent[SIDES]
    n = 0
    n_early = 0
    for i in range(n_rows):
        j = VI[parent[F_ROW] + i]
        if j == own:
            continue
        side = side_of(w, rows + (d + 4) * j, f[F_V], k, d, top + n * k)
        if side == DOUBT:
            return DOUBT
        if side == MIXED:
            VI[itop + n] = j
            n += 1
            n_early += 1 if i < early else 0
        elif side == ABOVE:
            sides |= np.int64(1) << (j & 63)
    f[N_ROW], f[N_EARLY], f[NEXT] = n, n_early, 0
    f[MEMBERS] = parent[MEMBERS] | (np.int64(1) << (own & 63))
    f[SIDES] = sides
    f[TOP], f[I_TOP] = top + n * k, itop + n
    return 0


@kernel
def add_edges(w, f, dim, simple):
    """List the edges of a flat that will be cut; False if there is no room."""
    n = list_edges(w.VI, f[F_I], f[F_N], dim, simple, f[I_TOP])
    if n < 0:
        return False
    f[F_EDGE], f[N_EDGE] = f[I_TOP], n
    f[I_TOP] += 2 * n
    return True


@kernel
def visit(net, w, rows, keep, simple):
    """All flats, depth first from the cell; their number, DOUBT or NO_ROOM."""
    d = net.par[0]
    flats = w.flats
    f = flats[0]
    total = 1
    if keep:
        book_flat(w, f, d)
    if f[N_EARLY] == 0:
        return total
    if not add_edges(w, f, d, simple):
        return NO_ROOM
    level = 0
    while level >= 0:
        f = flats[level]
        i = f[NEXT]
        if i == f[N_EARLY]:
            level -= 1
            continue
        f[NEXT] = i + 1
        own = w.VI[f[F_ROW] + i]
        k = section(net, w, f, i, rows + (d + 4) * own, d)
        if k < 0:
            return k
        dim = d - level - 1
        total += 1
        if dim == 1:
            n = segment(w, rows, f, own, i, keep, d)
            if n < 0:
                return n
            total += n
            continue
        code = open_flat(w, rows, level + 1, f, k, own, i, keep, d)
        if code < 0:
            return code
        g = flats[level + 1]
        if keep:
            book_flat(w, g, d)
        if g[N_EARLY]:
            if not add_edges(w, g, dim, simple):
                return NO_ROOM
            level += 1
    return total


@kernel
def visit_segment(net, w, rows, keep):
    """``visit`` in one dimension, where the cell is a segment."""
    f = w.flats[0]
    o = f[TOP]
    if o + 8 > w.VF.shape[0] or f[I_TOP] + 8 > w.VI.shape[0]:
        return NO_ROOM
    for t in range(4):
        w.VF[o + t] = w.VF[f[F_V] + t]
    for a in range(2):
        w.VI[f[I_TOP] + a] = w.VI[f[F_I] + a]
    n = segment(w, rows, f, -1, f[N_EARLY], keep, 1)
    return n if n < 0 else n + 1


@kernel
def arrange(net, w):
    """Number of cells that the listed bends make of the present cell, handed in if cells are wanted.

    Or DOUBT, NO_ROOM, FULL, without having done anything.
    """
    R = w.R
    d = net.par[0]
    keep, m, simple = R[KEEP] != 0, R[LLEN], 1 if d == 2 else R[SIMPLE]
    if m == 0:
        return DOUBT if keep else 1
    if (d != 2 and net.par[2] != 1) or R[K] > 4096 or (keep and (R[KEEP] != CELLS or simple == 0)):
        return DOUBT
    rows = R[VTOP]
    top = rows + (d + 4) * m
    if top + 64 > w.VF.shape[0]:
        return NO_ROOM
    if not store_rows(net, w, rows):
        return DOUBT
    n = open_cell(net, w, rows, m, keep, top, R[ITOP])
    if n < 0:
        return n
    if keep and n == 0:
        return DOUBT
    f = w.flats[0]
    book = w.flats[BOOK]
    book[B_CELLS] = 0
    if keep:
        most = most_cells(n, d)
        book[B_SUM], book[B_INFO] = f[TOP], f[I_TOP]
        f[TOP] += (d + 1) * most
        f[I_TOP] += 3 * most
        if f[TOP] + 64 > w.VF.shape[0] or f[I_TOP] + 64 > w.VI.shape[0]:
            return NO_ROOM
    total = visit_segment(net, w, rows, keep) if d == 1 else visit(net, w, rows, keep, simple)
    if R[COUNT] + total > R[MAXIT]:
        total = DOUBT
    if not keep:
        return total
    if total >= 0:
        total = list_cells(net, w, n)
    for c in range(book[B_CELLS]):
        w.number[w.VI[book[B_INFO] + 3 * c]] = -1
    return total
