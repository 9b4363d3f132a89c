r"""Compiled: volumes of cells and of their facets from vertices and incidences, by pulling triangulations.

From a vertex v of a face, the face is the union of the pyramids from v over its facets that do not hold v;
down to points, the pyramids are simplices, and each adds :math:`|\det| / d!`, or, to a facet, the product of
the lengths of its edges made orthogonal, over :math:`(d - 1)!`.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return"

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def polygon_area(V):
    """Half the sum of cross products around the first corner; corners in order."""
    total = 0.0
    for i in range(1, V.shape[0] - 1):
        a0, a1 = V[i, 0] - V[0, 0], V[i, 1] - V[0, 1]
        b0, b1 = V[i + 1, 0] - V[0, 0], V[i + 1, 1] - V[0, 1]
        total += a0 * b1 - a1 * b0
    return abs(total) / 2


@njit(cache=True, nogil=True)
def determinant(M):
    """By elimination with row exchanges; destroys M."""
    d = M.shape[0]
    value = 1.0
    for c in range(d):
        p = c
        for r in range(c + 1, d):
            if abs(M[r, c]) > abs(M[p, c]):
                p = r
        if M[p, c] == 0.0:
            return 0.0
        if p != c:
            for t in range(d):
                M[c, t], M[p, t] = M[p, t], M[c, t]
            value = -value
        value *= M[c, c]
        for r in range(c + 1, d):
            f = M[r, c] / M[c, c]
            for t in range(c, d):
                M[r, t] -= f * M[c, t]
    return value


@njit(cache=True, nogil=True)
def is_facet_of(face, sets, s, level, W):
    """Whether slot s cuts a facet from the face: not all of it, and in no other slot's larger part."""
    for r in range(sets.shape[0]):
        if r == s:
            continue
        inside, equal, whole = True, True, True
        for q in range(W):
            mine, theirs = face[level, q] & sets[s, q], face[level, q] & sets[r, q]
            if mine & ~theirs:
                inside = False
            if mine != theirs:
                equal = False
            if theirs != face[level, q]:
                whole = False
        if inside and not whole and (not equal or r < s):
            return False
    return True


@njit(cache=True, nogil=True)
def first_vertex(face, level, k):
    """The first vertex of the face at a level."""
    for i in range(k):
        if face[level, i // 64] & (np.uint64(1) << np.uint64(i % 64)):
            return i
    return 0


@njit(cache=True, nogil=True)
def content(M):
    """The product of the lengths of rows, each made orthogonal to the longer ones; destroys M."""
    m, d = M.shape
    value = 1.0
    for c in range(m):
        p, longest = c, -1.0
        for r in range(c, m):
            length = 0.0
            for t in range(d):
                length = np.hypot(length, M[r, t])
            if length > longest:
                p, longest = r, length
        if longest == 0.0:
            return 0.0
        value *= longest
        for t in range(d):
            M[c, t], M[p, t] = M[p, t], M[c, t]
            M[c, t] /= longest
        for r in range(c + 1, m):
            along = 0.0
            for t in range(d):
                along += M[r, t] * M[c, t]
            for t in range(d):
                M[r, t] -= along * M[c, t]
    return value


@njit(cache=True, nogil=True)
def simplex(V, corners, dim):
    """The product of ``dim!`` and the volume of the simplex with so many edges from the first corner."""
    d = V.shape[1]
    M = np.empty((dim, d))
    for r in range(dim):
        for t in range(d):
            M[r, t] = V[corners[r + 1], t] - V[corners[0], t]
    return abs(determinant(M)) if dim == d else content(M)


@njit(cache=True, nogil=True)
def pulled(V, sets, face, W, dim):
    """``dim!`` times the volume of the face at level 0; the chain of its faces is walked with a stack.

    (Compiled functions that call themselves do not survive being cached.)
    """
    k = V.shape[0]
    corners = np.zeros(dim + 1, dtype=np.int64)
    slot = np.zeros(dim + 1, dtype=np.int64)
    corners[0] = first_vertex(face, 0, k)
    total, level = 0.0, 0
    while level >= 0:
        s = slot[level]
        if level == dim or s == sets.shape[0]:
            if level == dim:
                total += simplex(V, corners, dim)
            level -= 1
            continue
        slot[level] += 1
        apex = corners[level]
        if sets[s, apex // 64] & (np.uint64(1) << np.uint64(apex % 64)):
            continue
        some = False
        for q in range(W):
            face[level + 1, q] = face[level, q] & sets[s, q]
            some = some or face[level + 1, q] != 0
        if some and is_facet_of(face, sets, s, level, W):
            level += 1
            slot[level] = 0
            corners[level] = first_vertex(face, level, k)
    return total


@njit(cache=True, nogil=True)
def vertex_sets(incidences, nf):
    """The vertices on each facet of a cell as bit sets, ``[nf, W]``, and all of them."""
    k = incidences.shape[0]
    W = (k + 63) // 64
    sets = np.zeros((nf, W), dtype=np.uint64)
    every = np.zeros(W, dtype=np.uint64)
    for i in range(k):
        bit = np.uint64(1) << np.uint64(i % 64)
        every[i // 64] |= bit
        for s in range(nf):
            if incidences[i, s // 64] & (np.int64(1) << np.int64(s % 64)):
                sets[s, i // 64] |= bit
    return sets, every


@njit(cache=True, nogil=True)
def volumes(vertex_offsets, vertices, incidences, facet_offsets):
    """The volume of every cell, ``[R]``."""
    n, d = vertex_offsets.shape[0] - 1, vertices.shape[1]
    out = np.empty(n)
    scale = 1.0
    for t in range(2, d + 1):
        scale *= t
    for c in range(n):
        V = vertices[vertex_offsets[c] : vertex_offsets[c + 1]]
        if d == 2:
            out[c] = polygon_area(V)
            continue
        own = incidences[vertex_offsets[c] : vertex_offsets[c + 1]]
        sets, every = vertex_sets(own, facet_offsets[c + 1] - facet_offsets[c])
        W = len(every)
        face = np.zeros((d + 1, W), dtype=np.uint64)
        face[0] = every
        out[c] = pulled(V, sets, face, W, d) / scale
    return out


@njit(cache=True, nogil=True)
def facet_volumes(vertex_offsets, vertices, incidences, facet_offsets, wanted):
    """The (d-1)-volume of every facet that is wanted, ``[F]``; 0 for others."""
    n, d = vertex_offsets.shape[0] - 1, vertices.shape[1]
    out = np.zeros(facet_offsets[n])
    scale = 1.0
    for t in range(2, d):
        scale *= t
    for c in range(n):
        first, nf = facet_offsets[c], facet_offsets[c + 1] - facet_offsets[c]
        if not wanted[first : first + nf].any():
            continue
        V = vertices[vertex_offsets[c] : vertex_offsets[c + 1]]
        sets, every = vertex_sets(incidences[vertex_offsets[c] : vertex_offsets[c + 1]], nf)
        W = len(every)
        face = np.zeros((d + 1, W), dtype=np.uint64)
        for f in range(nf):
            if wanted[first + f]:
                face[0] = sets[f]
                out[first + f] = pulled(V, sets, face, W, d - 1) / scale
    return out
