r"""Compiled: a dictionary of a bounded cell, moved from vertex to vertex by the primal simplex method.

Variables are the coordinates :math:`x_t` (numbers 0 .. d - 1) and the slacks :math:`s_i = -(a_i x + c_i)` of
the cell's m rows (numbers d ..), each between bounds ``lo`` and ``hi``. At a vertex d of them sit at a bound
(*nonbasic*), the other m are affine functions of those: ``T[k, i]`` is the derivative of basic variable i by
nonbasic variable k, ``beta[i]`` its value. Row m is the function to be maximised, and becomes a slack when
the cell is cut by it. Nothing here is proved: see ``kernels_lp_cell`` for certificates.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np

from polytope.regions.kernels_handle import kernel

OPTIMAL, REACHED, FAILED = 0, 1, 2
PIVOT = 1e-9  # smallest entry to pivot on, for rows of unit length
STEEP = 1e-11  # smallest derivative worth following
DANTZIG = 60  # steps by the steepest derivative before the least number decides, which cannot cycle
FAST = {"contract", "reassoc", "nsz"}


@kernel
def first_vertex(w, d):
    """The dictionary of the box without rows, at its lower corner."""
    for t in range(d):
        w.nonb[t] = t
        w.upper[t] = 0


@kernel(fastmath=FAST)
def load_objective(w, d, m, sign):
    """Write ``sign`` times the function in ``f`` into row m of the dictionary."""
    weight, beta = w.weight, w.beta
    value = sign * w.f[d]
    for i in range(m):
        v = w.basic[i]
        x = sign * w.f[v] if v < d else 0.0
        weight[i] = x
        value += x * beta[i]
    for k in range(d):
        v = w.nonb[k]
        col = w.T[k]
        c = 0.0
        if v < d:
            c = sign * w.f[v]
            value += c * (w.hi[v] if w.upper[k] else w.lo[v])
        for i in range(m):
            c += weight[i] * col[i]
        col[m] = c
    beta[m] = value


@kernel
def entering(w, d, m, least):
    """The nonbasic variable to move: the steepest, or the first by number; -1 at the optimum."""
    best, at = STEEP, -1
    for k in range(d):
        c = w.T[k, m]
        if w.upper[k]:
            c = -c
        if least:
            if c > STEEP and (at < 0 or w.nonb[k] < w.nonb[at]):
                at = k
        elif c > best:
            best, at = c, k
    return at


@kernel
def leaving(w, m, k, sigma, least):
    """The row that stops the step along column k first, and the step into ``fl[4]``; -1: the own bound."""
    v = w.nonb[k]
    step = w.hi[v] - w.lo[v]
    r = -1
    col, beta = w.T[k], w.beta
    size = 0.0
    for i in range(m):
        a = sigma * col[i]
        if abs(a) <= PIVOT:
            continue
        v = w.basic[i]
        room = beta[i] - w.lo[v] if a < 0.0 else w.hi[v] - beta[i]
        a = abs(a)
        t = room / a if room > 0.0 else 0.0
        if t < step or (t == step and r >= 0 and (w.basic[i] < w.basic[r] if least else a > size)):
            step, r, size = t, i, a
    w.fl[4] = step
    return r


@kernel(fastmath=FAST)
def pivot(w, d, m, k, r):
    """Exchange nonbasic variable k and basic variable r in all rows up to m."""
    col = w.T[k]
    inverse = 1.0 / col[r]
    for j in range(d):
        if j != k:
            other = w.T[j]
            q = other[r] * inverse
            if q != 0.0:
                for i in range(m + 1):
                    other[i] -= q * col[i]
            other[r] = -q
    for i in range(m + 1):
        col[i] *= inverse
    col[r] = inverse


@kernel(fastmath=FAST)
def maximise(w, d, m, target):
    """Raise the function in row m until it exceeds ``target`` or is greatest."""
    beta = w.beta
    for turn in range(DANTZIG + 40 * (d + m)):
        if beta[m] > target:
            return REACHED
        least = turn >= DANTZIG
        k = entering(w, d, m, least)
        if k < 0:
            return OPTIMAL
        sigma = -1.0 if w.upper[k] else 1.0
        r = leaving(w, m, k, sigma, least)
        step = w.fl[4]
        if step == np.inf:
            return FAILED
        w.stat[1] += 1
        col = w.T[k]
        move = sigma * step
        for i in range(m + 1):
            beta[i] += move * col[i]
        if r < 0:
            w.upper[k] = 1 - w.upper[k]
            continue
        v = w.nonb[k]
        start = w.hi[v] if w.upper[k] else w.lo[v]
        above = sigma * col[r] > 0.0
        pivot(w, d, m, k, r)
        w.nonb[k] = w.basic[r]
        w.upper[k] = 1 if above else 0
        w.basic[r] = v
        beta[r] = start + move
    return FAILED


@kernel
def extend(w, d, m):
    """Take row m into the dictionary as a slack; False if the simplex method finds no vertex."""
    if w.beta[m] < 0.0:
        maximise(w, d, m, 0.0)
    w.basic[m] = d + m
    return w.beta[m] >= 0.0


@kernel
def vertex(w, d, m, x):
    """The present vertex."""
    for k in range(d):
        v = w.nonb[k]
        if v < d:
            x[v] = w.hi[v] if w.upper[k] else w.lo[v]
    for i in range(m):
        v = w.basic[i]
        if v < d:
            x[v] = w.beta[i]
