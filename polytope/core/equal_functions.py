r"""Which pre-activations are the same function of the input, because they are built in the same way.

Images with a constant background give convolutions thousands of equal values, and max groups thousands of
ties that hold everywhere. Layer by layer, two pre-activations are equal if they have the same constant part
and the same weights on equal units; two units are equal if their activation and pre-activations are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.core.readers import Read
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray

Words = NDArray[np.uint64]


CHUNK = 1 << 20  # entries that are looked at together
ROWS = 256  # rows that are compared between two looks


@dataclass(frozen=True, eq=False)
class EqualFunctions:
    """For each pre-activation the first one that is built in the same way, layer by layer.

    Arguments:
        units: the flat network's tables.
        same: ``int[pre]``, at first each pre-activation itself.
        unit_class: ``int[units]``, the same of units.
    """

    units: Mapping[str, NDArray[Any]]
    same: IntArray
    unit_class: IntArray

    def add(
        self, part: slice, mine: slice, constant: FloatArray, reads: Sequence[Read], starts: Mapping[int, int]
    ) -> None:
        """The next layer.

        Arguments:
            part, mine: its pre-activations and its units.
            constant: ``[d + 1, width]``, what does not depend on earlier layers.
            reads: its maps on those.
            starts: the first unit of each layer that is read.
        """
        code = _scramble(constant + 0.0).sum(axis=0, dtype=np.uint64)
        if len(np.unique(code)) < len(code):  # else no two have the same constant
            rows = [
                (matrix, self.unit_class[starts[k] :][: matrix.shape[1]])
                for k, _, matrix in reads
                if matrix is not None
            ]
            for matrix, classes in rows:
                code += _row_codes(matrix, classes)
            self.same[part] = part.start + _first_of_equal(code, constant, rows)
        look()
        _classify(self.unit_class, mine, self.same, self.units)


def _scramble(values: FloatArray, salt: NDArray[Any] | int = 0) -> Words:
    """Pseudo-random words from float64 numbers and a salt."""
    x = np.ascontiguousarray(values).view(np.uint64) + np.asarray(salt, dtype=np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )
    x = x + np.arange(1, len(x) + 1, dtype=np.uint64).reshape(-1, *[1] * (x.ndim - 1)) if x.ndim > 1 else x
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scrambled: Words = x ^ (x >> np.uint64(31))
    return scrambled


def _row_codes(matrix: csr_array, classes: IntArray) -> Words:
    """A sum over each row's entries that depends on the classes they read and on the weights."""
    codes = np.zeros(matrix.shape[0], dtype=np.uint64)
    step = max(1, CHUNK * len(codes) // max(matrix.nnz, 1))
    for first in range(0, len(codes), step):
        look()
        ends = matrix.indptr[first : first + step + 1]
        span = slice(int(ends[0]), int(ends[-1]))
        words = _scramble(matrix.data[span].astype(float), classes[matrix.indices[span]] + 1)
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(words, dtype=np.uint64)])
        codes[first : first + step] = sums[ends[1:] - ends[0]] - sums[ends[:-1] - ends[0]]
    return codes


def _first_of_equal(code: Words, part: FloatArray, rows: Sequence[tuple[csr_array, IntArray]]) -> IntArray:
    """For each row the first equal one: candidates by code, then compared entry by entry."""
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    out: IntArray = first[inverse].astype(np.int64)
    for i, r in enumerate(np.flatnonzero(out != np.arange(len(code))).tolist()):
        if i % ROWS == 0:
            look()
        q = int(out[r])
        if not (part[:, r] == part[:, q]).all() or not all(_equal_rows(m, c, r, q) for m, c in rows):
            out[r] = r
    return out


def _equal_rows(matrix: csr_array, classes: IntArray, r: int, q: int) -> bool:
    """Whether two rows have the same weights on equal units."""
    parts = []
    for row in (r, q):
        span = slice(int(matrix.indptr[row]), int(matrix.indptr[row + 1]))
        reads, weights = classes[matrix.indices[span]], matrix.data[span]
        order = np.lexsort((weights, reads))
        parts.append((reads[order], weights[order]))
    return all(np.array_equal(x, y) for x, y in zip(*parts, strict=True))


def _classify(unit_class: IntArray, span: slice, same: IntArray, units: Mapping[str, NDArray[Any]]) -> None:
    """Give equal units of one layer the number of the first of them."""
    known: dict[tuple[int, ...], int] = {}
    table, pieces, sources = units["tab"], units["n_seg"], units["src"]
    for u in range(span.start, span.stop):
        start, n = int(table[u]), int(pieces[u])
        if units["kind"][u] == 0:
            key: tuple[int, ...] = (int(same[sources[u]]), start, n)
        else:
            key = (-1, *(int(same[m]) for m in units["mem"][start : start + n]))
        unit_class[u] = known.setdefault(key, u)
