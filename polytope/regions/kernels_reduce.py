r"""Compiled: how the undecided units of a cell depend on each other, all other units being eliminated.

On a cell, a unit that is fixed on a piece is affine, so the undecided rows are
:math:`z_v = c_v + \sum_u W_{uv} h_u` over the undecided units u of earlier layers alone. A column of W is the
sum over all paths through fixed units, found by a push through the network, with a bound on its error. Units
of one layer are pushed together, ``WIDE`` at a time: each weight is read once for all of them.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import LAYER, LIVE, NLEN, NOFF, U

WIDE = 16  # columns that are found together


@kernel
def undecided(net, w, units, ends):
    """All undecided units in the order of their layers, and where each layer's end; their number."""
    R = w.R
    n = 0
    for q in range(net.par[1]):
        if q == R[LAYER]:
            for i in range(R[NLEN]):
                units[n] = w.lists[R[NOFF] + 2 * i]
                n += 1
        elif q > R[LAYER]:
            at, m = w.lists[R[LIVE] + 2 * q], w.lists[R[LIVE] + 2 * q + 1]
            for i in range(m):
                units[n] = w.lists[at + i]
                n += 1
        ends[q] = n
    return n


@kernel
def undecided_columns(net, w, units, ends, D, wrong, weights, errors):
    """Fill ``weights[u, v]``, the coefficient of unit u in the row of unit v, and bounds on its error.

    ``D`` [rows of the network, WIDE] and ``wrong`` [rows], zero before and after, hold the values of WIDE
    columns and one bound on the errors of all of them.
    """
    last = net.par[1]
    for q in range(last):
        i = ends[q - 1] if q > 0 else 0
        while i < ends[q]:
            m = min(WIDE, ends[q] - i)
            for j in range(m):
                push_one(net, w, D, wrong, units[i + j], q, j)
            for p in range(q + 1, last):
                hand_on_block(net, w, D, wrong, p)
                for v in range(ends[p - 1], ends[p]):
                    r = net.src[units[v]]
                    row, x = D[r], wrong[r]
                    for j in range(m):
                        weights[i + j, v] = row[j]
                        errors[i + j, v] = x
                forget_block(net, w, D, wrong, p)
            i += m


@kernel
def push_one(net, w, D, wrong, u, layer, j):
    """Start column j of a block: the weights with which later layers read unit u."""
    first = net.unit_off[layer]
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        r0, r1 = net.pre_off[q], net.pre_off[q + 1]
        err = (net.gamma[q] + 4 * U) * 1.001 if net.gamma[q] > 0.0 else 0.0
        dense = net.rd_dense[e]
        at = net.rd_sparse[e] + u - first
        p0 = dense + (u - first) * (r1 - r0) if dense >= 0 else net.sp_ptr[at]
        p1 = p0 + r1 - r0 if dense >= 0 else net.sp_ptr[at + 1]
        for p in range(p0, p1):
            r = r0 + p - p0 if dense >= 0 else net.sp_idx[p]
            if w.need[r] == 0:
                continue
            c = net.dense[p] if dense >= 0 else net.sp_val[p]
            note_hit(net, w, q, r)
            D[r, j] += c
            wrong[r] += abs(c) * err


@kernel(inline="always")
def note_hit(net, w, q, r):
    """Remember that row r of layer q changes."""
    if w.hit[r] == 0:
        w.hit[r] = 1
        w.hits[net.pre_off[q] + w.n_hit[q]] = r
        w.n_hit[q] += 1


@kernel
def hand_on_block(net, w, D, wrong, q):
    """The rows of layer q that have changed go through the units that are fixed on them."""
    r0 = net.pre_off[q]
    for i in range(w.n_hit[q]):
        r = w.hits[r0 + i]
        for j in range(net.of_ptr[r], net.of_ptr[r + 1]):
            u = net.of_unit[j]
            if w.fix[u] == 1:
                slope = net.slope[net.tab[u] + w.seg[u]]
                if slope != 0.0:
                    push_block(net, w, D, wrong, u, q, r, slope)


@kernel(fastmath={"contract"})
def push_block(net, w, D, wrong, u, layer, source, slope):
    """Add ``slope`` times row ``source``, as read through unit u, to all rows that read it."""
    first = net.unit_off[layer]
    form = D[source]
    size = 0.0
    for j in range(WIDE):
        size = max(size, abs(form[j]))
    steep = abs(slope)
    own = 0.0 if steep == 1.0 else 2 * U
    h0, h1, h2, h3 = slope * form[0], slope * form[1], slope * form[2], slope * form[3]
    h4, h5, h6, h7 = slope * form[4], slope * form[5], slope * form[6], slope * form[7]
    g0, g1, g2, g3 = slope * form[8], slope * form[9], slope * form[10], slope * form[11]
    g4, g5, g6, g7 = slope * form[12], slope * form[13], slope * form[14], slope * form[15]
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        r0, r1 = net.pre_off[q], net.pre_off[q + 1]
        gam = (net.gamma[q] + 4 * U if net.gamma[q] > 0.0 else 0.0) + own
        err = (wrong[source] + gam * size) * steep * 1.001
        dense = net.rd_dense[e]
        at = net.rd_sparse[e] + u - first
        p0 = dense + (u - first) * (r1 - r0) if dense >= 0 else net.sp_ptr[at]
        p1 = p0 + r1 - r0 if dense >= 0 else net.sp_ptr[at + 1]
        for p in range(p0, p1):
            r = r0 + p - p0 if dense >= 0 else net.sp_idx[p]
            if w.need[r] == 0:
                continue
            c = net.dense[p] if dense >= 0 else net.sp_val[p]
            note_hit(net, w, q, r)
            row = D[r]
            x0, x1, x2, x3 = row[0] + c * h0, row[1] + c * h1, row[2] + c * h2, row[3] + c * h3
            x4, x5, x6, x7 = row[4] + c * h4, row[5] + c * h5, row[6] + c * h6, row[7] + c * h7
            y0, y1, y2, y3 = row[8] + c * g0, row[9] + c * g1, row[10] + c * g2, row[11] + c * g3
            y4, y5, y6, y7 = row[12] + c * g4, row[13] + c * g5, row[14] + c * g6, row[15] + c * g7
            row[0], row[1], row[2], row[3] = x0, x1, x2, x3
            row[4], row[5], row[6], row[7] = x4, x5, x6, x7
            row[8], row[9], row[10], row[11] = y0, y1, y2, y3
            row[12], row[13], row[14], row[15] = y4, y5, y6, y7
            wrong[r] += abs(c) * err


@kernel
def forget_block(net, w, D, wrong, q):
    """Clear the changes of the rows of layer q."""
    r0 = net.pre_off[q]
    for i in range(w.n_hit[q]):
        r = w.hits[r0 + i]
        w.hit[r] = 0
        wrong[r] = 0.0
        for j in range(WIDE):
            D[r, j] = 0.0
    w.n_hit[q] = 0
