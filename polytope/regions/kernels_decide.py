r"""Compiled: on which side of its bends a unit lies on a cell, decided by proved signs at the vertices.

A sign counts as known only if the value exceeds a bound on its error (of the affine map, of the vertex, of
this very evaluation), if the unit's row is that of a facet the vertex lies on, or if the answer comes from
exact arithmetic.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np

from polytope.regions.kernels_cut import trailing_zeros
from polytope.regions.kernels_exact import exact_value, store_exact
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    ASKED,
    BEST,
    EXN,
    HASH,
    IOFF,
    KEEP,
    LAYER,
    LLEN,
    LO,
    LOFF,
    LTOP,
    MEMO,
    NEXACT,
    NLEN,
    NOFF,
    NPUSH,
    NREQ,
    OPP,
    POS,
    PU,
    QA,
    QB,
    QUNIT,
    VOFF,
    K,
    U,
    across,
    mix,
    push_many,
    root,
)

NEGATIVE, POSITIVE, UNKNOWN = 1, 2, 4


@kernel
def load_row(net, w, a, b, brk):
    """The row z_a - z_b (b >= 0), z_a - brk (b = -1) or domain row a (b = -2) into ``g``."""
    d = net.par[0]
    g = w.g
    size = 0.0
    grad = 0.0
    if b == -2:
        for t in range(d + 1):
            g[t] = net.dom[a, t]
        g[d + 1] = 0.0
        for t in range(d):
            size += abs(g[t]) * net.xmax[t]
            grad += abs(g[t])
        size += abs(g[d])
    else:
        Z = w.Z
        if b < 0:
            for t in range(d):
                x = Z[t, a]
                g[t] = x
                size += abs(x) * net.xmax[t]
                grad += abs(x)
            g[d] = Z[d, a] - brk
            size += abs(g[d])
            g[d + 1] = Z[d + 1, a]
            if brk != 0.0:
                g[d + 1] += 2 * U * size
        else:
            for t in range(d):
                g[t] = Z[t, a] - Z[t, b]
                size += abs(g[t]) * net.xmax[t]
                grad += abs(g[t])
            g[d] = Z[d, a] - Z[d, b]
            size += abs(g[d])
            g[d + 1] = Z[d + 1, a] + Z[d + 1, b] + 2 * U * size
    # error of an evaluation: the row's own, and rounding
    g[d + 2] = (g[d + 1] + (d + 4) * U * size) * 1.0001
    g[d + 3] = grad * 1.0001
    return size


@kernel
def structural_zero(net, w, a, ra, rb, brk, d, nw):
    """Whether vertex a lies on a facet whose row is the row being decided, or on two that add up to it."""
    R = w.R
    k, ioff = R[K], R[IOFF]
    if d == 2:
        f0, f1 = w.VI[ioff + a], w.VI[ioff + (a - 1 if a > 0 else k - 1)]
        if same_row(w, f0, ra, rb, brk, d) or same_row(w, f1, ra, rb, brk, d):
            return True
        if brk != 0.0:
            return False
        m0, m1 = linked(w, f0, ra, d), linked(w, f1, ra, d)
        return (m0 != -2 and same_row(w, f1, m0, rb, 0.0, d)) or (
            m1 != -2 and same_row(w, f0, m1, rb, 0.0, d)
        )
    if on_row(net, w, a, ra, rb, brk, d, nw):
        return True
    if brk != 0.0:
        return False
    for q in range(nw):
        bits = w.VI[ioff + q * k + a]
        while bits != 0:
            s = 64 * q + trailing_zeros(bits)
            bits &= bits - 1
            m = linked(w, w.VI[ioff + nw * k + s], ra, d)
            if m != -2 and on_row(net, w, a, m, rb, 0.0, d, nw):
                return True
    return False


@kernel
def on_row(net, w, a, ra, rb, brk, d, nw):
    """Whether one of the facets through vertex a has the row (ra, rb, brk)."""
    R = w.R
    k, ioff = R[K], R[IOFF]
    for q in range(nw):
        bits = w.VI[ioff + q * k + a]
        while bits != 0:
            s = 64 * q + trailing_zeros(bits)
            bits &= bits - 1
            if same_row(w, w.VI[ioff + nw * k + s], ra, rb, brk, d):
                return True
    return False


@kernel
def linked(w, f, r, d):
    """The function (-1: zero) that r equals on facet f, or -2."""
    x, y = w.rec_i[f, 3], w.rec_i[f, 4]
    if x == -2 or w.rec_f[f, d + 2] != 0.0:
        return -2
    if x == r:
        return y
    return x if y == r else -2


@kernel
def same_row(w, f, ra, rb, brk, d):
    """Whether facet f has the row (ra, rb, brk), up to sign."""
    x, y = w.rec_i[f, 3], w.rec_i[f, 4]
    if x == -2 or w.rec_f[f, d + 2] != brk:
        return False
    return (x == ra and y == rb) or (brk == 0.0 and x == rb and y == ra)


@kernel(fastmath={"contract"})
def evaluate(net, w, u, a, b, brk):
    """Signs of a row at the cell's vertices: values in ``v``, bounds in ``vt``; the kinds of signs met."""
    R = w.R
    d, nw = net.par[0], net.par[2]
    k, voff = R[K], R[VOFF]
    size = load_row(net, w, a, b, brk)
    g, v, vt = w.g, w.v, w.vt
    out = 0
    if size == 0.0 and g[d + 1] == 0.0:
        for i in range(k):
            v[i] = 0.0
            vt[i] = 0.0
        return 0
    if d == 2:
        g0, g1, g2, e0, e1 = g[0], g[1], g[2], g[4], g[5]
        for i in range(k):
            v[i] = g0 * w.VF[voff + i] + g1 * w.VF[voff + k + i] + g2
            vt[i] = e0 + e1 * w.VF[voff + 2 * k + i]
    else:
        x = w.VF[voff : voff + k]
        c = g[0]
        for i in range(k):
            v[i] = g[d] + c * x[i]
        for t in range(1, d):
            x = w.VF[voff + t * k : voff + t * k + k]
            c = g[t]
            for i in range(k):
                v[i] += c * x[i]
        x = w.VF[voff + d * k : voff + d * k + k]
        e0, e1 = g[d + 2], g[d + 3]
        for i in range(k):
            vt[i] = e0 + e1 * x[i]
    doubt = False
    lo, hi = 0.0, 0.0
    R[ASKED] = 0
    margin = w.fl[0]
    for i in range(k):
        y = v[i]
        x = abs(y)
        lo, hi = min(lo, y), max(hi, y)
        if x < margin * vt[i]:
            if x <= vt[i]:
                doubt = True
            else:
                margin = x / vt[i]
    if hi > 0.0:
        out |= POSITIVE
    if lo < 0.0:
        out |= NEGATIVE
    w.fl[0] = margin
    w.fl[3] = abs(hi + lo) / (hi - lo) if hi > lo else 1.0
    if not doubt:
        return out
    return resolve(net, w, u, a, b, brk, k, d, nw)


@kernel
def root_of(net, w, r, b):
    """The name of a member of a row: -2 for rows of the domain, -1 for zero, else what r is a copy of."""
    if b == -2:
        return -2
    return root(net, w, r) if r >= 0 else -1


@kernel
def resolve(net, w, u, a, b, brk, k, d, nw):
    """Signs within their bounds: from equal rows, or from the answers in ``memo``; else ask for them."""
    R, v, vt = w.R, w.v, w.vt
    R[ASKED] = 1
    ra, rb = root_of(net, w, a, b), root_of(net, w, b, b)
    n = 0
    zero_row = b != -2 and ra == rb and brk == 0.0
    given = d == 2 and R[MEMO] == 0 and b != -2 and store_exact(net, w.sol, 0, ra, rb, brk)
    for i in range(k):
        if abs(v[i]) <= vt[i]:
            if zero_row or (b != -2 and structural_zero(net, w, i, ra, rb, brk, d, nw)):
                v[i] = 0.0
            elif R[MEMO] == 1:
                v[i] = w.memo[i]
                vt[i] = 4 * U * abs(v[i])
            else:
                known = False
                if given:
                    known, x = exact_value(net, w, w.VI[R[IOFF] + i], w.VI[R[IOFF] + (i - 1 if i else k - 1)])
                if known:
                    v[i] = w.memo[i] = x
                    vt[i] = 4 * U * abs(x)
                    R[NEXACT] += 1
                else:
                    w.req[n] = i
                    n += 1
    if n:
        R[NREQ] = n
        R[QA] = a
        R[QB] = b
        R[QUNIT] = u
        w.fl[1] = brk
        return UNKNOWN
    R[MEMO] = 0
    out = 0
    for i in range(k):
        if v[i] > 0.0:
            out |= POSITIVE
        elif v[i] < 0.0:
            out |= NEGATIVE
    return out


@kernel
def touched_facet(net, w):
    """The facet on which ``v`` vanishes, or -1: it vanishes on a face, whose vertices must be a facet's."""
    R, v = w.R, w.v
    d, nw = net.par[0], net.par[2]
    k, ioff = R[K], R[IOFF]
    n = 0
    last = -1
    for i in range(k):
        if v[i] == 0.0:
            n += 1
            last = i
    if n < d:
        return -1
    if d == 2:
        for i in range(k):
            if v[i] == 0.0 and v[i + 1 if i + 1 < k else 0] == 0.0:
                return w.VI[ioff + i]
        return -1
    for q in range(nw):
        com = w.VI[ioff + q * k + last]
        for i in range(k):
            if v[i] == 0.0:
                com &= w.VI[ioff + q * k + i]
        while com != 0:
            s = trailing_zeros(com)
            bit = np.int64(1) << np.int64(s)
            com &= com - 1
            c = 0
            for i in range(k):
                if w.VI[ioff + q * k + i] & bit:
                    c += 1
            if c == n:
                return w.VI[ioff + nw * k + 64 * q + s]
    return -1


@kernel
def note_touch(net, w, u, pa, pb):
    """Remember that unit u's bend between two pieces contains a facet of the cell."""
    R = w.R
    if R[KEEP] == 0:
        return
    f = touched_facet(net, w)
    if f >= 0 and w.rec_i[f, 0] >= 0:
        e = R[EXN]
        w.ext[e, 0] = f
        w.ext[e, 1] = u
        w.ext[e, 2] = pa
        w.ext[e, 3] = pb
        R[EXN] = e + 1


@kernel
def decide(net, w, u, s):
    """Unit u is on piece s from here on."""
    w.seg[u] = s
    if w.R[KEEP]:
        p = net.pat[u]
        if p >= 0:
            if s:
                w.R[HASH] += mix(u, s)
            w.lab[p] = net.label[net.tab[u] + s] if net.kind[u] == 0 else s


@kernel
def cell_box(net, w):
    """Middle and half widths of the cell's bounding box, vertex errors included."""
    R = w.R
    d = net.par[0]
    k, voff = R[K], R[VOFF]
    err = 0.0
    for i in range(k):
        err = max(err, w.VF[voff + d * k + i])
    for t in range(d):
        lo = w.VF[voff + t * k]
        hi = lo
        for i in range(1, k):
            x = w.VF[voff + t * k + i]
            lo = min(lo, x)
            hi = max(hi, x)
        w.box[0, t] = 0.5 * (lo + hi)
        w.box[1, t] = 0.5 * (hi - lo) * 1.0001 + err + 4 * U * net.xmax[t]


@kernel(fastmath={"contract"})
def bound_layer(net, w, layer):
    """For every pre-activation: its value at the box's middle, and how far it can be off on the cell."""
    d = net.par[0]
    r0, r1 = net.pre_off[layer], net.pre_off[layer + 1]
    n = r1 - r0
    val, rad = w.val[:n], w.rad[:n]
    z = w.Z[d, r0:r1]
    e = w.Z[d + 1, r0:r1]
    u = (d + 4) * U
    for r in range(n):
        val[r] = z[r]
        rad[r] = 1.0001 * e[r] + u * abs(z[r])
    for t in range(d):
        z = w.Z[t, r0:r1]
        c = w.box[0, t]
        hw = w.box[1, t] + u * net.xmax[t]
        for r in range(n):
            val[r] += z[r] * c
            rad[r] += abs(z[r]) * hw


@kernel
def clear_sides(net, w, a, b, brk):
    """Signs of a row at the vertices, doubtful ones as UNKNOWN; asks nobody."""
    R = w.R
    d = net.par[0]
    k, voff = R[K], R[VOFF]
    load_row(net, w, a, b, brk)
    g = w.g
    out = 0
    for i in range(k):
        x = g[d]
        for t in range(d):
            x += g[t] * w.VF[voff + t * k + i]
        tol = g[d + 2] + g[d + 3] * w.VF[voff + d * k + i]
        if x > tol:
            out |= POSITIVE
        elif x < -tol:
            out |= NEGATIVE
        else:
            out |= UNKNOWN
        if out != POSITIVE and out != NEGATIVE:
            return out
    return out


@kernel
def group_winner(net, w, u):
    """The member of a max group that clearly wins on the cell, or -1."""
    net.par[0]
    m0, n = net.tab[u], net.n_seg[u]
    base = net.pre_off[w.R[LAYER]]
    best = 0
    for i in range(1, n):
        if w.val[net.mem[m0 + i] - base] > w.val[net.mem[m0 + best] - base]:
            best = i
    a = net.mem[m0 + best]
    for i in range(n):
        b = net.mem[m0 + i]
        if i == best:
            continue
        if root(net, w, a) == root(net, w, b):
            if i < best:
                return -1
            continue
        gap = w.val[a - base] - w.val[b - base]
        if gap > w.rad[a - base] + w.rad[b - base]:
            continue
        if clear_sides(net, w, a, b, 0.0) != POSITIVE:
            return -1
    if w.R[KEEP]:
        for i in range(n):
            if i != best and root(net, w, a) == root(net, w, net.mem[m0 + i]):
                w.R[HASH] += across(u, i)
    return best


@kernel
def pack(lo, hi, p):
    """An item of a list: the pieces a unit can be on, and the breakpoint that crosses the cell."""
    return lo | (hi << 20) | (p << 40)


@kernel
def start_list(w):
    """Begin the list of those units of a node that stay undecided on it."""
    R = w.R
    R[NOFF] = R[LTOP]
    R[NLEN] = 0
    R[BEST] = -1
    R[NPUSH] = 0
    w.fl[2] = 1e308


@kernel
def enter_plain(net, w, layer, at):
    """``enter`` for a layer of units with one bend at one place; returns how many are listed and pushed."""
    R = w.R
    u0, u1 = net.unit_off[layer], net.unit_off[layer + 1]
    base = net.pre_off[layer]
    tab = net.tab[u0]
    brk = net.brk[tab]
    low, high = net.label[tab], net.label[tab + 1]
    pat0 = net.pat[u0]
    off = net.slope[tab] == 0.0 and net.icept[tab] == 0.0
    keep = R[KEEP] != 0
    silent = not keep and layer + 1 == net.par[1]
    n = u1 - u0
    val, rad, seg, pl, lab = w.val[:n], w.rad[:n], w.seg[u0:u1], w.pl, w.lab[pat0 : pat0 + n]
    lists = w.lists[at : at + 2 * n]
    n_unclear, n_list, n_push = 0, 0, 0
    for j in range(n):  # loops without branches: which way a unit goes is as good as random
        lists[2 * n_unclear] = j
        n_unclear += 0 if abs(val[j] - brk) > rad[j] else 1
    if not silent:
        for j in range(n):
            on = val[j] - brk > rad[j]
            seg[j] = 1 if on else 0
            lab[j] = high if on else low
            pl[n_push] = u0 + j
            n_push += 1 if on or (not off and val[j] - brk < -rad[j]) else 0
    code = np.int64(0)
    if keep:
        codes = w.codes[u0:u1]
        for j in range(n):
            code += codes[j] & -seg[j]
    for i in range(n_unclear):
        j = lists[2 * i]
        sides = clear_sides(net, w, base + j, -1, brk)
        if sides != POSITIVE and sides != NEGATIVE:
            lists[2 * n_list] = u0 + j
            lists[2 * n_list + 1] = pack(0, 1, 0)
            n_list += 1
            continue
        s = 1 if sides == POSITIVE else 0
        seg[j] = s
        lab[j] = high if s == 1 else low
        pl[n_push] = u0 + j
        n_push += 1 if (s == 1 or not off) else 0
        code += w.codes[u0 + j] & -s if keep else 0
    R[HASH] += code
    return n_list, n_push


@kernel
def enter(net, w):
    """Decide the units of the layer that are clear on the cell; list the others; update later layers."""
    R = w.R
    layer = R[LAYER]
    u0, u1 = net.unit_off[layer], net.unit_off[layer + 1]
    base = net.pre_off[layer]
    R[LOFF] = R[LTOP]
    R[POS] = 0
    R[LO] = -1
    R[OPP] = -1
    R[PU] = -1
    n_list = 0
    n_push = 0
    at = R[LOFF]
    if layer > 0:
        cell_box(net, w)
        bound_layer(net, w, layer)
    first = u0
    if layer > 0 and net.plain[layer] == 1:
        n_list, n_push = enter_plain(net, w, layer, at)
        first = u1
    for u in range(first, u1):
        s = -1
        kind = net.kind[u]
        if kind == 0:
            n = net.n_seg[u]
            if n == 1:
                s = 0
            else:
                a = net.src[u]
                x, rx = w.val[a - base], w.rad[a - base]
                tab = net.tab[u]
                s = 0
                while s < n - 1:
                    t = x - net.brk[tab + s]
                    if t > rx:
                        s += 1
                        continue
                    if t >= -rx:
                        sides = clear_sides(net, w, a, -1, net.brk[tab + s])
                        if sides == POSITIVE:
                            s += 1
                            continue
                        if sides != NEGATIVE:
                            s = -1
                    break
        elif kind == 1:
            s = group_winner(net, w, u)
        if s >= 0:
            decide(net, w, u, s)
            w.pl[n_push] = u
            n_push += 1
        else:
            w.lists[at + 2 * n_list] = u
            w.lists[at + 2 * n_list + 1] = pack(0, net.n_seg[u] - 1, 0)
            n_list += 1
    R[LLEN] = n_list
    R[LTOP] = at + 2 * n_list
    start_list(w)
    push_many(net, w, n_push, layer)
