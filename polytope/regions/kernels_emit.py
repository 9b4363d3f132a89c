r"""Compiled: writing a finished cell into the output buffers, with a key for each facet.

A facet's key hashes the pattern together with the other piece of every unit that vanishes on the facet, and
of every unit that sits on a bend all over the cell. The sum is symmetric: both sides get the same key.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np

from polytope.regions.kernels_cut import trailing_zeros
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    EXN,
    HASH,
    IOFF,
    KEEP,
    OUTF,
    OUTN,
    OUTV,
    OUTX,
    SIMPLE,
    VOFF,
    K,
    across,
)

CELLS, POINTS, VERTICES = 1, 2, 4


@kernel
def write_pattern(net, w, at):
    """The labels of the units in row ``at`` of the output; eight to a byte if they are all 0 or 1."""
    out = w.o_pat[at]
    if net.par[7] == 0:
        for i in range(out.shape[0]):
            out[i] = w.lab[i]
        return
    for i in range(out.shape[0]):
        # label j of the eight is bit 8 j, and moves to bit 56 + j; nothing else comes there
        out[i] = np.int8((w.labs[i] * np.uint64(0x0102040810204080)) >> np.uint64(56))


@kernel
def write_facet(net, w, f, at):
    """Unit and key of facet record f into place ``at`` of the output."""
    R = w.R
    u = w.rec_i[f, 0]
    if u < 0:
        w.o_funit[at] = u
        w.o_fkey[at] = np.uint64(0)
        return
    key = R[HASH]
    s = w.seg[u]
    key += across(u, w.rec_i[f, 1] if s == w.rec_i[f, 2] else w.rec_i[f, 2])
    for e in range(R[EXN]):
        if w.ext[e, 0] == f:
            x = w.ext[e, 1]
            s = w.seg[x]
            key += across(x, w.ext[e, 2] if s == w.ext[e, 3] else w.ext[e, 3])
            w.o_ext[R[OUTX], 0] = at
            w.o_ext[R[OUTX], 1] = net.pat[x]
            R[OUTX] += 1
    w.o_funit[at] = net.pat[u]
    w.o_fkey[at] = np.uint64(key)


@kernel
def is_facet(VI, ioff, k, nw, s):
    """Whether the vertices with bit s are a facet: no other slot holds all of them."""
    word, bit = s // 64, np.int64(1) << np.int64(s % 64)
    for q in range(nw):
        com = np.int64(-1)
        for i in range(k):
            if VI[ioff + word * k + i] & bit:
                com &= VI[ioff + q * k + i]
        if q == word:
            com &= ~bit
        while com != 0:
            r = 64 * q + trailing_zeros(com)
            com &= com - 1
            # slot r holds all of s: s is a facet only if it is the first of two equal ones
            n_r = 0
            n_s = 0
            for i in range(k):
                if VI[ioff + q * k + i] & (np.int64(1) << np.int64(r % 64)):
                    n_r += 1
                if VI[ioff + word * k + i] & bit:
                    n_s += 1
            if n_r > n_s or r < s:
                return False
    return True


@kernel
def emit(net, w):
    """Append the present cell to the output buffers; False if one of them is full."""
    R = w.R
    d, nw = net.par[0], net.par[2]
    k, voff, ioff = R[K], R[VOFF], R[IOFF]
    n, nf = R[OUTN], R[OUTF]
    points, vertices = R[KEEP] & POINTS, R[KEEP] & VERTICES
    most = k if d == 2 else 64 * nw
    if (
        n + 1 >= w.o_fptr.shape[0]
        or nf + most > w.o_funit.shape[0]
        or R[OUTX] + R[EXN] * most + 1 > w.o_ext.shape[0]
        or (vertices and R[OUTV] + k > w.o_vert.shape[0])
    ):
        return False
    write_pattern(net, w, n)
    for t in range(d):
        x = 0.0
        for i in range(k):
            x += w.VF[voff + t * k + i]
        w.o_point[n, t] = x / k
    if d == 2:
        for i in range(k):
            write_facet(net, w, w.VI[ioff + i], nf)
            if points:
                b = i + 1 if i + 1 < k else 0
                w.o_fpoint[nf, 0] = 0.5 * (w.VF[voff + i] + w.VF[voff + b])
                w.o_fpoint[nf, 1] = 0.5 * (w.VF[voff + k + i] + w.VF[voff + k + b])
            if vertices:
                # the first two facets of a vertex are the edges after and before it
                w.o_inc[R[OUTV] + i, 0] = (np.int64(1) << np.int64(i % 64)) | (
                    np.int64(1) << np.int64((i + k - 1) % k % 64)
                )
            nf += 1
    else:
        nf = emit_facets(net, w, k, voff, ioff, nw, d, nf, points, vertices)
    if vertices:
        v = R[OUTV]
        for i in range(k):
            for t in range(d + 1):  # the coordinates, then the bound on their error
                w.o_vert[v + i, t] = w.VF[voff + t * k + i]
        R[OUTV] = v + k
        w.o_vptr[n + 1] = v + k
    R[OUTF] = nf
    w.o_fptr[n + 1] = nf
    R[OUTN] = n + 1
    return True


@kernel
def emit_facets(net, w, k, voff, ioff, nw, d, nf, points, vertices):
    """The facets of a cell that is not a polygon; returns the number of facets written so far."""
    VI = w.VI
    simple = w.R[SIMPLE] == 1
    if vertices:
        for i in range(k):
            for q in range(nw):
                w.o_inc[w.R[OUTV] + i, q] = 0
    ordinal = 0
    for q in range(nw):
        used = np.int64(0)
        for i in range(k):
            used |= VI[ioff + q * k + i]
        while used != 0:
            s = 64 * q + trailing_zeros(used)
            used &= used - 1
            if not simple and not is_facet(VI, ioff, k, nw, s):
                continue
            write_facet(net, w, VI[ioff + nw * k + s], nf)
            bit = np.int64(1) << np.int64(s % 64)
            if points:
                c = 0
                for t in range(d):
                    w.o_fpoint[nf, t] = 0.0
                for i in range(k):
                    if VI[ioff + q * k + i] & bit:
                        c += 1
                        for t in range(d):
                            w.o_fpoint[nf, t] += w.VF[voff + t * k + i]
                for t in range(d):
                    w.o_fpoint[nf, t] /= c
            if vertices:
                for i in range(k):
                    if VI[ioff + q * k + i] & bit:
                        w.o_inc[w.R[OUTV] + i, ordinal // 64] |= np.int64(1) << np.int64(ordinal % 64)
            ordinal += 1
            nf += 1
    return nf
