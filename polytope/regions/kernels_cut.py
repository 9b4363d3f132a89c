r"""Compiled: cutting a cell, given by its vertices, with the zero set of an affine function.

In the plane a cell is a polygon in order, and every edge names its facet. In other dimensions each vertex
has a set of bits, one for each facet (slot) that it lies on; two vertices span an edge exactly if no third
one lies on all the facets that they share. A vertex carries a bound on its own error, proved from the rows
of its facets.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    IOFF,
    ITOP,
    SIMPLE,
    VOFF,
    VTOP,
    K,
    U,
)

POOR = 2.0**22 * U  # vertices whose bound exceeds this share of the domain are solved anew


@intrinsic
def popcount(typingctx, x):
    """Number of bits set in a 64-bit integer."""

    def generate(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), generate


@intrinsic
def trailing_zeros(typingctx, x):
    """Place of the lowest bit set."""

    def generate(context, builder, signature, args):
        from llvmlite import ir

        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@kernel
def polygon_vertex(net, w, edge, rec, x, y):
    """Bound on the error of the crossing (x, y) of two facets, from its residuals on both rows."""
    rf = w.rec_f
    l0, l1, g0, g1 = rf[edge, 0], rf[edge, 1], rf[rec, 0], rf[rec, 1]
    X, Y = net.xmax[0], net.xmax[1]
    pa, pb = l0 * g1, l1 * g0
    det = abs(pa - pb) - 4 * U * (abs(pa) + abs(pb))
    cap = 2.0 * max(X, Y)
    if det <= 0.0:
        return cap
    rl = abs(l0 * x + l1 * y + rf[edge, 2]) + rf[edge, 3]
    rl += 4 * U * (abs(l0) * X + abs(l1) * Y + abs(rf[edge, 2]))
    rg = abs(g0 * x + g1 * y + rf[rec, 2]) + rf[rec, 3]
    rg += 4 * U * (abs(g0) * X + abs(g1) * Y + abs(rf[rec, 2]))
    err = max(rl * abs(g1) + rg * abs(l1), rl * abs(g0) + rg * abs(l0)) / det * 1.0001
    return min(err + U * max(X, Y), cap)


@kernel
def cut_polygon(net, w, rec, child):
    """Both sides of a polygon along the zero set of ``v``; ``child`` gets (offset, n, ioff, simple)."""
    R, VF, VI, v = w.R, w.VF, w.VI, w.v
    k, voff, ioff = R[K], R[VOFF], R[IOFF]
    top, itop = R[VTOP], R[ITOP]
    for side in range(2):
        # planes are laid out for k + 1 vertices: a cut of a convex polygon adds at most one
        n = 0
        cap = k + 1
        o = top
        io = itop
        s = 1.0 if side == 0 else -1.0
        for a in range(k):
            b = a + 1 if a + 1 < k else 0
            va, vb = s * v[a], s * v[b]
            if va <= 0.0:
                VF[o + n] = VF[voff + a]
                VF[o + cap + n] = VF[voff + k + a]
                VF[o + 2 * cap + n] = VF[voff + 2 * k + a]
                VI[io + n] = rec if va == 0.0 and vb > 0.0 else VI[ioff + a]
                n += 1
            if (va < 0.0 and vb > 0.0) or (va > 0.0 and vb < 0.0):
                if side == 0:
                    q = va / (va - vb)
                    xa, ya = VF[voff + a], VF[voff + k + a]
                    x = xa + q * (VF[voff + b] - xa)
                    y = ya + q * (VF[voff + k + b] - ya)
                    err = polygon_vertex(net, w, VI[ioff + a], rec, x, y)
                    p = 0 if va < 0.0 else 3
                    w.sol[p] = x
                    w.sol[p + 1] = y
                    w.sol[p + 2] = err
                else:
                    p = 0 if va > 0.0 else 3
                VF[o + n] = w.sol[p]
                VF[o + cap + n] = w.sol[p + 1]
                VF[o + 2 * cap + n] = w.sol[p + 2]
                VI[io + n] = rec if va < 0.0 else VI[ioff + a]
                n += 1
        if n < cap:
            for t in range(1, 3):
                for a in range(n):
                    VF[o + t * n + a] = VF[o + t * cap + a]
        child[4 * side] = o
        child[4 * side + 1] = n
        child[4 * side + 2] = io
        child[4 * side + 3] = 1
        top = o + 3 * n
        itop = io + n
    child[8] = top
    child[9] = itop


@kernel
def solve_vertex(net, w, recs, m, p, d):
    """Refine a vertex from the rows of m >= d facets through it; returns a bound on its error."""
    # complete pivoting picks d independent rows; S is [d, 2 d + 1]: rows, then the inverse as it grows
    S = w.sol
    width = 2 * d + 1
    cap = 0.0
    for t in range(d):
        cap = max(cap, 2 * net.xmax[t])
    # rows scaled to unit size, Gram-Schmidt free: plain elimination with row pivoting over all m rows
    off = 64
    for i in range(m):
        f = recs[i]
        size = 0.0
        for t in range(d):
            size = max(size, abs(w.rec_f[f, t]))
        if size == 0.0:
            size = 1.0
        r = w.rec_f[f, d]
        mag = abs(r)
        for t in range(d):
            r += w.rec_f[f, t] * p[t]
            mag += abs(w.rec_f[f, t]) * net.xmax[t]
            S[off + i * width + t] = w.rec_f[f, t] / size
        S[off + i * width + d] = r / size
        S[i] = (abs(r) * 1.0001 + w.rec_f[f, d + 1] + (2 * d + 4) * U * mag) / size
        for t in range(d):
            S[off + i * width + d + 1 + t] = 0.0
    worst = 0.0
    for c in range(d):
        best, row, col = 0.0, -1, -1
        for i in range(c, m):
            for t in range(c, d):
                x = abs(S[off + i * width + t])
                if x > best:
                    best, row, col = x, i, t
        if best < 1e-9:
            return cap
        worst = max(worst, 1.0 / best)
        # bring the pivot to (c, c); columns of the unknowns are swapped, remembered in w.pairs
        for t in range(width):
            x = S[off + row * width + t]
            S[off + row * width + t] = S[off + c * width + t]
            S[off + c * width + t] = x
        x = S[row]
        S[row] = S[c]
        S[c] = x
        w.pairs[c] = col
        for i in range(m):
            x = S[off + i * width + col]
            S[off + i * width + col] = S[off + i * width + c]
            S[off + i * width + c] = x
        S[off + c * width + d + 1 + c] = 1.0
        piv = 1.0 / S[off + c * width + c]
        for t in range(width):
            S[off + c * width + t] *= piv
        for i in range(m):
            if i != c:
                f0 = S[off + i * width + c]
                if f0 != 0.0:
                    for t in range(width):
                        S[off + i * width + t] -= f0 * S[off + c * width + t]
    for c in range(d - 1, -1, -1):
        col = w.pairs[c]
        if col != c:
            for t in range(width):
                x = S[off + c * width + t]
                S[off + c * width + t] = S[off + col * width + t]
                S[off + col * width + t] = x
    err = 0.0
    big = 0.0
    for t in range(d):
        e = 0.0
        for i in range(d):
            c = abs(S[off + t * width + d + 1 + i])
            e += c * S[i]
            big = max(big, c)
        err = max(err, e)
    if big > 1e9:
        return cap
    return min(err * 1.01, cap)


@kernel
def edge_between(VI, ioff, k, a, b, nw, d, simple):
    """Whether vertices a and b of a cell span an edge."""
    n = 0
    for q in range(nw):
        n += popcount(VI[ioff + q * k + a] & VI[ioff + q * k + b])
    if n < d - 1:
        return False
    if simple:
        return True
    for c in range(k):
        if c in (a, b):
            continue
        inside = True
        for q in range(nw):
            com = VI[ioff + q * k + a] & VI[ioff + q * k + b]
            if com & VI[ioff + q * k + c] != com:
                inside = False
                break
        if inside:
            return False
    return True


@kernel
def find_pairs(w, VI, ioff, k, nw, d, simple, v, limit):
    """Edges from the negative to the positive side into ``pairs[64:]``; their number, or -1 if too many."""
    m = 0
    pairs = w.pairs
    npos = 0
    nneg = 0
    sg = w.sg
    for a in range(k):
        if v[a] > 0.0:
            sg[npos] = a
            npos += 1
    for a in range(k):
        if v[a] < 0.0:
            sg[npos + nneg] = a
            nneg += 1
    for x in range(npos):
        a = sg[x]
        if nw == 1:
            Ia = VI[ioff + a]
            for y in range(npos, npos + nneg):
                b = sg[y]
                if popcount(Ia & VI[ioff + b]) < d - 1:
                    continue
                if simple or edge_between(VI, ioff, k, a, b, nw, d, simple):
                    if m >= limit:
                        return -1
                    pairs[64 + 2 * m] = b
                    pairs[65 + 2 * m] = a
                    m += 1
        else:
            for y in range(npos, npos + nneg):
                b = sg[y]
                if edge_between(VI, ioff, k, a, b, nw, d, simple):
                    if m >= limit:
                        return -1
                    pairs[64 + 2 * m] = b
                    pairs[65 + 2 * m] = a
                    m += 1
    return m


@kernel
def edge_point(net, VF, voff, k, d, a, b, va, vb, ta, tb, o, cap, at):
    """The zero of v on the edge (a, b) into column ``at`` of the planes at o; its error bound last."""
    q = va / (va - vb)
    e = max(VF[voff + d * k + a], VF[voff + d * k + b])
    far = 0.0
    big = 0.0
    for t in range(d):
        x = VF[voff + t * k + a]
        dx = VF[voff + t * k + b] - x
        far = max(far, abs(dx))
        big = max(big, net.xmax[t])
        VF[o + t * cap + at] = x + q * dx
    tol = max(ta, tb) + 2 * U * (abs(va) + abs(vb))
    gap = abs(va) + abs(vb) - ta - tb
    bound = 2 * big
    if gap > 0.0:
        bound = min(bound, e + 1.001 * tol / gap * (far + 2 * e) + 4 * U * big)
    VF[o + d * cap + at] = bound
    return bound > POOR * big


@kernel
def cut_cell(net, w, rec, child, m):
    """Both sides of a cell along the zero set of ``v``, whose m crossing edges are in ``pairs``.

    ``child`` gets (offset, n, ioff, simple) twice, then the new tops; returns False if no slot is free.
    """
    R, VF, VI, v = w.R, w.VF, w.VI, w.v
    d, nw = net.par[0], net.par[2]
    k, voff, ioff, simple = R[K], R[VOFF], R[IOFF], R[SIMPLE]
    slots = ioff + nw * k
    slot = -1
    for q in range(nw):
        used = np.int64(0)
        for a in range(k):
            used |= VI[ioff + q * k + a]
        if used != -1:
            slot = 64 * q + trailing_zeros(~used)
            break
    if slot < 0:
        return False
    word, bit = slot // 64, np.int64(1) << np.int64(slot % 64)
    top, itop = R[VTOP], R[ITOP]
    low = 0
    zero = 0
    for a in range(k):
        if v[a] < 0.0:
            low += 1
        elif v[a] == 0.0:
            zero += 1
    counts0 = low + zero + m
    counts1 = (k - low - zero) + zero + m
    still = simple == 1 and zero == 0
    first = 0
    for side in range(2):
        n_all = counts0 if side == 0 else counts1
        o, io = top, itop
        n = 0
        for a in range(k):
            va = v[a] if side == 0 else -v[a]
            if va <= 0.0:
                for t in range(d + 1):
                    VF[o + t * n_all + n] = VF[voff + t * k + a]
                for q in range(nw):
                    VI[io + q * n_all + n] = VI[ioff + q * k + a]
                if va == 0.0:
                    VI[io + word * n_all + n] |= bit
                n += 1
        if side == 0:
            first = n
            for x in range(m):
                a, b = w.pairs[64 + 2 * x], w.pairs[65 + 2 * x]
                poor = edge_point(net, VF, voff, k, d, a, b, v[a], v[b], w.vt[a], w.vt[b], o, n_all, n)
                for q in range(nw):
                    VI[io + q * n_all + n] = VI[ioff + q * k + a] & VI[ioff + q * k + b]
                VI[io + word * n_all + n] |= bit
                if poor:
                    improve(net, w, o, n_all, n, io, slots, slot, rec)
                n += 1
        else:
            o0, io0 = child[0], child[2]
            for x in range(m):
                for t in range(d + 1):
                    VF[o + t * n_all + n] = VF[o0 + t * counts0 + first + x]
                for q in range(nw):
                    VI[io + q * n_all + n] = VI[io0 + q * counts0 + first + x]
                n += 1
        for s in range(64 * nw):
            VI[io + nw * n_all + s] = VI[slots + s]
        VI[io + nw * n_all + slot] = rec
        is_simple = still
        if not still:
            is_simple = True
            for a in range(n):
                c = 0
                for q in range(nw):
                    c += popcount(VI[io + q * n_all + a])
                if c != d:
                    is_simple = False
                    break
        child[4 * side] = o
        child[4 * side + 1] = n
        child[4 * side + 2] = io
        child[4 * side + 3] = 1 if is_simple else 0
        top = o + (d + 1) * n
        itop = io + nw * n + 64 * nw
    child[8] = top
    child[9] = itop
    return True


@kernel
def improve(net, w, o, cap, at, io, slots, slot, rec):
    """Replace the bound of a badly placed new vertex by one solved from the rows of its facets."""
    d, nw = net.par[0], net.par[2]
    m = 0
    for q in range(nw):
        bits = w.VI[io + q * cap + at]
        while bits != 0 and m < 24:
            s = 64 * q + trailing_zeros(bits)
            bits &= bits - 1
            w.req[m] = rec if s == slot else w.VI[slots + s]
            m += 1
    p = w.h
    for t in range(d):
        p[t] = w.VF[o + t * cap + at]
    err = solve_vertex(net, w, w.req, m, p, d)
    if err < w.VF[o + d * cap + at]:
        w.VF[o + d * cap + at] = err
