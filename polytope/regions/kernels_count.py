r"""Compiled: how many cells the bends of the last layer make of one cell, without making them.

Hyperplanes :math:`H_1, .., H_m` cut a convex cell P into
:math:`1 + \sum_i \#(P \cap H_i; H_1, .., H_{i-1})` cells (deletion and restriction), where the sum is over
those that cross P; down to segments, where the number is one more than that of distinct points. Only clear
signs are used: at the first doubtful one the answer is -1, and the search splits the cell instead.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_cut import edge_between, edge_point, polygon_vertex, popcount
from polytope.regions.kernels_decide import load_row
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    IOFF,
    ITOP,
    LLEN,
    LOFF,
    RECN,
    SIMPLE,
    VOFF,
    VTOP,
    K,
    U,
)

DOUBT, NO_ROOM = -1, -2


@kernel
def points_apart(ts, es, n):
    """Whether n numbers with error bounds are all clearly different."""
    for i in range(1, n):
        for j in range(i):
            if abs(ts[i] - ts[j]) <= es[i] + es[j]:
                return False
    return True


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
def count_polygon(net, w):
    """The number of cells that the listed lines make of a polygon."""
    R, VF = w.R, w.VF
    m = R[LLEN]
    if m == 0:
        return 1
    k, voff, ioff = R[K], R[VOFF], R[IOFF]
    rows = R[VTOP]
    ends = rows + 6 * m
    if ends + 6 * m + 2 * m + 64 > VF.shape[0]:
        return NO_ROOM
    if not store_rows(net, w, rows):
        return DOUBT
    rec = R[RECN]
    ts = VF[ends + 6 * m : ends + 7 * m]
    es = VF[ends + 7 * m : ends + 8 * m]
    v = w.v
    n_ch = 0
    total = 1
    for i in range(m):
        g0, g1, g2, e0, e1 = VF[rows], VF[rows + 1], VF[rows + 2], VF[rows + 4], VF[rows + 5]
        err = VF[rows + 3]
        rows += 6
        for a in range(k):
            x = g0 * VF[voff + a] + g1 * VF[voff + k + a] + g2
            if abs(x) <= e0 + e1 * VF[voff + 2 * k + a]:
                return DOUBT
            v[a] = x
        c = ends + 6 * n_ch
        n_end = 0
        for a in range(k):
            b = a + 1 if a + 1 < k else 0
            if (v[a] > 0.0) == (v[b] > 0.0):
                continue
            q = v[a] / (v[a] - v[b])
            if n_end == 0:
                w.rec_f[rec, 0] = g0
                w.rec_f[rec, 1] = g1
                w.rec_f[rec, 2] = g2
                w.rec_f[rec, 3] = err
            x = VF[voff + a] + q * (VF[voff + b] - VF[voff + a])
            y = VF[voff + k + a] + q * (VF[voff + k + b] - VF[voff + k + a])
            VF[c + 3 * n_end] = x
            VF[c + 3 * n_end + 1] = y
            if i > 0 or m > 1:
                VF[c + 3 * n_end + 2] = polygon_vertex(net, w, w.VI[ioff + a], rec, x, y)
            n_end += 1
        if n_end == 0:
            continue
        # earlier chords that cross this one: their rows have opposite signs at its ends
        n = 0
        for j in range(n_ch):
            r = R[VTOP] + 6 * w.req[j]
            f0, f1, f2, e0, e1 = VF[r], VF[r + 1], VF[r + 2], VF[r + 4], VF[r + 5]
            va = f0 * VF[c] + f1 * VF[c + 1] + f2
            vb = f0 * VF[c + 3] + f1 * VF[c + 4] + f2
            ta, tb = e0 + e1 * VF[c + 2], e0 + e1 * VF[c + 5]
            if abs(va) <= ta or abs(vb) <= tb:
                return DOUBT
            if (va > 0.0) != (vb > 0.0):
                s = abs(va) + abs(vb)
                ts[n] = abs(va) / s
                es[n] = 1.001 * (ta + tb) / (s - ta - tb) + 8 * U
                n += 1
        if n > 1 and not points_apart(ts, es, n):
            return DOUBT
        total += 1 + n
        w.req[n_ch] = i
        n_ch += 1
    return total


@kernel
def count_cell(net, w):
    """The number of cells that the listed hyperplanes make of a cell of any dimension."""
    R = w.R
    d, nw = net.par[0], net.par[2]
    m = R[LLEN]
    if m == 0:
        return 1
    k = R[K]
    if nw != 1 or k > 4096:
        return DOUBT
    rows = R[VTOP]
    if rows + (d + 4) * m + 64 > w.VF.shape[0] or R[ITOP] + m + 64 > w.VI.shape[0]:
        return NO_ROOM
    if not store_rows(net, w, rows):
        return DOUBT
    for i in range(m):
        w.VI[R[ITOP] + i] = i
    return count_flat(
        net, w, rows, R[VOFF], k, R[IOFF], R[SIMPLE], d, R[ITOP], m, rows + (d + 4) * m, R[ITOP] + m
    )


@kernel(fastmath={"contract"})
def values_at(VF, row, voff, k, d, to):
    """A stored row at the vertices: values from ``to``, bounds after them; 0 mixed, 1 one side, -1 doubt."""
    e0, e1 = VF[row + d + 2], VF[row + d + 3]
    v = VF[to : to + k]
    t = VF[to + k : to + 2 * k]
    x = VF[voff : voff + k]
    c, c0 = VF[row], VF[row + d]
    for i in range(k):
        v[i] = c0 + c * x[i]
    for q in range(1, d):
        x = VF[voff + q * k : voff + q * k + k]
        c = VF[row + q]
        for i in range(k):
            v[i] += c * x[i]
    x = VF[voff + d * k : voff + d * k + k]
    for i in range(k):
        t[i] = e0 + e1 * x[i]
    n = 0
    for i in range(k):
        if abs(v[i]) <= t[i]:
            return -1
        if v[i] > 0.0:
            n += 1
    return 0 if 0 < n < k else 1


@kernel
def section(net, VF, VI, voff, k, ioff, simple, d, dim, val, top, itop):
    """The section of a cell by the values at ``val``: planes at ``top``, bits at ``itop``; its size."""
    n = 0
    limit = VI.shape[0] - 8
    at = itop
    for a in range(k):
        if VF[val + a] <= 0.0:
            continue
        Ia = VI[ioff + a]
        for b in range(k):
            if VF[val + b] > 0.0 or popcount(Ia & VI[ioff + b]) < dim - 1:
                continue
            if simple == 1 or edge_between(VI, ioff, k, a, b, 1, dim, False):
                if at + 2 > limit:
                    return NO_ROOM
                VI[at] = a
                VI[at + 1] = b
                at += 2
                n += 1
    if top + (d + 1) * n + 8 > VF.shape[0]:
        return NO_ROOM
    for x in range(n):
        a, b = VI[itop + 2 * x], VI[itop + 2 * x + 1]
        edge_point(
            net, VF, voff, k, d, a, b, VF[val + a], VF[val + b], VF[val + k + a], VF[val + k + b], top, n, x
        )
        VI[itop + x] = VI[ioff + a] & VI[ioff + b]
    return n


@kernel
def count_flat(net, w, rows, voff, k, ioff, simple, dim, cand, m, top, itop):
    """Deletion and restriction in a flat of dimension ``dim``; candidates are the m entries from ``cand``."""
    VF, VI = w.VF, w.VI
    d = net.par[0]
    if dim == 1:
        if top + 2 * m + 8 > VF.shape[0]:
            return NO_ROOM
        n = 0
        for i in range(m):
            row = rows + (d + 4) * VI[cand + i]
            va, vb = VF[row + d], VF[row + d]
            for t in range(d):
                va += VF[row + t] * VF[voff + t * k]
                vb += VF[row + t] * VF[voff + t * k + 1]
            ta = VF[row + d + 2] + VF[row + d + 3] * VF[voff + d * k]
            tb = VF[row + d + 2] + VF[row + d + 3] * VF[voff + d * k + 1]
            if abs(va) <= ta or abs(vb) <= tb:
                return DOUBT
            if (va > 0.0) != (vb > 0.0):
                s = abs(va) + abs(vb)
                VF[top + n] = abs(va) / s
                VF[top + m + n] = 1.001 * (ta + tb) / (s - ta - tb) + 8 * U
                n += 1
        if n > 1 and not points_apart(VF[top : top + n], VF[top + m : top + m + n], n):
            return DOUBT
        return n + 1
    # values of the candidates that cross, 2 k numbers each
    if top + 2 * k * m + 64 > VF.shape[0] or itop + m + 64 > VI.shape[0]:
        return NO_ROOM
    n = 0
    for i in range(m):
        side = values_at(VF, rows + (d + 4) * VI[cand + i], voff, k, d, top + 2 * k * n)
        if side < 0:
            return DOUBT
        if side == 0:
            VI[itop + n] = VI[cand + i]
            n += 1
    if n <= 1:
        return n + 1
    total = 2
    new_top = top + 2 * k * n
    new_itop = itop + n
    for i in range(1, n):
        s = section(net, VF, VI, voff, k, ioff, simple, d, dim, top + 2 * k * i, new_top, new_itop)
        if s < 0:
            return s
        c = count_flat(
            net, w, rows, new_top, s, new_itop, simple, dim - 1, itop, i, new_top + (d + 1) * s, new_itop + s
        )
        if c < 0:
            return c
        total += c
    return total
