r"""Compiled: the cells around the vertices of an arrangement, gathered and handed in.

A vertex on the rows S lies on the :math:`2^{|S|}` cells around it, one for each choice of sides of these
rows. Visiting every vertex once gives all cells their facets and, as the mean of their vertices, an interior
point.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np

from polytope.regions.kernels_cut import popcount, trailing_zeros
from polytope.regions.kernels_emit import write_facet, write_pattern
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    EXN,
    HASH,
    IOFF,
    LLEN,
    OUTF,
    OUTN,
    OUTX,
    K,
    across,
)

DOUBT, NO_ROOM, FULL = -1, -2, -3

# a flat: its vertices (offset, number), their facets, its edges, the rows that cross it and how many of
# them come before its own, the next of these, the rows' values, its own rows and sides, what is free behind
F_V, F_N, F_I, F_EDGE, N_EDGE, F_ROW, N_ROW, N_EARLY, NEXT, F_VAL, MEMBERS, SIDES, TOP, I_TOP = range(14)
# the last flat's place holds what the list of cells is kept in
BOOK, B_SUM, B_INFO, B_CELLS = 15, 0, 1, 2


@kernel
def book_vertex(w, d, sides, members, facets):
    """Add the vertex in ``h`` to the cells around it: all choices of sides of the rows it lies on."""
    VF, VI, h, number = w.VF, w.VI, w.h, w.number
    book = w.flats[BOOK]
    sums, info = book[B_SUM], book[B_INFO]
    base = sides & ~members
    some = np.int64(0)
    while True:
        c = number[base | some]
        if c < 0:
            c = book[B_CELLS]
            book[B_CELLS] = c + 1
            number[base | some] = c
            VI[info + 3 * c] = base | some
            VI[info + 3 * c + 1] = 0
            VI[info + 3 * c + 2] = 0
            for t in range(d + 1):
                VF[sums + (d + 1) * c + t] = 0.0
        at = sums + (d + 1) * c
        for t in range(d):
            VF[at + t] += h[t]
        VF[at + d] += 1.0
        VI[info + 3 * c + 1] |= members
        VI[info + 3 * c + 2] |= facets
        if some == members:
            return
        some = (some - members) & members


@kernel
def book_flat(w, f, d):
    """Add all vertices of a flat to the cells around them."""
    VF, VI, h = w.VF, w.VI, w.h
    voff, k, ioff, rows, n = f[F_V], f[F_N], f[F_I], f[F_ROW], f[N_ROW]
    members = f[MEMBERS]
    for a in range(k):
        sides = f[SIDES]
        for i in range(n):
            if VF[f[F_VAL] + i * k + a] > 0.0:
                sides |= np.int64(1) << VI[rows + i]
        for t in range(d):
            h[t] = VF[voff + t * k + a]
        book_vertex(w, d, sides, members, VI[ioff + a])


@kernel
def book_segment(w, o, at, ts, n, n_early, sides, ends, members, facet, d):
    """Add a segment's ends, and its points on earlier rows, to the cells around them."""
    VF, VI, h = w.VF, w.VI, w.h
    crossing = np.int64(0)
    for i in range(n):
        crossing |= np.int64(1) << VI[at + i]
    for end in range(2):
        for t in range(d):
            h[t] = VF[o + 2 * t + end]
        book_vertex(w, d, sides | (ends if end == 0 else crossing & ~ends), members, w.VI[at - 2 + end])
    for i in range(n_early):
        x = VF[ts + i]
        there = sides
        for j in range(n):
            bit = np.int64(1) << VI[at + j]
            if ((ends & bit) != 0) == (VF[ts + j] > x):
                there |= bit
        for t in range(d):
            h[t] = VF[o + 2 * t] + x * (VF[o + 2 * t + 1] - VF[o + 2 * t])
        book_vertex(w, d, there, members | (np.int64(1) << VI[at + i]), facet)


@kernel
def most_cells(n, d):
    """The most cells that n hyperplanes make in d dimensions."""
    total = 1
    c = 1
    for i in range(min(n, d)):
        c = c * (n - i) // (i + 1)
        total += c
    return total


@kernel
def list_cells(net, w, n):
    """Hand in the cells of the list; their number, or DOUBT or FULL without having written any."""
    R, VI = w.R, w.VI
    d = net.par[0]
    book = w.flats[BOOK]
    info, cells = book[B_INFO], book[B_CELLS]
    n_facets = 0
    for c in range(cells):
        n_facets += popcount(VI[info + 3 * c + 1]) + popcount(VI[info + 3 * c + 2])
    if (
        R[OUTN] + cells + 1 >= w.o_fptr.shape[0]
        or R[OUTF] + n_facets > w.o_funit.shape[0]
        or R[OUTX] + R[EXN] * n_facets + 1 > w.o_ext.shape[0]
    ):
        return FULL if R[OUTN] else DOUBT
    base = R[HASH]
    units = w.flats[0][F_ROW] + R[LLEN]
    at = units + R[LLEN]
    code = base
    while VI[at] >= 0:
        u, s = VI[at] >> 1, VI[at] & 1
        p = net.pat[u]
        if p >= 0:
            code += w.codes[u] & -s
            w.lab[p] = net.label[net.tab[u] + s]
        at += 1
    records = R[IOFF] if d == 2 else R[IOFF] + R[K]
    nf, out = R[OUTF], R[OUTN]
    for c in range(cells):
        sides, bends, facets = VI[info + 3 * c], VI[info + 3 * c + 1], VI[info + 3 * c + 2]
        key = code
        for j in range(n):
            u, s = VI[units + j], (sides >> j) & 1
            key += w.codes[u] & -s
            w.lab[net.pat[u]] = net.label[net.tab[u] + s]
        write_pattern(net, w, out)
        while bends != 0:
            j = trailing_zeros(bends)
            bends &= bends - 1
            u = VI[units + j]
            w.o_funit[nf] = net.pat[u]
            w.o_fkey[nf] = np.uint64(key + across(u, 1 - ((sides >> j) & 1)))
            nf += 1
        R[HASH] = key
        while facets != 0:
            s = trailing_zeros(facets)
            facets &= facets - 1
            write_facet(net, w, VI[records + s], nf)
            nf += 1
        sums = book[B_SUM] + (d + 1) * c
        for t in range(d):
            w.o_point[out, t] = w.VF[sums + t] / w.VF[sums + d]
        out += 1
        w.o_fptr[out] = nf
    R[HASH] = base
    R[OUTF] = nf
    R[OUTN] = out
    return cells
