r"""Compiled: which signs a function takes inside a cell of inequalities, and the cell's two parts.

A cell has rows :math:`r_i x + c_i \le 0` of unit length with error bounds, a *center*, proved to lie strictly
inside, known points that probably do, and a dictionary (``kernels_simplex``). That a function is negative all
over the cell is proved by multipliers: with :math:`y \ge 0` its greatest value is at most that of
:math:`f - \sum_i y_i r_i` on the domain's bounding box, plus all rounding errors. That it takes both signs is
proved by the centers of the two parts (``prepare``); ``examine`` only makes it probable.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_decide import NEGATIVE, POSITIVE, UNKNOWN, load_row, root_of
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import ASKED, MEMO, NREQ, QA, QB, QUNIT, RECN, SIMPLE, K, U
from polytope.regions.kernels_simplex import FAST, OPTIMAL, load_objective, maximise, vertex

# registers with another meaning here: points in the pool; what the cell has; the sign known when asking
POOL, STATE, KNOWN = K, SIMPLE, ASKED
CENTERED, SOLVABLE = 1, 2
# places in ``fl`` (2, 3: see kernels.retain; 4: kernels_simplex): f's error and size; the center's depth
F_ERROR, F_SIZE, RADIUS = 5, 6, 8
# what was decided how: ``stat`` (0 programs, 1 pivots)
PROGRAMS, BALL, POINTS, MULTIPLIERS, BARE, EXACT, CENTERS, UNCENTERED = 0, 2, 3, 4, 5, 6, 7, 8


@kernel
def load_function(net, w, a, b, brk):
    """A row of the network into ``f``, scaled to length 1; False if its gradient is zero in floats."""
    size = load_row(net, w, a, b, brk)
    d = net.par[0]
    g, f = w.g, w.f
    top = 0.0
    for t in range(d):
        top = max(top, abs(g[t]))
    if top == 0.0 or not top < 1e300:
        for t in range(d + 1):
            f[t] = 0.0
        w.fl[F_ERROR], w.fl[F_SIZE] = 1e300, 0.0  # proves nothing
        return False
    total = 0.0
    for t in range(d):
        x = g[t] / top
        total += x * x
    length = total**0.5
    for t in range(d + 1):
        f[t] = g[t] / top / length
    w.fl[F_SIZE] = size / top / length * 1.0001
    w.fl[F_ERROR] = g[d + 2] / top / length * 1.0001 + 8 * U * w.fl[F_SIZE]
    return True


@kernel(fastmath=FAST)
def inside(net, w, x):
    """How deep a point lies in the cell, all rounding errors counted; not positive: not proved inside."""
    d, m = net.par[0], w.R[RECN]
    least = 1e300
    for t in range(d):
        margin = 8 * U * net.xmax[t]
        least = min(least, min(x[t] - w.lo[t], w.hi[t] - x[t]) - margin)
    s = w.slack
    rows = w.rows
    for i in range(m):
        s[i] = rows[d, i] + rows[d + 1, i]
    for t in range(d):
        r, c = rows[t], x[t]
        for i in range(m):
            s[i] += r[i] * c
    for i in range(m):
        least = min(least, -s[i])
    return least


@kernel(fastmath=FAST)
def value_at(w, d, x):
    """The function in ``f`` at a point."""
    y = w.f[d]
    for t in range(d):
        y += w.f[t] * x[t]
    return y


@kernel(fastmath=FAST)
def pool_values(w, d, n):
    """The function in ``f`` at the known points, into ``pv``."""
    pv = w.pv
    for i in range(n):
        pv[i] = w.f[d]
    for t in range(d):
        p, c = w.pool[t], w.f[t]
        for i in range(n):
            pv[i] += c * p[i]


@kernel
def know(net, w, x):
    """Keep a point of the cell; the oldest ones make room."""
    R = w.R
    n = w.pool.shape[1]
    at = R[POOL]
    if at == n:
        at = w.oldest[0]
        w.oldest[0] = at + 1 if at + 1 < n else 0
    else:
        R[POOL] = at + 1
    for t in range(net.par[0]):
        w.pool[t, at] = min(max(x[t], w.lo[t]), w.hi[t])


@kernel(fastmath=FAST)
def proved_negative(net, w, m, sign):
    """Whether the dictionary's multipliers prove ``sign * f`` negative all over the cell."""
    d = net.par[0]
    y, rows = w.weight, w.rows
    for i in range(m):
        y[i] = 0.0
    error, size = w.fl[F_ERROR], w.fl[F_SIZE]
    for k in range(d):
        v = w.nonb[k]
        c = -w.T[k, m]
        if v >= d and c > 0.0:
            y[v - d] = c
            error += c * rows[d + 1, v - d]
            size += c * rows[d + 2, v - d]
    bound = sign * w.f[d]
    for i in range(m):
        bound -= y[i] * rows[d, i]
    for t in range(d):
        x = sign * w.f[t]
        r = rows[t]
        for i in range(m):
            x -= y[i] * r[i]
        bound += max(x * w.lo[t], x * w.hi[t])
        size += 8 * abs(x) * net.xmax[t]
    return bound + 1.0001 * error + (2 * d + m + 16) * U * size < 0.0


@kernel
def same_as_facet(net, w, a, b, brk):
    """Whether the row is, up to sign, one of the cell's."""
    if b == -2:
        return False
    ra, rb = root_of(net, w, a, b), root_of(net, w, b, b)
    for i in range(w.R[RECN]):
        x, y = w.rec_i[i, 3], w.rec_i[i, 4]
        if x == -2 or w.brks[i] != brk:
            continue
        if (x == ra and y == rb) or (brk == 0.0 and x == rb and y == ra):
            return True
    return False


@kernel
def ask(net, w, u, a, b, brk, both):
    """Ask exact arithmetic for the signs of a row on the cell (``both``: and for points in its two parts)."""
    R = w.R
    R[QA], R[QB], R[QUNIT], R[NREQ] = a, b, u, both
    w.fl[1] = brk
    w.stat[EXACT] += 1
    R[KNOWN] = center_sign(net, w)
    return UNKNOWN


@kernel
def center_sign(net, w):
    """The sign that the center proves the function in ``f`` to take, or 0."""
    if w.R[STATE] & CENTERED:
        x = value_at(w, net.par[0], w.center)
        if x > w.fl[F_ERROR]:
            return POSITIVE
        if x < -w.fl[F_ERROR]:
            return NEGATIVE
    return 0


@kernel
def examine(net, w, u, a, b, brk):
    """The signs that a row takes inside the cell: one that is missing is proved to be."""
    R, fl = w.R, w.fl
    fl[3] = 1e8
    if R[MEMO] > 0:
        out = R[MEMO] - 1
        R[MEMO] = 0
        return out
    d = net.par[0]
    ra, rb = root_of(net, w, a, b), root_of(net, w, b, b)
    if b != -2 and ra == rb and brk == 0.0:
        return 0
    if not load_function(net, w, a, b, brk):
        if w.g[d] > w.g[d + 2]:
            return POSITIVE
        return NEGATIVE if w.g[d] < -w.g[d + 2] else ask(net, w, u, a, b, brk, 0)
    out = 0
    error = fl[F_ERROR]
    if R[STATE] & CENTERED:
        x = value_at(w, d, w.center)
        fl[3] = abs(x)
        if x > error:
            out = POSITIVE
        elif x < -error:
            out = NEGATIVE
        if fl[RADIUS] > abs(x) + 4 * error:
            w.stat[BALL] += 1
            return NEGATIVE | POSITIVE
        pool_values(w, d, R[POOL])
        for i in range(R[POOL]):
            x = w.pv[i]
            if x > error:
                out |= POSITIVE
            elif x < -error:
                out |= NEGATIVE
        if out == NEGATIVE | POSITIVE:
            w.stat[POINTS] += 1
            return out
    if R[STATE] & SOLVABLE:
        return solve(net, w, u, a, b, brk, out)
    return doubt(net, w, u, a, b, brk)


@kernel
def solve(net, w, u, a, b, brk, out):
    """Look for the missing signs by linear programs."""
    R = w.R
    d, m = net.par[0], w.R[RECN]
    error = w.fl[F_ERROR]
    for side in range(2):
        bit, sign = (POSITIVE, 1.0) if side == 0 else (NEGATIVE, -1.0)
        if out & bit:
            continue
        before = w.stat[1]
        load_objective(w, d, m, sign)
        code = maximise(w, d, m, w.fl[9] * error)
        if w.stat[1] > before:
            w.stat[PROGRAMS] += 1
        if w.beta[m] > 2 * error:
            vertex(w, d, m, w.x)
            know(net, w, w.x)
            out |= bit
        elif code == OPTIMAL and proved_negative(net, w, m, sign):
            w.stat[MULTIPLIERS if w.stat[1] > before else BARE] += 1
        else:
            return doubt(net, w, u, a, b, brk)
    if R[STATE] & CENTERED == 0 and out == NEGATIVE | POSITIVE:
        return ask(net, w, u, a, b, brk, 0)
    return out


@kernel
def doubt(net, w, u, a, b, brk):
    """What floats cannot tell: a row of the cell has one sign, the center's; else ask."""
    sign = center_sign(net, w)
    return sign if sign and same_as_facet(net, w, a, b, brk) else ask(net, w, u, a, b, brk, 0)
