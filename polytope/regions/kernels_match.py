r"""Compiled: which two cells share a facet, by the keys that both sides gave it."""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def partition(key, name, bits, first, last):
    """The keys with top bits in first .. last - 1 and their names, grouped by them; where groups start."""
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
    keys = np.empty(starts[last - first], dtype=key.dtype)
    names = np.empty(starts[last - first], dtype=name.dtype)
    for i in range(n):
        b = np.int64(key[i] >> shift)
        if key[i] != 0 and first <= b < last:
            keys[at[b - first]] = key[i]
            names[at[b - first]] = name[i]
            at[b - first] += 1
    return keys, names, starts


@njit(cache=True, nogil=True)
def match(key, name, bits, first, last):
    """The two names of every key whose top bits are in first .. last - 1, ``int64[E, 2]``.

    And how many of these keys (0 is none) are not in one pair of different names.
    """
    keys, names, starts = partition(key, name, bits, first, last)
    pairs = np.empty((keys.shape[0] // 2 + 1, 2), dtype=np.int64)
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
        for i in range(lo, hi):
            h = keys[i] & mask
            while table[h] >= 0 and keys[table[h]] != keys[i]:
                h = (h + np.uint64(1)) & mask
            j = table[h]
            if j < 0:
                table[h] = i
                odd += 1
            elif names[j] < 0 or names[j] == names[i]:  # of a pair already, or of the same cell
                odd += 1
            else:
                pairs[n, 0] = names[j]
                pairs[n, 1] = names[i]
                names[j] = -1
                n += 1
                odd -= 1
        for i in range(lo, hi):
            h = keys[i] & mask
            while table[h] >= 0:
                table[h] = -1
                h = (h + np.uint64(1)) & mask
    return pairs[:n], odd
