r"""Compiled: units of later layers decided long before their turn, for networks too wide to visit per cell.

On a cell, the undecided units of the present layer are enclosed between parallel affine functions,
:math:`h_u \in \lambda z_u + \mu \pm \rho`, and the enclosures go forward through all later layers. A unit
whose enclosure lies off its bends stays on its piece on every cell below: it is *fixed*. Fixed units that are
zero need no more updates of their row, the others hand every change of their row on at once, so that the flip
of one unit costs its cone through the units that are not zero, and entering a layer costs the units that are
still free.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_decide import (
    NEGATIVE,
    POSITIVE,
    cell_box,
    clear_sides,
    decide,
    group_winner,
    pack,
    start_list,
)
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    DEPTH,
    FIX,
    FIX_ROWS,
    HASH,
    KEEP,
    LAYER,
    LIVE,
    LLEN,
    LO,
    LOFF,
    LTOP,
    NLEN,
    NOFF,
    OPP,
    POS,
    PU,
    SINCE,
    TI,
    VOFF,
    K,
    U,
    across,
    log_row,
    rows_needed,
    unit_affine,
)

PERIOD = 3  # splits between two looks ahead


@kernel
def push_column(net, w, u, layer, h):
    """Add the column of unit u times the form ``h`` (error, size last) to the changes of all its readers."""
    d = net.par[0]
    first = net.unit_off[layer]
    D, need, hit = w.DZ, w.need, w.hit
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        r0 = net.pre_off[q]
        n = net.pre_off[q + 1] - r0
        gam = net.gamma[q] + 4 * U if net.gamma[q] > 0.0 else 0.0
        err = (h[d + 1] + gam * h[d + 2]) * (1.001 if net.gamma[q] > 0.0 else 1.0)
        wrong = (h[d + 1] + h[d + 2]) * 1.001
        dense = net.rd_dense[e]
        if dense >= 0:
            p0, p1 = dense + (u - first) * n, dense + (u - first + 1) * n
        else:
            at = net.rd_sparse[e] + u - first
            p0, p1 = net.sp_ptr[at], net.sp_ptr[at + 1]
        m = w.n_hit[q]
        for p in range(p0, p1):
            r = r0 + p - p0 if dense >= 0 else net.sp_idx[p]
            if need[r] == 0:
                continue
            c = net.dense[p] if dense >= 0 else net.sp_val[p]
            if hit[r] == 0:
                hit[r] = 1
                w.hits[r0 + m] = r
                m += 1
            if d == 2:
                D[r, 0] += c * h[0]
                D[r, 1] += c * h[1]
                D[r, 2] += c * h[2]
                D[r, 3] += abs(c) * err
            else:
                for t in range(d + 1):
                    D[r, t] += c * h[t]
                D[r, d + 1] += abs(c) * err
            if net.par[6] == 1:
                D[r, d + 1] += net.dense_error[p] * wrong
        w.n_hit[q] = m


@kernel
def change_of(net, w, u, r, h):
    """The change of fixed unit u that comes from the change of row r into ``h``; False if there is none."""
    d = net.par[0]
    at = net.tab[u] + w.seg[u]
    slope = 1.0
    if net.kind[u] == 0:
        slope = net.slope[at]
        if slope == 0.0:
            return False
    elif net.mem[at] != r:
        return False
    size = 0.0
    for t in range(d):
        h[t] = slope * w.DZ[r, t]
        size += abs(h[t]) * net.xmax[t]
    h[d] = slope * w.DZ[r, d]
    h[d + 1] = abs(slope) * w.DZ[r, d + 1]
    h[d + 2] = size + abs(h[d])
    if abs(slope) != 1.0:
        h[d + 1] = h[d + 1] * (1 + 4 * U) + 4 * U * h[d + 2]
    return h[d + 2] != 0.0 or h[d + 1] != 0.0


@kernel
def hand_on(net, w, q):
    """Changes of the rows of layer q go through those fixed units that were fixed before."""
    r0 = net.pre_off[q]
    for i in range(w.n_hit[q]):
        r = w.hits[r0 + i]
        for j in range(net.of_ptr[r], net.of_ptr[r + 1]):
            u = net.of_unit[j]
            if w.fix[u] == 1 and change_of(net, w, u, r, w.ha):
                push_column(net, w, u, q, w.ha)


@kernel
def forget(net, w, q):
    """Clear the changes of the rows of layer q."""
    r0 = net.pre_off[q]
    for i in range(w.n_hit[q]):
        r = w.hits[r0 + i]
        w.hit[r] = 0
        for t in range(net.par[0] + 2):
            w.DZ[r, t] = 0.0
    w.n_hit[q] = 0


@kernel
def apply(net, w, r):
    """Add the change of row r to the row, with the rounding of this very sum to its error."""
    d = net.par[0]
    log_row(w, r, d)
    Z, D = w.Z, w.DZ
    old, size = Z[d + 1, r], 0.0
    for t in range(d + 1):
        old += abs(Z[t, r])
        x = Z[t, r] + D[r, t]
        Z[t, r] = x
        size += abs(x) * net.xmax[t] if t < d else abs(x)
    if old == 0.0:
        Z[d + 1, r] = D[r, d + 1]
    else:
        Z[d + 1, r] = (Z[d + 1, r] + D[r, d + 1]) * (1 + 4 * U) + 1.01 * U * size


@kernel
def propagate(net, w, layer):
    """Add the units that were just fixed, from a layer on, to all rows that depend on them."""
    for q in range(layer, net.par[1]):
        r0 = net.pre_off[q]
        for i in range(w.n_hit[q]):
            r = w.hits[r0 + i]
            if w.need[r] != 0:
                apply(net, w, r)
        hand_on(net, w, q)
        u0 = net.unit_off[q]
        for i in range(w.n_fresh[q]):
            u = w.fresh[u0 + i]
            w.fix[u] = 1
            if unit_affine(net, w, u, w.seg[u], w.ha):
                push_column(net, w, u, q, w.ha)
        w.n_fresh[q] = 0
        forget(net, w, q)


@kernel
def log_fix(w, code):
    """Remember on the trail that a unit was fixed."""
    R = w.R
    if R[DEPTH] > 0:
        w.ti[R[TI]] = code
        R[TI] += 2


@kernel
def push_early(net, w, n_units, layer):
    """Hand the units in ``pl``, all of one layer, on to all rows that depend on them."""
    u0 = net.unit_off[layer]
    for i in range(n_units):
        u = w.pl[i]
        w.fresh[u0 + i] = u
        w.fix[u] = 2
        log_fix(w, FIX + u)
    w.n_fresh[layer] = n_units
    propagate(net, w, layer)


@kernel
def form_of(net, w, r, h):
    """Row r with all that is yet to come into ``h``: coefficients, constant, radius, size."""
    d = net.par[0]
    size = 0.0
    for t in range(d + 1):
        x = w.Z[t, r] + w.DZ[r, t]
        h[t] = x
        size += abs(x) * net.xmax[t] if t < d else abs(x)
    h[d + 1] = (w.Z[d + 1, r] + w.DZ[r, d + 1]) * 1.0001 + 2 * U * size
    h[d + 2] = size


@kernel
def span_of(net, w, h, out):
    """Smallest and largest value of a form on the present cell, radius and errors included, into ``out``."""
    R = w.R
    d = net.par[0]
    k, voff = R[K], R[VOFF]
    lo, hi, err, grad = 0.0, 0.0, 0.0, 0.0
    for t in range(d):
        grad += abs(h[t])
    for i in range(k):
        x = h[d]
        for t in range(d):
            x += h[t] * w.VF[voff + t * k + i]
        err = max(err, w.VF[voff + d * k + i])
        lo = x if i == 0 else min(lo, x)
        hi = x if i == 0 else max(hi, x)
    tol = (h[d + 1] + grad * err + (d + 6) * U * h[d + 2]) * 1.0001
    out[0] = lo - tol
    out[1] = hi + tol


@kernel
def name_of(net, w, r):
    """As ``root``, as far as the units that r copies are fixed."""
    r = net.same[r]
    while net.alias[r] >= 0:
        u = net.alias[r]
        if w.fix[u] == 0:
            return r
        at = net.tab[u] + w.seg[u]
        if net.kind[u] != 0:
            r = net.same[net.mem[at]]
            continue
        if net.icept[at] != 0.0 or net.slope[at] not in (0.0, 1.0):
            return r
        if net.slope[at] == 0.0:
            return -1
        r = net.same[net.src[u]]
    return r


@kernel
def enclose_pieces(net, w, u, h):
    """The piece that unit u is on all over the cell, or -1 and two parallel functions around it in ``h``."""
    d = net.par[0]
    form_of(net, w, net.src[u], h)
    span_of(net, w, h, w.two)
    lo, hi = w.two[0], w.two[1]
    at, n = net.tab[u], net.n_seg[u]
    s = 0
    while s < n - 1 and lo > net.brk[at + s]:
        s += 1
    if s == n - 1 or hi < net.brk[at + s]:
        return s
    f0 = net.slope[at + s] * lo + net.icept[at + s]
    e = s
    while e < n - 1 and hi > net.brk[at + e]:
        e += 1
    f1 = net.slope[at + e] * hi + net.icept[at + e]
    lam = (f1 - f0) / (hi - lo) if hi > lo else 0.0
    low, high = min(f0 - lam * lo, f1 - lam * hi), max(f0 - lam * lo, f1 - lam * hi)
    for p in range(s, e):
        x = net.brk[at + p]
        for side in range(2):
            y = net.slope[at + p + side] * x + net.icept[at + p + side] - lam * x
            low, high = min(low, y), max(high, y)
    size = 0.0
    for t in range(d + 1):
        h[t] *= lam
        size += abs(h[t]) * net.xmax[t] if t < d else abs(h[t])
    mid = 0.5 * (low + high)
    h[d] += mid
    h[d + 2] = size + abs(mid)
    h[d + 1] = abs(lam) * h[d + 1] * 1.0001 + 0.5001 * (high - low) + 1e-13 * (abs(f0) + abs(f1) + h[d + 2])
    return -1


@kernel
def middle_value(net, w, r):
    """The enclosure of row r at the middle of the cell's box."""
    d = net.par[0]
    x = w.Z[d, r] + w.DZ[r, d]
    for t in range(d):
        x += (w.Z[t, r] + w.DZ[r, t]) * w.box[0, t]
    return x


@kernel
def enclose_group(net, w, u, h):
    """The member that wins all over the cell, or -1 and two parallel functions around the maximum."""
    d = net.par[0]
    at, n = net.tab[u], net.n_seg[u]
    best, top = 0, middle_value(net, w, net.mem[at])
    for i in range(1, n):
        x = middle_value(net, w, net.mem[at + i])
        if x > top:
            best, top = i, x
    name = name_of(net, w, net.mem[at + best])
    for i in range(best):
        if name_of(net, w, net.mem[at + i]) == name:
            best = i
            break
    form_of(net, w, net.mem[at + best], h)
    g = w.hc
    over = 0.0
    clear = True
    for i in range(n):
        if i == best or name_of(net, w, net.mem[at + i]) == name:
            continue
        form_of(net, w, net.mem[at + i], g)
        for t in range(d + 1):
            g[t] -= h[t]
        g[d + 1] += h[d + 1]
        g[d + 2] += h[d + 2]
        span_of(net, w, g, w.two)
        if w.two[1] >= 0.0:
            clear = False
            over = max(over, w.two[1])
    if clear:
        return best
    h[d] += 0.5 * over
    h[d + 1] += 0.5001 * over
    h[d + 2] += over
    return -1


@kernel
def fix_unit(net, w, u, s, q):
    """Unit u of later layer q is on piece s on all of the present cell."""
    decide(net, w, u, s)
    if net.kind[u] != 0 and w.R[KEEP]:
        at = net.tab[u]
        name = name_of(net, w, net.mem[at + s])
        for i in range(net.n_seg[u]):
            if i != s and name_of(net, w, net.mem[at + i]) == name:
                w.R[HASH] += across(u, i)
    w.fix[u] = 2
    w.fresh[net.unit_off[q] + w.n_fresh[q]] = u
    w.n_fresh[q] += 1
    rows_needed(net, w, u, -1)
    log_fix(w, FIX_ROWS + u)


@kernel
def full_form(net, w, u, s, h):
    """The function of unit u on piece s, with all that is yet to come, into ``h``."""
    d = net.par[0]
    if net.kind[u] != 0:
        form_of(net, w, net.mem[net.tab[u] + s], h)
        return True
    slope, icept = net.slope[net.tab[u] + s], net.icept[net.tab[u] + s]
    if slope == 0.0 and icept == 0.0:
        return False
    form_of(net, w, net.src[u], h)
    for t in range(d + 1):
        h[t] *= slope
    h[d] += icept
    h[d + 1] *= abs(slope)
    h[d + 2] = h[d + 2] * abs(slope) + abs(icept)
    h[d + 1] += 4 * U * h[d + 2]
    return True


@kernel
def enclose(net, w, u, h):
    """The piece of unit u on the cell, or -1 and two parallel functions around it in ``h``."""
    return enclose_pieces(net, w, u, h) if net.kind[u] == 0 else enclose_group(net, w, u, h)


@kernel
def look_ahead(net, w):
    """Fix the units of later layers that stay on one piece on the present cell; list those that are free."""
    R = w.R
    layer, last, old = R[LAYER], net.par[1], R[LIVE]
    R[SINCE] = 0
    if old:
        free = 0
        for q in range(layer + 1, last):
            free += w.lists[old + 2 * q + 1]
        if free == 0:
            return
    cell_box(net, w)
    h = w.ha
    for i in range(R[NLEN]):
        u = w.lists[R[NOFF] + 2 * i]
        s = enclose(net, w, u, h)
        if s < 0 or full_form(net, w, u, s, h):
            push_column(net, w, u, layer, h)
    new = R[LTOP] + 1
    top = new + 2 * last
    for q in range(layer + 1, last):
        hand_on(net, w, q)
        start = top
        n = net.unit_off[q + 1] - net.unit_off[q] if old == 0 else w.lists[old + 2 * q + 1]
        for i in range(n):
            u = net.unit_off[q] + i if old == 0 else w.lists[w.lists[old + 2 * q] + i]
            s = enclose(net, w, u, h)
            if s >= 0:
                fix_unit(net, w, u, s, q)
                if full_form(net, w, u, s, h):
                    push_column(net, w, u, q, h)
            else:
                w.lists[top] = u
                top += 1
                push_column(net, w, u, q, h)
        w.lists[new + 2 * q] = start
        w.lists[new + 2 * q + 1] = top - start
        forget(net, w, q)
    R[LIVE] = new
    R[LTOP] = top
    propagate(net, w, layer + 1)


@kernel
def n_undecided(net, w):
    """Units of the present and of later layers that are still undecided on the present cell."""
    n = w.R[NLEN]
    for q in range(w.R[LAYER] + 1, net.par[1]):
        n += w.lists[w.R[LIVE] + 2 * q + 1]
    return n


@kernel
def member_bounds(net, w, u, base):
    """Values of a max group's members at the middle of the cell's box, and how far they can be off."""
    d = net.par[0]
    for i in range(net.n_seg[u]):
        r = net.mem[net.tab[u] + i]
        x, e = w.Z[d, r], 1.0001 * w.Z[d + 1, r] + (d + 4) * U * abs(w.Z[d, r])
        for t in range(d):
            x += w.Z[t, r] * w.box[0, t]
            e += abs(w.Z[t, r]) * (w.box[1, t] + (d + 4) * U * net.xmax[t])
        w.val[r - base] = x
        w.rad[r - base] = e


@kernel
def clear_piece(net, w, u):
    """The piece that unit u of the present layer clearly is on all over the cell, or -1."""
    s, at = 0, net.tab[u]
    while s < net.n_seg[u] - 1:
        sides = clear_sides(net, w, net.src[u], -1, net.brk[at + s])
        if sides == NEGATIVE:
            break
        if sides != POSITIVE:
            return -1
        s += 1
    return s


@kernel
def enter_early(net, w):
    """As ``enter``, looking only at the units that are still free."""
    R = w.R
    layer, old = R[LAYER], R[LIVE]
    base, u0 = net.pre_off[layer], net.unit_off[layer]
    at = R[LTOP]
    R[LOFF], R[POS], R[LO], R[OPP], R[PU] = at, 0, -1, -1, -1
    n_list, n_push = 0, 0
    cell_box(net, w)
    for i in range(net.unit_off[layer + 1] - u0 if old == 0 else w.lists[old + 2 * layer + 1]):
        u = u0 + i if old == 0 else w.lists[w.lists[old + 2 * layer] + i]
        if net.kind[u] == 0:
            s = clear_piece(net, w, u)
        else:
            member_bounds(net, w, u, base)
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
    push_early(net, w, n_push, layer)
