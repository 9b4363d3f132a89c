r"""How layers read others, in the arrays of a flat network: one column of weights for each unit that is read.

Each matrix is made once, by rows and by columns, and dropped before the next one: of a large convolution it
has hundreds of millions of entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.ir.by_columns import by_columns
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import Dense, FloatArray, IntArray, LinearMap

DENSE_SHARE = 0.4  # a map with more entries than this share of its size is stored dense


class Read(NamedTuple):
    """A layer's map on one value.

    Arguments:
        value: the number of the layer that it reads; 0 is the input.
        linear: the map.
        rows: its matrix; of the input none.
    """

    value: int
    linear: LinearMap
    rows: csr_array | None


def reads_of(layer: Layer) -> list[Read]:
    """What a layer reads; the matrices of maps that are not of the input."""
    out = []
    for k, linear in zip(layer.inputs, layer.maps, strict=True):
        look()
        out.append(Read(k, linear, csr_array(linear.to_sparse()) if k else None))
    return out


@dataclass
class Readers:
    """Columns of weights, appended map by map.

    Arguments:
        layers: the number of layers, without the domain's rows.
    """

    layers: int
    entries: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    norm: list[FloatArray] = field(default_factory=list)
    dense: list[FloatArray] = field(default_factory=list)
    ptr: list[IntArray] = field(default_factory=list)
    idx: list[IntArray] = field(default_factory=list)
    val: list[FloatArray] = field(default_factory=list)
    n_dense: int = 0
    n_ptr: int = 0
    n_idx: int = 0
    n_norm: int = 0

    def add(self, source: int, target: int, read: Read, offset: int) -> None:
        """A map of one layer to another.

        Arguments:
            source, target: where the two stand among the layers.
            offset: the target's first pre-activation.
        """
        assert read.rows is not None, "the input has no columns"
        full = mostly_full(read.linear, read.rows)
        if full is not None:
            self.entries.append((source, target, self.n_dense, -1, self.n_norm))
            self.dense.append(np.ascontiguousarray(full.T).ravel())
            self.norm.append(row_norms(full))
            self.n_dense += full.size
            self.n_norm += len(full)
            return
        matrix = by_columns(read.linear)
        matrix.sort_indices()
        look(8 * matrix.nnz)
        self.entries.append((source, target, -1, self.n_ptr, -1))
        self.ptr.append(matrix.indptr.astype(np.int64) + self.n_idx)
        self.idx.append(matrix.indices.astype(np.int64) + offset)
        self.val.append(matrix.data.astype(float, copy=False))
        self.n_ptr += len(matrix.indptr)
        self.n_idx += matrix.nnz

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All of them, in the order of the layers that are read."""
        entries = np.array(sorted(self.entries), dtype=np.int64).reshape(-1, 5)
        number = np.arange(self.layers + 2)
        return {
            "rd_ptr": np.searchsorted(entries[:, 0], number).astype(np.int64),
            "rd_layer": entries[:, 1],
            "rd_dense": entries[:, 2],
            "rd_sparse": entries[:, 3],
            "rd_norm": entries[:, 4],
            "norm": self._joined(self.norm, np.float64),
            "dense": self._joined(self.dense, np.float64),
            "dense_error": np.zeros(1),
            "sp_ptr": self._joined(self.ptr, np.int64),
            "sp_idx": self._joined(self.idx, np.int64),
            "sp_val": self._joined(self.val, np.float64),
        }

    @staticmethod
    def _joined(parts: list[Any], kind: type) -> NDArray[Any]:
        """The parts one behind the other, and a zero; each is dropped when it is copied."""
        out: NDArray[Any] = np.zeros(sum(map(len, parts)) + 1, dtype=kind)
        at = 0
        while parts:
            look(8 * len(parts[0]))
            part = parts.pop(0)
            out[at : at + len(part)] = part
            at += len(part)
        return out


def mostly_full(linear: LinearMap, rows: csr_array) -> FloatArray | None:
    """The matrix of a map that is best stored dense, else ``None``."""
    least = DENSE_SHARE * linear.shape[0] * linear.shape[1]
    if isinstance(linear, Dense):
        return linear.matrix if np.count_nonzero(linear.matrix) > least else None
    return rows.toarray() if rows.nnz > least else None


def row_norms(matrix: FloatArray) -> FloatArray:
    """The length of every row, or more; no square under- or overflows where it matters."""
    size = np.abs(matrix).max(axis=1, initial=0.0)
    part = matrix / np.where(size > 0, size, 1.0)[:, None]
    with np.errstate(over="ignore"):  # then infinite, which is more
        lengths: FloatArray = np.sqrt((part**2).sum(axis=1)) * size * (1 + 1e-12)
    return lengths
