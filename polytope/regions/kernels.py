r"""Compiled: the depth-first search over vertex cells, stopped and resumed at any split.

The state lives in the arrays of ``Work``; ``run`` goes on from wherever they stand and comes back when it is
done, wants a sign from exact arithmetic, has no room left, or has spent its budget of splits.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_arrange import arrange
from polytope.regions.kernels_book import DOUBT, NO_ROOM
from polytope.regions.kernels_cut import cut_cell, cut_polygon, find_pairs
from polytope.regions.kernels_decide import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    clear_sides,
    decide,
    enter,
    evaluate,
    note_touch,
    pack,
    root_of,
    start_list,
)
from polytope.regions.kernels_early import PERIOD, enter_early, look_ahead, n_undecided, push_early
from polytope.regions.kernels_emit import emit
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    ASKED,
    BEST,
    BRANCH,
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
    LIVE,
    LLEN,
    LO,
    LOFF,
    LOST,
    LTOP,
    MAXIT,
    N_NODE,
    NEED_SIGN,
    NLEN,
    NOFF,
    NPUSH,
    OPP,
    PAUSED,
    PHASE,
    PLEN,
    POS,
    PU,
    RECN,
    REDUCE,
    SIMPLE,
    SINCE,
    TF,
    TI,
    TRICK,
    UNIT,
    VOFF,
    VTOP,
    WHAT,
    WORDS,
    K,
    across,
    push_many,
    trail_need,
    undo,
)

GO_ON, LEAF, DEAD = 100, 101, 102
F_KIND, F_NEXT, F_NUMBER, F_COUNT, F_CHILD = range(N_NODE, N_NODE + 5)


@kernel
def room(net, w, layer):
    """Whether the stacks can take one more step in a layer."""
    R = w.R
    units = net.unit_off[layer + 1] - net.unit_off[layer] if net.par[4] == 0 else net.kind.shape[0]
    need = trail_need(net, layer)
    if R[TF] + (need + 1) * w.Z.shape[0] >= w.tf.shape[0] or R[TI] + 2 * need + 64 >= w.ti.shape[0]:
        R[WHAT] = 1
        return False
    if (
        R[LTOP] + 2 * (units + R[LLEN] + 8) >= w.lists.shape[0]
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
            R[HI] = R[OPP]
        else:
            R[LO] = R[OPP] + 1
        R[OPP] = -1
    else:
        R[LO] = c
        R[OPP] = 0
    R[TRICK] = 1
    start_list(w)


@kernel
def branch(net, w, kind, number, child):
    """Go into the first branch of a split (or the one that a given path names), remembering the others."""
    R = w.R
    if R[FORCED] < R[PLEN]:
        c = w.path[R[FORCED]] & BRANCH
        R[FORCED] += 1
        take_branch(w, kind, child, c)
        return
    f = R[DEPTH]
    for i in range(N_NODE):
        w.frames[f, i] = R[i]
    w.frames[f, F_KIND] = kind
    w.frames[f, F_NEXT] = 1
    w.frames[f, F_NUMBER] = number
    w.frames[f, F_COUNT] = R[COUNT]
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
    R[BUDGET] -= 1
    if R[BUDGET] < 0:
        R[BUDGET] = 0
        return PAUSED
    return 0


@kernel
def next_item(R):
    """Go on to the next unit of the list that the node took over."""
    if R[PU] >= 0:
        R[PU] = -1
    else:
        R[POS] += 1
    R[LO] = -1
    R[OPP] = -1


@kernel
def settle(net, w, u, s):
    """Unit u is on piece s on the present cell; the later layers are told when the list is done."""
    R = w.R
    decide(net, w, u, s)
    w.pl[R[NPUSH]] = u
    R[NPUSH] += 1
    next_item(R)


@kernel
def retain(net, w, u, p, measure):
    """Unit u stays undecided on the cell, cut by its breakpoint p; the most even cut is made first."""
    R = w.R
    n = R[NLEN]
    w.lists[R[NOFF] + 2 * n] = u
    w.lists[R[NOFF] + 2 * n + 1] = pack(max(R[LO], 0), max(R[HI], 0), p)
    if measure < w.fl[2]:
        w.fl[2] = measure
        R[BEST] = n
    R[NLEN] = n + 1
    R[LTOP] = R[NOFF] + 2 * (n + 1)
    next_item(R)


@kernel
def examine_pieces(net, w, u):
    """Narrow the pieces that a unit can be on, on the present cell."""
    R = w.R
    a = net.src[u]
    while R[LO] < R[HI]:
        p = R[LO]
        signs = evaluate(net, w, u, a, -1, net.brk[net.tab[u] + p])
        if signs == UNKNOWN:
            return NEED_SIGN
        if signs == NEGATIVE | POSITIVE:
            retain(net, w, u, p, w.fl[3] + R[ASKED])
            return GO_ON
        if signs == 0:
            if R[KEEP]:
                R[HASH] += across(u, p + 1)
        else:
            note_touch(net, w, u, p, p + 1)
        if signs == POSITIVE:
            R[LO] = p + 1
        else:
            R[HI] = p
    settle(net, w, u, R[LO])
    return GO_ON


@kernel
def examine_group(net, w, u):
    """See whether one member of a max group clearly wins on the present cell."""
    n = net.n_seg[u]
    at = net.tab[u]
    best = 0
    for i in range(1, n):
        if member_value(net, w, net.mem[at + i]) > member_value(net, w, net.mem[at + best]):
            best = i
    for i in range(n):
        if i != best and clear_sides(net, w, net.mem[at + best], net.mem[at + i], 0.0) != POSITIVE:
            retain(net, w, u, 0, 5.0)
            return GO_ON
    settle(net, w, u, best)
    return GO_ON


@kernel
def member_value(net, w, r):
    """The value of a pre-activation at the cell's first vertex."""
    d = net.par[0]
    x = w.Z[d, r]
    for t in range(d):
        x += w.Z[t, r] * w.VF[w.R[VOFF] + t * w.R[K]]
    return x


@kernel
def compete(net, w, u, child):
    """Next step for the member that shall win its max group: cut away where another one is larger."""
    R = w.R
    n = net.n_seg[u]
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
            R[HASH] += across(u, j)
    else:
        note_touch(net, w, u, c, j)
    R[OPP] += 1
    return GO_ON


@kernel
def find_unit(w, u):
    """Make the unit that a given path splits by the one to split by."""
    R = w.R
    for i in range(R[NLEN]):
        if w.lists[R[NOFF] + 2 * i] == u:
            R[BEST] = i
            return True
    return False


@kernel
def split(net, w, child):
    """Split the node by the unit that cuts it most evenly; its two (or more) branches share the list."""
    R = w.R
    code = may_split(net, w)
    if code != 0:
        return code
    if R[FORCED] < R[PLEN] and not find_unit(w, w.path[R[FORCED]] >> UNIT):
        return LOST
    at, last = R[NOFF] + 2 * R[BEST], R[NOFF] + 2 * (R[NLEN] - 1)
    for i in range(2):
        x = w.lists[at + i]
        w.lists[at + i] = w.lists[last + i]
        w.lists[last + i] = x
    R[BEST] = R[NLEN] - 1
    u, item = w.lists[last], w.lists[last + 1]
    kind = 0 + net.kind[u]
    p = item >> 40
    if kind == 0:
        a, brk = net.src[u], net.brk[net.tab[u] + p]
        if evaluate(net, w, u, a, -1, brk) == UNKNOWN:
            R[BUDGET] += 1
            return NEED_SIGN
        code = cut(net, w, u, p, p + 1, a, -1, brk, child)
        if code != 0:
            R[BUDGET] += 1
            return code
    R[LO] = item & 0xFFFFF
    R[HI] = (item >> 20) & 0xFFFFF
    R[OPP] = p
    R[PU] = u
    R[LOFF] = R[NOFF]
    R[LLEN] = R[NLEN] - 1
    R[POS] = 0
    R[SINCE] += 1
    branch(net, w, kind, 2 if kind == 0 else net.n_seg[u], child)
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
    next_item(R)
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
        if net.par[4] == 1:
            enter_early(net, w)
        else:
            enter(net, w)
        R[TRICK] = 1
        return GO_ON
    if R[KEEP] and not emit(net, w):
        return FLUSH
    R[COUNT] += 1
    return LEAF


@kernel
def arrange_last(net, w):
    """In the last layer, if no more than cells are wanted: find the node's cells without cutting it."""
    R = w.R
    R[TRICK] = 0
    if R[LAYER] + 1 != net.par[1] or R[FORCED] < R[PLEN] or R[NLEN]:
        return GO_ON
    n = arrange(net, w)
    if n == DOUBT:
        return GO_ON
    if n < 0:
        R[TRICK] = 1
        R[WHAT] = 0
        return GROW if n == NO_ROOM else FLUSH
    R[COUNT] += n
    return LEAF


@kernel
def step(net, w, child):
    """One step of the search from the present node."""
    R = w.R
    if not room(net, w, R[LAYER]):
        return GROW
    u = R[PU]
    if u >= 0:
        return compete(net, w, u, child) if net.kind[u] == 1 else examine_pieces(net, w, u)
    if R[TRICK] == 1:
        code = arrange_last(net, w)
        if code != GO_ON:
            return code
    if R[POS] < R[LLEN]:
        u = w.lists[R[LOFF] + 2 * R[POS]]
        kind = net.kind[u]
        if kind == 0:
            if R[LO] < 0:
                item = w.lists[R[LOFF] + 2 * R[POS] + 1]
                R[LO] = item & 0xFFFFF
                R[HI] = (item >> 20) & 0xFFFFF
            return examine_pieces(net, w, u)
        return examine_group(net, w, u) if kind == 1 else examine_domain(net, w, u, child)
    if R[NPUSH]:
        if net.par[4] == 1:
            push_early(net, w, R[NPUSH], R[LAYER])
        else:
            push_many(net, w, R[NPUSH], R[LAYER])
        R[NPUSH] = 0
    if net.par[4] == 1 and R[NLEN]:
        if R[SINCE] >= PERIOD or R[LIVE] == 0:
            look_ahead(net, w)
        if R[KEEP] == 0 and R[FORCED] >= R[PLEN] and n_undecided(net, w) <= net.par[5]:
            return REDUCE
    return split(net, w, child) if R[NLEN] else layer_done(net, w)


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
