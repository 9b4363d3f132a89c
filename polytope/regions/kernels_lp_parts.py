r"""Compiled: the two parts of a cell of inequalities, each with a center that is proved to lie inside.

A cell that is cut by f is split into :math:`f < 0` (side 0) and :math:`f > 0` (side 1). Centers of the parts
are looked for between the cell's center and the mean of the known points on that side.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_decide import root_of
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import RECN
from polytope.regions.kernels_lp_cell import (
    CENTERED,
    CENTERS,
    F_ERROR,
    F_SIZE,
    POOL,
    RADIUS,
    SOLVABLE,
    STATE,
    UNCENTERED,
    inside,
    know,
    pool_values,
    value_at,
)
from polytope.regions.kernels_simplex import FAST, extend, first_vertex, load_objective, maximise, vertex

RADII = 10  # radii of the two parts in ``fl``: this place and the next
SHARES = 4  # points tried on the way to the mean


@kernel(fastmath=FAST)
def mean_beyond(w, d, n, sign):
    """The mean of the known points where ``sign * f`` is positive, into ``x``; False if there are none."""
    pv, weight = w.pv, w.pw
    error = w.fl[F_ERROR]
    count = 0.0
    for i in range(n):
        weight[i] = 1.0 if sign * pv[i] > error else 0.0
        count += weight[i]
    if count == 0.0:
        return False
    for t in range(d):
        p = w.pool[t]
        x = 0.0
        for i in range(n):
            x += weight[i] * p[i]
        w.x[t] = x / count
    return True


@kernel(fastmath=FAST)
def depth_on_way(w, d, m, share):
    """How deep the point lies that is the share of the way from the center to ``x``, roughly."""
    least = 1e300
    s0, s1 = w.slack, w.slack1
    for t in range(d):
        y = w.center[t] + share * (w.x[t] - w.center[t])
        least = min(least, min(y - w.lo[t], w.hi[t] - y))
    for i in range(m):
        least = min(least, -(s0[i] + share * (s1[i] - s0[i])))
    return least


@kernel(fastmath=FAST)
def slacks(w, d, m, x, s):
    """The rows at a point."""
    rows = w.rows
    for i in range(m):
        s[i] = rows[d, i]
    for t in range(d):
        r, c = rows[t], x[t]
        for i in range(m):
            s[i] += r[i] * c


@kernel
def center_of(net, w, side, at_center):
    """A center for one part into ``two[side]``, from the center and ``x``; how deep it lies, proved."""
    d, m = net.par[0], w.R[RECN]
    sign = 1.0 if side else -1.0
    f0, f1 = sign * at_center, sign * value_at(w, d, w.x)
    slacks(w, d, m, w.center, w.slack)
    slacks(w, d, m, w.x, w.slack1)
    first = -f0 / (f1 - f0) if f0 < 0.0 and f1 > f0 else 0.0
    best, at = -1e300, 0.0
    for i in range(SHARES + 1):
        share = first + (1.0 - first) * i / SHARES
        depth = min(depth_on_way(w, d, m, share), f0 + share * (f1 - f0))
        if depth > best:
            best, at = depth, share
    two = w.two[side]
    for t in range(d):
        two[t] = w.center[t] + at * (w.x[t] - w.center[t])
    return proved_depth(net, w, side)


@kernel
def proved_depth(net, w, side):
    """How deep ``two[side]`` lies in its part, proved; not positive: not proved inside."""
    sign = 1.0 if side else -1.0
    two = w.two[side]
    depth = min(inside(net, w, two), sign * value_at(w, net.par[0], two) - w.fl[F_ERROR])
    w.fl[RADII + side] = depth
    return depth


@kernel
def aim(net, w, side, at_center):
    """A point in one part into ``x``: the mean of known points, one of the ball, a vertex; or none."""
    R = w.R
    d, m = net.par[0], R[RECN]
    sign = 1.0 if side else -1.0
    if mean_beyond(w, d, R[POOL], sign):
        return True
    radius = w.fl[RADIUS]
    if radius > abs(at_center):
        for t in range(d):
            w.x[t] = w.center[t] + sign * w.f[t] * 0.5 * (radius + abs(at_center))
        return True
    if R[STATE] & SOLVABLE == 0:
        return False
    load_objective(w, d, m, sign)
    maximise(w, d, m, 1e300)
    vertex(w, d, m, w.x)
    know(net, w, w.x)
    return w.beta[m] > w.fl[F_ERROR]


@kernel
def prepare(net, w):
    """Centers of the two parts; True if both are proved inside: the function in ``f`` takes both signs."""
    d = net.par[0]
    w.fl[RADII], w.fl[RADII + 1] = -1.0, -1.0
    if w.R[STATE] & CENTERED == 0:
        return False
    at_center = value_at(w, d, w.center)
    pool_values(w, d, w.R[POOL])
    for side in range(2):
        if aim(net, w, side, at_center):
            center_of(net, w, side, at_center)
        elif (at_center > 0.0) == (side == 1):
            for t in range(d):
                w.two[side, t] = w.center[t]
            proved_depth(net, w, side)
        if not w.fl[RADII + side] > 0.0:
            return False
    w.stat[CENTERS] += 1
    return True


@kernel
def take_answer(net, w):
    """The points that exact arithmetic gave as centers of the two parts, and whether floats prove them."""
    for side in range(2):
        for t in range(net.par[0]):
            w.two[side, t] = w.deep[side, t]
        proved_depth(net, w, side)


@kernel
def add_row(net, w, u, a, b, brk, side):
    """The record of the facet that one part has on f."""
    d, m = net.par[0], w.R[RECN]
    sign = -1.0 if side else 1.0
    for t in range(d + 1):
        w.rows[t, m] = sign * w.f[t]
    w.rows[d + 1, m] = w.fl[F_ERROR]
    w.rows[d + 2, m] = w.fl[F_SIZE]
    w.brks[m] = brk
    w.rec_i[m, 0] = u if b != -2 else -net.n_seg[u] - 1
    w.rec_i[m, 1] = -1 if side else 1
    w.rec_i[m, 3] = root_of(net, w, a, b)
    w.rec_i[m, 4] = root_of(net, w, b, b)
    w.rec_i[m, 5] = a
    w.rec_i[m, 6] = b


@kernel
def rebuild(net, w):
    """The dictionary made again from the rows, without the rounding errors of many pivots."""
    d = net.par[0]
    first_vertex(w, d)
    for i in range(w.R[RECN]):
        for t in range(d + 1):
            w.f[t] = w.rows[t, i]
        load_objective(w, d, i, -1.0)
        if not extend(w, d, i):
            return False
    return True


@kernel
def follow(net, w, side):
    """Known points of the part: for those beyond f, where the way from its center to them leaves it."""
    R = w.R
    d, n = net.par[0], R[POOL]
    sign = -1.0 if side else 1.0
    pool_values(w, d, n)
    inner = sign * value_at(w, d, w.center)
    for i in range(n):
        y = sign * w.pv[i]
        if y < 0.0 or not inner < 0.0:
            continue
        share = inner / (inner - y)
        for t in range(d):
            w.pool[t, i] = w.center[t] + share * (w.pool[t, i] - w.center[t])


@kernel
def take_part(net, w, u, a, b, brk, side):
    """Make one part the present cell; its center is in ``two``, perhaps not proved to lie inside."""
    R = w.R
    d, m = net.par[0], R[RECN]
    add_row(net, w, u, a, b, brk, side)
    w.fl[RADIUS] = w.fl[RADII + side]
    for t in range(d):
        w.center[t] = w.two[side, t]
    if w.fl[RADIUS] > 0.0:
        R[STATE] |= CENTERED
        follow(net, w, side)
    else:
        w.stat[UNCENTERED] += 1
        R[STATE] &= ~CENTERED
        R[POOL] = 0
    R[RECN] = m + 1
    if R[STATE] & SOLVABLE:
        load_objective(w, d, m, 1.0 if side else -1.0)
        if not extend(w, d, m) and not rebuild(net, w):
            R[STATE] &= ~SOLVABLE
