r"""Compiled: the depth-first search over vertex cells, stopped and resumed at any split.

The state lives in the arrays of ``Work``; ``run`` goes on from wherever they stand and comes back when it is
done, wants a sign from exact arithmetic, has no room left, or has spent its budget of splits.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_count import DOUBT, NO_ROOM, count_cell, count_polygon
from polytope.regions.kernels_cut import cut_cell, cut_polygon, find_pairs
from polytope.regions.kernels_decide import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    decide,
    enter,
    evaluate,
    note_touch,
    root_of,
)
from polytope.regions.kernels_emit import emit
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    BUDGET,
    COUNT,
    DEPTH,
    DONE,
    EXN,
    FINISHED,
    FLUSH,
    FORCED,
    GROW,
    HASH,
    HI,
    IOFF,
    ITOP,
    KEEP,
    LAYER,
    LIMIT,
    LLEN,
    LO,
    LOFF,
    LTOP,
    MAXIT,
    N_NODE,
    NEED_SIGN,
    OPEN_NODE,
    OPP,
    PAUSED,
    PHASE,
    PLEN,
    POS,
    RECN,
    SIMPLE,
    TF,
    TI,
    TRICK,
    VOFF,
    VTOP,
    WORDS,
    K,
    mix,
    push_unit,
    trail_need,
    undo,
)

GO_ON, LEAF, DEAD = 100, 101, 102
F_KIND, F_NEXT, F_NUMBER, F_CHILD = N_NODE, N_NODE + 1, N_NODE + 2, N_NODE + 3
WHAT = 47  # which arena has no room: 0 cells, 1 trail, 2 lists and frames, 3 scratch


@kernel
def room(net, w, layer):
    """Whether the stacks can take one more step in a layer."""
    R = w.R
    units = net.unit_off[layer + 1] - net.unit_off[layer]
    need = trail_need(net, layer)
    if R[TF] + (need + 1) * w.Z.shape[0] >= w.tf.shape[0] or R[TI] + 2 * need + 64 >= w.ti.shape[0]:
        R[WHAT] = 1
        return False
    if (
        R[LTOP] + units + 2 >= w.lists.shape[0]
        or R[RECN] + 3 >= w.rec_i.shape[0]
        or R[EXN] + 3 >= w.ext.shape[0]
        or R[DEPTH] + 3 >= w.frames.shape[0]
    ):
        R[WHAT] = 2
        return False
    return True


@kernel
def add_record(net, w, u, pa, pb, a, b, brk):
    """A facet on the row in ``g``; returns its place. Units of the domain count downwards from -1."""
    R = w.R
    d = net.par[0]
    f = R[RECN]
    w.rec_i[f, 0] = u if b != -2 else -net.n_seg[u] - 1
    w.rec_i[f, 1] = pa
    w.rec_i[f, 2] = pb
    w.rec_i[f, 3] = root_of(net, w, a, b)
    w.rec_i[f, 4] = root_of(net, w, b, b)
    for t in range(d + 1):
        w.rec_f[f, t] = w.g[t]
    w.rec_f[f, d + 1] = w.g[d + 1]
    w.rec_f[f, d + 2] = brk
    w.rec_i[f, 5] = a
    w.rec_i[f, 6] = b
    return f


@kernel
def cut(net, w, u, pa, pb, a, b, brk, child):
    """Cut the present cell by the row in ``g``; 0, or what to come back with."""
    R = w.R
    d, nw = net.par[0], net.par[2]
    k = R[K]
    if d == 2:
        if R[VTOP] + 6 * (k + 2) >= w.VF.shape[0] or R[ITOP] + 2 * (k + 2) >= w.VI.shape[0]:
            R[WHAT] = 0
            return GROW
        cut_polygon(net, w, add_record(net, w, u, pa, pb, a, b, brk), child)
    else:
        limit = (w.pairs.shape[0] - 66) // 2
        m = find_pairs(w, w.VI, R[IOFF], k, nw, d, R[SIMPLE] == 1, w.v, limit)
        if m < 0 or k + m + 8 >= w.v.shape[0]:
            R[WHAT] = 3
            return GROW
        n = 2 * k + 2 * m
        if R[VTOP] + (d + 1) * n >= w.VF.shape[0] or R[ITOP] + nw * (n + 128) >= w.VI.shape[0]:
            R[WHAT] = 0
            return GROW
        if not cut_cell(net, w, add_record(net, w, u, pa, pb, a, b, brk), child, m):
            return WORDS
    R[RECN] += 1
    R[VTOP] = child[8]
    R[ITOP] = child[9]
    return 0


@kernel
def take_cell(R, child, side):
    """Make one side of a cut the present cell."""
    R[VOFF] = child[4 * side]
    R[K] = child[4 * side + 1]
    R[IOFF] = child[4 * side + 2]
    R[SIMPLE] = child[4 * side + 3]


@kernel
def take_branch(w, kind, child, c):
    """Make branch c of a split the present node."""
    R = w.R
    if kind == 0:
        take_cell(R, child, c)
        if c == 0:
            R[HI] = R[LO]
        else:
            R[LO] += 1
    else:
        R[LO] = c
        R[OPP] = 0


@kernel
def branch(net, w, kind, number, child):
    """Go into the first branch of a split (or the one that a given path names), remembering the others."""
    R = w.R
    if R[FORCED] < R[PLEN]:
        c = w.path[R[FORCED]]
        R[FORCED] += 1
        take_branch(w, kind, child, c)
        return
    f = R[DEPTH]
    for i in range(N_NODE):
        w.frames[f, i] = R[i]
    w.frames[f, F_KIND] = kind
    w.frames[f, F_NEXT] = 1
    w.frames[f, F_NUMBER] = number
    for i in range(8):
        w.frames[f, F_CHILD + i] = child[i]
    R[DEPTH] = f + 1
    take_branch(w, kind, child, 0)


@kernel
def backtrack(net, w):
    """Go to the next branch that has not been taken; False if there is none."""
    R = w.R
    while R[DEPTH] > 0:
        f = R[DEPTH] - 1
        row = w.frames[f]
        if row[F_NEXT] == row[F_NUMBER]:
            R[DEPTH] = f
            continue
        undo(net, w, row[TI], row[TF])
        for i in range(N_NODE):
            R[i] = row[i]
        R[DEPTH] = f + 1
        c = row[F_NEXT]
        row[F_NEXT] = c + 1
        take_branch(w, row[F_KIND], row[F_CHILD : F_CHILD + 8], c)
        return True
    return False


@kernel
def may_split(net, w):
    """0 if a split may be made here, else what to come back with."""
    R = w.R
    if R[FORCED] < R[PLEN]:
        return 0
    if R[LIMIT] > 0 and R[PLEN] + R[DEPTH] >= R[LIMIT]:
        return OPEN_NODE
    R[BUDGET] -= 1
    if R[BUDGET] < 0:
        R[BUDGET] = 0
        return PAUSED
    return 0


@kernel
def settle(net, w, u, s):
    """Unit u is on piece s on the present cell: tell the later layers, go on to the next unit."""
    R = w.R
    decide(net, w, u, s)
    push_unit(net, w, u, s, R[LAYER])
    R[POS] += 1
    R[LO] = -1
    R[OPP] = -1


@kernel
def examine_pieces(net, w, u, child):
    """Next step for a unit with breakpoints."""
    R = w.R
    if R[LO] < 0:
        R[LO] = 0
        R[HI] = net.n_seg[u] - 1
    p = R[LO]
    if p == R[HI]:
        settle(net, w, u, p)
        return GO_ON
    brk = net.brk[net.tab[u] + p]
    a = net.src[u]
    signs = evaluate(net, w, u, a, -1, brk)
    if signs == UNKNOWN:
        return NEED_SIGN
    if signs == NEGATIVE | POSITIVE:
        code = may_split(net, w)
        if code == 0:
            code = cut(net, w, u, p, p + 1, a, -1, brk, child)
        if code != 0:
            return code
        branch(net, w, 0, 2, child)
        return GO_ON
    if signs == 0:
        if R[KEEP]:
            R[HASH] += mix(u, p + 1)
    else:
        note_touch(net, w, u, p, p + 1)
    if signs == POSITIVE:
        R[LO] = p + 1
    else:
        R[HI] = p
    return GO_ON


@kernel
def examine_group(net, w, u, child):
    """Next step for a max group: choose a member to win, then cut away where another one is larger."""
    R = w.R
    n = net.n_seg[u]
    if R[OPP] < 0:
        code = may_split(net, w)
        if code != 0:
            return code
        branch(net, w, 1, n, child)
        return GO_ON
    c, j = R[LO], R[OPP]
    if j == n:
        settle(net, w, u, c)
        return GO_ON
    if j == c:
        R[OPP] += 1
        return GO_ON
    a, b = net.mem[net.tab[u] + c], net.mem[net.tab[u] + j]
    signs = evaluate(net, w, u, a, b, 0.0)
    if signs == UNKNOWN:
        return NEED_SIGN
    if signs == NEGATIVE or (signs == 0 and j < c):
        return DEAD
    if signs == NEGATIVE | POSITIVE:
        code = cut(net, w, u, c, j, a, b, 0.0, child)
        if code != 0:
            return code
        take_cell(R, child, 1)
    elif signs == 0:
        if R[KEEP]:
            R[HASH] += mix(u, j)
    else:
        note_touch(net, w, u, c, j)
    R[OPP] += 1
    return GO_ON


@kernel
def examine_domain(net, w, u, child):
    """Next row of the domain: keep the side where it is not positive."""
    R = w.R
    signs = evaluate(net, w, u, net.src[u], -2, 0.0)
    if signs == UNKNOWN:
        return NEED_SIGN
    if signs & NEGATIVE == 0:
        return DEAD
    if signs & POSITIVE:
        code = cut(net, w, u, 0, 0, net.src[u], -2, 0.0, child)
        if code != 0:
            return code
        take_cell(R, child, 0)
    R[POS] += 1
    return GO_ON


@kernel
def layer_done(net, w):
    """All units of the layer are decided: enter the next layer, or hand in the cell."""
    R = w.R
    layer = R[LAYER]
    if layer + 1 < net.par[1]:
        if not room(net, w, layer + 1):
            return GROW
        R[LAYER] = layer + 1
        enter(net, w)
        R[TRICK] = 1
        return GO_ON
    if R[KEEP] and not emit(net, w):
        return FLUSH
    R[COUNT] += 1
    return LEAF


@kernel
def step(net, w, child):
    """One step of the search from the present node."""
    R = w.R
    if R[TRICK] == 1 and R[LAYER] + 1 == net.par[1] and R[KEEP] == 0 and R[FORCED] == R[PLEN]:
        n = count_polygon(net, w) if net.par[0] == 2 else count_cell(net, w)
        if n == NO_ROOM:
            R[WHAT] = 0
            return GROW
        R[TRICK] = 0
        if n != DOUBT:
            R[COUNT] += n
            return LEAF
    if R[POS] == R[LLEN]:
        return layer_done(net, w)
    if not room(net, w, R[LAYER]):
        return GROW
    u = w.lists[R[LOFF] + R[POS]]
    kind = net.kind[u]
    if kind == 0:
        return examine_pieces(net, w, u, child)
    if kind == 1:
        return examine_group(net, w, u, child)
    return examine_domain(net, w, u, child)


@kernel
def run(net, w):
    """Search on until there is a reason to come back; the reason."""
    R = w.R
    child = w.child
    while True:
        if R[PHASE] == 1:
            if R[COUNT] >= R[MAXIT]:
                return PAUSED
            if not backtrack(net, w):
                R[DONE] = 1
                return FINISHED
            R[PHASE] = 0
        code = step(net, w, child)
        if code in (LEAF, DEAD):
            R[PHASE] = 1
        elif code != GO_ON:
            return code
