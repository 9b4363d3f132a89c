"""Matrix products with a constant: Gemm, MatMul, linear layers."""

from __future__ import annotations

from math import prod

import numpy as np
from scipy.sparse import csr_array

from adapters.lowering.fitting import common_shape
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.arithmetic import total
from polytope.errors import CorruptFileError, NotPiecewiseLinearError
from polytope.ir import Convolution, Dense, Sparse
from polytope.ir.maps import FloatArray

_SMALL = 2**14


@onnx_op("MatMul", note="one operand constant; any rank")
def matmul_node(t: Lowering, node: Node) -> Value:
    """Matrix product."""
    return matmul(t, node[0], node[1])


@aten_op("mm", "bmm", "matmul", "mv", note="one operand constant")
def aten_matmul(t: Lowering, node: Node) -> Value:
    """Matrix product."""
    other = [node.get(name) for name in ("mat2", "other", "vec")]
    return matmul(t, node.get("self"), next(v for v in other if v is not None))


@onnx_op("Gemm", note="A or B constant; C constant or not")
def gemm(t: Lowering, node: Node) -> Value:
    """Product of two matrices plus a third: alpha A B + beta C, A and B transposed on request."""
    a, b, c = node[0], node[1], node.input(2)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise CorruptFileError(
            f"Its operands must be matrices; their shapes are {list(a.shape)} and {list(b.shape)}."
        )
    a = turned(t, a) if node.get("transA") else a
    b = turned(t, b) if node.get("transB") else b
    return _biased(t, matmul(t, a, b), c, float(node.get("alpha", 1.0)), float(node.get("beta", 1.0)))


@aten_op("addmm", note="one matrix constant")
def addmm(t: Lowering, node: Node) -> Value:
    """Product of two matrices plus a third."""
    product = matmul(t, node.get("mat1"), node.get("mat2"))
    return _biased(t, product, node.get("self"), float(node.get("alpha", 1)), float(node.get("beta", 1)))


@aten_op("linear", note="weight constant")
def linear_layer(t: Lowering, node: Node) -> Value:
    """Product with a transposed weight, plus bias."""
    weight = fixed(node.get("weight"), "weight")
    return _biased(t, matmul(t, node.get("input"), weight.T), node.get("bias"), 1.0, 1.0)


def _biased(t: Lowering, product: Value, bias: Value | None, alpha: float, beta: float) -> Value:
    """The weighted sum of product and bias."""
    if alpha != 1.0:
        product = t.scale(product, np.asarray(alpha)) if isinstance(product, Tensor) else product * alpha
    if bias is None or beta == 0.0:
        return product
    scaled = bias
    if beta != 1.0:
        scaled = t.scale(bias, np.asarray(beta)) if isinstance(bias, Tensor) else bias * beta
    return total(t, product, scaled)


def turned(t: Lowering, x: Value) -> Value:
    """The last two axes exchanged."""
    return t.rearrange(x, lambda a: np.swapaxes(a, -1, -2))


def matmul(t: Lowering, a: Value, b: Value) -> Value:
    """Matrix product of numpy's rules, at most one factor depending on the input."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise NotPiecewiseLinearError("both of its operands depend on the input: their product is quadratic.")
    if not a.shape or not b.shape or a.shape[-1] != b.shape[max(-2, -len(b.shape))]:
        raise CorruptFileError(
            f"A matrix product of shapes {list(a.shape)} and {list(b.shape)} does not exist."
        )
    if a.shape[-1] == 0:
        shape = (*common_shape(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[1:][-1:])
        t.spend(prod(shape))
        return np.zeros(shape)  # sums of nothing
    if isinstance(a, Tensor):
        return _times(t, a, np.asarray(b))
    if isinstance(b, Tensor):
        return _from_left(t, np.asarray(a), b)
    common_shape(a.shape[:-2], b.shape[:-2])
    t.spend(prod(a.shape[:-1]) * prod(b.shape[-1:] if b.ndim > 1 else ()))
    return np.asarray(np.asarray(a) @ np.asarray(b))


def _from_left(t: Lowering, a: Array, x: Tensor) -> Value:
    """Constant times tensor, by way of the transposed product."""
    vector = len(x.shape) == 1
    column = x.reshaped((*x.shape, 1)) if vector else x
    row = turned(t, column)
    assert isinstance(row, Tensor), "rearranging keeps a tensor"
    out = _times(t, row, a if a.ndim == 1 else np.swapaxes(a, -1, -2))
    if a.ndim == 1:
        return out
    back = turned(t, out)
    return back.reshaped(back.shape[:-1]) if vector and isinstance(back, Tensor) else back


def _times(t: Lowering, x: Tensor, weight: Array) -> Tensor:
    """Tensor times constant."""
    w = np.asarray(weight, dtype=float)
    if w.ndim == 1:
        out = _times(t, x, w[:, None])
        return out.reshaped(out.shape[:-1])
    if w.ndim > 2 and prod(w.shape[:-2]) == 1 and w.ndim <= len(x.shape):
        w = w.reshape(w.shape[-2:])
    if w.ndim == 2:
        return _rows_times(t, x, w)
    return _batched_times(t, x, w)


def _rows_times(t: Lowering, x: Tensor, w: FloatArray) -> Tensor:
    """Each row of x times one matrix; many rows share its numbers as a convolution's kernel does."""
    rows, (m, n) = x.size // w.shape[0] if w.size else 0, w.shape
    shape = (*x.shape[:-1], n)
    if rows == 1:
        return t.linear_of(x, Dense(np.ascontiguousarray(w.T)), shape)
    if rows * rows * m * n <= _SMALL:
        return t.linear_of(x, Dense(np.asarray(np.kron(np.eye(rows), w.T), dtype=float)), shape)
    kernel = np.ascontiguousarray(w.T).reshape(n, 1, 1, m)
    products = t.linear_of(x, Convolution(kernel, (1, rows, m), (1, 1), (1, 1), ((0, 0), (0, 0))), (n, rows))
    out = t.rearrange(products, lambda a: a.T.reshape(shape))
    assert isinstance(out, Tensor), "rearranging keeps a tensor"
    return out


def _batched_times(t: Lowering, x: Tensor, w: FloatArray) -> Tensor:
    """A different matrix for each leading index: a sparse matrix of blocks."""
    k = w.shape[-2]
    if len(x.shape) == 1:
        out = _batched_times(t, x.reshaped((1, x.size)), w)
        return out.reshaped((*out.shape[:-2], out.shape[-1]))
    lead = common_shape(x.shape[:-2], w.shape[:-2])
    shape = (*lead, x.shape[-2], w.shape[-1])
    t.spend(prod(shape) * k)
    places = np.arange(x.size).reshape(x.shape)[..., :, None, :]
    weights = np.swapaxes(w, -1, -2)[..., None, :, :]
    columns = np.broadcast_to(places, (*shape, k)).ravel()
    values = np.broadcast_to(weights, (*shape, k)).ravel()
    matrix = csr_array((values, columns, np.arange(prod(shape) + 1) * k), shape=(prod(shape), x.size))
    return t.linear_of(x, Sparse(matrix), shape)
