r"""Compiled: exact values, at vertices of polygons, of rows whose coefficients are float64 numbers.

Pre-activations that read the input alone are such rows, so are their differences, and the rows of the domain.
At the vertex where rows f and e vanish, row g has the value :math:`\det(g, f, e) / (f_0 e_1 - f_1 e_0)`. The
determinants are computed without rounding, as sums of floats that do not overlap (expansions).

References:
    J. R. Shewchuk (1997), Adaptive precision floating-point arithmetic and fast robust geometric predicates,
    https://doi.org/10.1007/PL00009321.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_handle import kernel

LARGE, SMALL = 2.0**200, 2.0**-200  # sizes between which no product of three overflows or loses bits
TERMS = 32  # where expansions start in the scratch array, behind three rows of 3 x 2 numbers


@kernel
def two_sum(a, b):
    """Sum and rounding error: two floats that add up to a + b exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@kernel
def halves(a):
    """Two floats of at most 26 bits each that add up to a."""
    c = 134217729.0 * a
    high = c - (c - a)
    return high, a - high


@kernel
def two_product(a, b):
    """Product and rounding error: two floats that add up to a b exactly."""
    p = a * b
    a1, a0 = halves(a)
    b1, b0 = halves(b)
    return p, a0 * b0 - (((p - a1 * b1) - a0 * b1) - a1 * b0)


@kernel
def grow(S, n, x):
    """Add x to the expansion of n terms; returns the new number of terms, all of them different from zero."""
    m = 0
    for i in range(n):
        x, low = two_sum(x, S[TERMS + i])
        if low != 0.0:
            S[TERMS + m] = low
            m += 1
    if x != 0.0:
        S[TERMS + m] = x
        m += 1
    return m


@kernel
def grow_product(S, n, x, y, z):
    """Add the product of three floats to the expansion of n terms."""
    if x == 0.0 or y == 0.0 or z == 0.0:
        return n
    high, low = two_product(x, y)
    p, e = two_product(high, z)
    n = grow(S, grow(S, n, e), p)
    if low == 0.0:
        return n
    p, e = two_product(low, z)
    return grow(S, grow(S, n, e), p)


@kernel
def add_products(S, n, i, j, k, sign):
    """Add ``sign * g_i f_j e_k`` to the expansion, every entry of the rows being a sum of two floats."""
    for x in range(2):
        for y in range(2):
            for z in range(2):
                n = grow_product(S, n, sign * S[2 * i + x], S[6 + 2 * j + y], S[12 + 2 * k + z])
    return n


@kernel
def total_of(S, n):
    """The value of an expansion, within one rounding."""
    x = 0.0
    for i in range(n):
        x += S[TERMS + i]
    return x


@kernel
def store_difference(S, at, x, y):
    """``x - y`` as a sum of two floats; False if products with it might not be exact."""
    for number in (x, y):
        if number != 0.0 and not SMALL < abs(number) < LARGE:
            return False
    S[at], S[at + 1] = two_sum(x, -y)
    return True


@kernel
def store_exact(net, S, at, r, q, brk):
    """The row ``z_r - z_q - brk`` (-1: zero) into six places; False if it is not known exactly."""
    if (r >= 0 and net.given[r] == 0) or (q >= 0 and (net.given[q] == 0 or brk != 0.0)):
        return False
    for t in range(3):
        x = net.Z0[t, r] if r >= 0 else 0.0
        y = net.Z0[t, q] if q >= 0 else (brk if t == 2 else 0.0)
        if not store_difference(S, at + 2 * t, x, y):
            return False
    return True


@kernel
def store_facet(net, w, at, f):
    """The row of facet f into six places; False if it is not known exactly."""
    if w.rec_i[f, 4] != -2:
        return store_exact(net, w.sol, at, w.rec_i[f, 3], w.rec_i[f, 4], w.rec_f[f, 4])
    exact = True
    for t in range(3):
        exact &= store_difference(w.sol, at + 2 * t, w.rec_f[f, t], 0.0)
    return exact


@kernel
def exact_value(net, w, f, e):
    """Whether it is known, and the value of the row in the first six places of ``sol`` where f and e meet."""
    S = w.sol
    if not store_facet(net, w, 6, f) or not store_facet(net, w, 12, e):
        return False, 0.0
    n = 0
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        n = add_products(S, n, i, j, k, 1.0)
        n = add_products(S, n, i, k, j, -1.0)
    if n == 0:
        return True, 0.0
    value = total_of(S, n)
    high, low = S[0], S[1]
    S[0], S[1] = 1.0, 0.0
    n = add_products(S, 0, 0, 0, 1, 1.0)
    n = add_products(S, n, 0, 1, 0, -1.0)
    S[0], S[1] = high, low
    if n == 0:
        return False, 0.0
    value /= total_of(S, n)
    return value != 0.0, value
