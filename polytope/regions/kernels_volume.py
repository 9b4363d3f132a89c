r"""Compiled: exact volumes of cells from their vertices and incidences, by pulling triangulations.

From a vertex v of a face, the face is the union of the pyramids from v over its facets that do not hold v;
down to points, the pyramids are simplices, and each adds :math:`|\det| / d!`.
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
def simplex(V, corners):
    """The absolute determinant of the edges from the first corner."""
    d = V.shape[1]
    M = np.empty((d, d))
    for r in range(d):
        for t in range(d):
            M[r, t] = V[corners[r + 1], t] - V[corners[0], t]
    return abs(determinant(M))


@njit(cache=True, nogil=True)
def pulled(V, sets, face, W):
    """The sum of |det| over the simplices of a cell; the chain of faces is walked with an explicit stack.

    (Compiled functions that call themselves do not survive being cached.)
    """
    k, d = V.shape
    corners = np.zeros(d + 1, dtype=np.int64)
    slot = np.zeros(d + 1, dtype=np.int64)
    corners[0] = first_vertex(face, 0, k)
    total, level = 0.0, 0
    while level >= 0:
        s = slot[level]
        if level == d or s == sets.shape[0]:
            if level == d:
                total += simplex(V, corners)
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
        k, nf = V.shape[0], facet_offsets[c + 1] - facet_offsets[c]
        W = (k + 63) // 64
        sets = np.zeros((nf, W), dtype=np.uint64)
        face = np.zeros((d + 1, W), dtype=np.uint64)
        for i in range(k):
            bit = np.uint64(1) << np.uint64(i % 64)
            face[0, i // 64] |= bit
            for s in range(nf):
                if incidences[vertex_offsets[c] + i, s // 64] & (np.int64(1) << np.int64(s % 64)):
                    sets[s, i // 64] |= bit
        out[c] = pulled(V, sets, face, W) / scale
    return out
