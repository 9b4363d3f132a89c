r"""Compiled: the depth-first search over cells of inequalities, stopped and resumed at any split.

The twin of ``kernels`` for another geometry: what a cell is, which signs a row takes on it and how it is
cut is told by ``kernels_lp_cell`` and ``kernels_lp_parts``; branches left behind by ``kernels_lp_copy``.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels import (
    DEAD,
    F_COUNT,
    F_KIND,
    F_NEXT,
    F_NUMBER,
    GO_ON,
    LEAF,
    find_unit,
    may_split,
    retain,
    settle,
)
from polytope.regions.kernels_decide import NEGATIVE, POSITIVE, UNKNOWN, decide, pack, start_list
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import (
    BEST,
    BRANCH,
    COUNT,
    DEPTH,
    DONE,
    FINISHED,
    FLUSH,
    FORCED,
    GROW,
    HI,
    ITOP,
    KEEP,
    LAYER,
    LLEN,
    LO,
    LOFF,
    LOST,
    LTOP,
    MAXIT,
    MEMO,
    N_NODE,
    NEED_SIGN,
    NLEN,
    NOFF,
    NPUSH,
    NREQ,
    OPP,
    OUTF,
    OUTN,
    PAUSED,
    PHASE,
    PLEN,
    POS,
    PU,
    RECN,
    TF,
    TI,
    UNIT,
    VTOP,
    WHAT,
    push_many,
    trail_need,
    undo,
)
from polytope.regions.kernels_lp_cell import ask, examine, load_function
from polytope.regions.kernels_lp_copy import copy_size, restore, save
from polytope.regions.kernels_lp_parts import prepare, rebuild, take_answer, take_part

START = 2  # PHASE before the first step


@kernel
def room(net, w, layer):
    """Whether the stacks can take one more step in a layer."""
    R = w.R
    need = trail_need(net, layer)
    floats, ints = copy_size(net, w)
    R[WHAT] = 1
    if R[TF] + (need + 1) * w.Z.shape[0] >= w.tf.shape[0] or R[TI] + 2 * need + 64 >= w.ti.shape[0]:
        return False
    R[WHAT] = 2
    units = net.unit_off[layer + 1] - net.unit_off[layer]
    if R[LTOP] + 2 * (units + R[LLEN] + 8) >= w.lists.shape[0] or R[DEPTH] + 3 >= w.frames.shape[0]:
        return False
    R[WHAT] = 3
    return R[VTOP] + floats < w.fa.shape[0] and R[ITOP] + ints < w.ia.shape[0]


@kernel
def take_branch(net, w, kind, c):
    """Make branch c of a split the present node; the cell is the one that is split."""
    R = w.R
    if kind == 0:
        u, p = R[PU], R[OPP]
        a, brk = net.src[u], net.brk[net.tab[u] + p]
        load_function(net, w, a, -1, brk)
        take_part(net, w, u, a, -1, brk, c)
        if c == 0:
            R[HI] = p
        else:
            R[LO] = p + 1
        R[OPP] = -1
    else:
        R[LO] = c
        R[OPP] = 0
    start_list(w)


@kernel
def branch(net, w, kind, number):
    """Go into the first branch of a split (or the one that a given path names), remembering the others."""
    R = w.R
    if R[FORCED] < R[PLEN]:
        c = w.path[R[FORCED]] & BRANCH
        R[FORCED] += 1
        take_branch(net, w, kind, c)
        return
    f = R[DEPTH]
    for i in range(N_NODE):
        w.frames[f, i] = R[i]
    w.frames[f, F_KIND] = kind
    w.frames[f, F_NEXT] = 1
    w.frames[f, F_NUMBER] = number
    w.frames[f, F_COUNT] = R[COUNT]
    R[DEPTH] = f + 1
    save(net, w)
    take_branch(net, w, kind, 0)


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
        restore(net, w)
        c = row[F_NEXT]
        row[F_NEXT] = c + 1
        take_branch(net, w, row[F_KIND], c)
        return True
    return False


@kernel
def examine_pieces(net, w, u):
    """Narrow the pieces that a unit can be on, on the present cell."""
    R = w.R
    while R[LO] < R[HI]:
        p = R[LO]
        signs = examine(net, w, u, net.src[u], -1, net.brk[net.tab[u] + p])
        if signs == UNKNOWN:
            return NEED_SIGN
        if signs == NEGATIVE | POSITIVE:
            retain(net, w, u, p, w.fl[3])
            return GO_ON
        if signs == POSITIVE:
            R[LO] = p + 1
        else:
            R[HI] = p
    settle(net, w, u, R[LO])
    return GO_ON


@kernel
def compete(net, w, u):
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
    answered = R[MEMO] > 0 and R[NREQ] == 1  # with points in the two parts
    signs = examine(net, w, u, a, b, 0.0)
    if signs == UNKNOWN:
        return NEED_SIGN
    if signs == NEGATIVE or (signs == 0 and j < c):
        return DEAD
    if signs == NEGATIVE | POSITIVE:
        load_function(net, w, a, b, 0.0)
        if not prepare(net, w):
            if not answered:
                ask(net, w, u, a, b, 0.0, 1)
                return NEED_SIGN
            take_answer(net, w)
        take_part(net, w, u, a, b, 0.0, 1)
    R[OPP] += 1
    return GO_ON


@kernel
def split(net, w):
    """Split the node by the unit nearest to its center; its two (or more) branches share the list."""
    R = w.R
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
    p, lo, hi = item >> 40, item & 0xFFFFF, (item >> 20) & 0xFFFFF
    if kind == 0:
        a, brk = net.src[u], net.brk[net.tab[u] + p]
        signs = R[MEMO] - 1
        R[MEMO] = 0
        load_function(net, w, a, -1, brk)
        if not prepare(net, w):
            if signs < 0:
                ask(net, w, u, a, -1, brk, 1)
                return NEED_SIGN
            if signs != NEGATIVE | POSITIVE:
                above = signs == POSITIVE
                return narrow(net, w, u, last, p + 1 if above else lo, hi if above else p)
            take_answer(net, w)
        if R[NLEN] == 1 and R[LAYER] + 1 == net.par[1] and hi == lo + 1 and count_both(net, w):
            return LEAF
    code = may_split(net, w)
    if code != 0:
        return code
    R[LO] = lo
    R[HI] = hi
    R[OPP] = p
    R[PU] = u
    R[LOFF] = R[NOFF]
    R[LLEN] = R[NLEN] - 1
    R[POS] = 0
    branch(net, w, kind, 2 if kind == 0 else net.n_seg[u])
    return GO_ON


@kernel
def count_both(net, w):
    """The last unit of the last layer, if only the number is wanted: both parts are regions."""
    R = w.R
    if R[KEEP] or R[FORCED] < R[PLEN] or R[COUNT] + 2 > R[MAXIT]:
        return False
    R[COUNT] += 2
    return True


@kernel
def narrow(net, w, u, last, lo, hi):
    """The listed unit does not cross the cell after all, where it was thought to."""
    R = w.R
    if lo < hi:
        w.lists[last + 1] = pack(lo, hi, lo)
        return GO_ON
    R[NLEN] -= 1
    R[BEST] = 0
    w.pl[R[NPUSH]] = u
    R[NPUSH] += 1
    decide(net, w, u, lo)
    R[LTOP] = last
    return GO_ON


@kernel
def enter(net, w):
    """List the units of the layer that bend; let later layers know those that do not."""
    R = w.R
    layer = R[LAYER]
    at = R[LTOP]
    R[LOFF] = at
    n_list, n_push = 0, 0
    for u in range(net.unit_off[layer], net.unit_off[layer + 1]):
        if net.n_seg[u] == 1:
            decide(net, w, u, 0)
            w.pl[n_push] = u
            n_push += 1
        else:
            w.lists[at + 2 * n_list] = u
            w.lists[at + 2 * n_list + 1] = pack(0, net.n_seg[u] - 1, 0)
            n_list += 1
    R[LLEN] = n_list
    R[LTOP] = at + 2 * n_list
    R[POS] = 0
    R[LO] = -1
    R[OPP] = -1
    R[PU] = -1
    start_list(w)
    push_many(net, w, n_push, layer)


@kernel
def emit(net, w):
    """Append the present cell to the output buffers; False if one of them is full."""
    R = w.R
    n, at, m = R[OUTN], R[OUTF], R[RECN]
    if n + 1 >= w.o_ptr.shape[0] or at + m > w.o_unit.shape[0]:
        return False
    for i in range(net.par[3]):
        w.o_pat[n, i] = w.lab[i]
    for t in range(net.par[0]):
        w.o_point[n, t] = w.center[t]
    for i in range(m):
        u = w.rec_i[i, 0]
        w.o_unit[at + i] = net.pat[u] if u >= 0 else u
    R[OUTN] = n + 1
    R[OUTF] = at + m
    w.o_ptr[n + 1] = at + m
    return True


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
        return GO_ON
    if R[KEEP] and not emit(net, w):
        return FLUSH
    R[COUNT] += 1
    return LEAF


@kernel
def step(net, w):
    """One step of the search from the present node."""
    R = w.R
    if not room(net, w, R[LAYER]):
        return GROW
    u = R[PU]
    if u >= 0:
        return compete(net, w, u) if net.kind[u] == 1 else examine_pieces(net, w, u)
    if R[POS] < R[LLEN]:
        at = R[LOFF] + 2 * R[POS]
        u = w.lists[at]
        if net.kind[u] == 1:
            retain(net, w, u, 0, 5.0)
            return GO_ON
        if R[LO] < 0:
            item = w.lists[at + 1]
            R[LO] = item & 0xFFFFF
            R[HI] = (item >> 20) & 0xFFFFF
        return examine_pieces(net, w, u)
    if R[NPUSH]:
        push_many(net, w, R[NPUSH], R[LAYER])
        R[NPUSH] = 0
    return split(net, w) if R[NLEN] else layer_done(net, w)


@kernel
def run(net, w):
    """Search on until there is a reason to come back; the reason."""
    R = w.R
    if R[PHASE] == START:
        rebuild(net, w)
        R[PHASE] = 0
    while True:
        if R[PHASE] == 1:
            if R[COUNT] >= R[MAXIT]:
                return PAUSED
            if not backtrack(net, w):
                R[DONE] = 1
                return FINISHED
            R[PHASE] = 0
        code = step(net, w)
        if code in (LEAF, DEAD):
            R[PHASE] = 1
        elif code != GO_ON:
            return code
