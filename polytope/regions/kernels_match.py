r"""Compiled: which two cells share a facet, by the keys that both sides gave it."""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def partition(key, bits, first, last):
    """Places of the keys with top bits in first .. last - 1, grouped by them; where each group starts."""
    n = key.shape[0]
    shift = np.uint64(64 - bits)
    starts = np.zeros(last - first + 1, dtype=np.int64)
    for i in range(n):
        b = np.int64(key[i] >> shift)
        if key[i] != 0 and first <= b < last:
            starts[b - first + 1] += 1
    for b in range(last - first):
        starts[b + 1] += starts[b]
    at = starts.copy()
    order = np.empty(starts[last - first], dtype=np.int64)
    for i in range(n):
        b = np.int64(key[i] >> shift)
        if key[i] != 0 and first <= b < last:
            order[at[b - first]] = i
            at[b - first] += 1
    return order, starts


@njit(cache=True, nogil=True)
def match(key, cell, bits, first, last, places):
    """The two cells (or places) of every key whose top bits are in first .. last - 1, ``int64[E, 2]``.

    And how many of these keys (0 is none) are not in one pair.
    """
    order, starts = partition(key, bits, first, last)
    pairs = np.empty((order.shape[0] // 2 + 1, 2), dtype=np.int64)
    n = 0
    odd = 0
    most = 0
    for b in range(last - first):
        most = max(most, starts[b + 1] - starts[b])
    size = 16
    while size < 2 * most:
        size *= 2
    table = np.full(size, -1, dtype=np.int64)
    mask = np.uint64(size - 1)
    for b in range(last - first):
        lo, hi = starts[b], starts[b + 1]
        for p in range(lo, hi):
            i = order[p]
            h = key[i] & mask
            while table[h] >= 0 and key[table[h]] != key[i]:
                h = (h + np.uint64(1)) & mask
            if table[h] < 0:
                table[h] = i
                odd += 1
            else:
                j = table[h]
                if cell[j] < 0 or cell[i] == cell[j]:
                    odd += 1000000
                elif n < pairs.shape[0]:
                    pairs[n, 0] = j if places else cell[j]
                    pairs[n, 1] = i if places else cell[i]
                    n += 1
                    odd -= 1
        for p in range(lo, hi):
            h = key[order[p]] & mask
            while table[h] >= 0:
                table[h] = -1
                h = (h + np.uint64(1)) & mask
    return pairs[:n], odd
