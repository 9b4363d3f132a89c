"""Recurrent layers with ReLU, unrolled: h_s = max(W x_s + R h_{s-1} + b, 0) for each step s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.lowering.fitting import of_length, of_rank
from adapters.lowering.layers import Array, Lowering, Value
from adapters.lowering.reasons import SMOOTH
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.arithmetic import total
from adapters.ops.linear import matmul
from adapters.ops.pointwise import activated
from adapters.ops.shape import in_shape, permuted, taken
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError
from polytope.ir import relu

Weights = tuple[Array, Array, Array]
"""W ``[hidden, in]``, R ``[hidden, hidden]``, b ``[hidden]``."""


def step(t: Lowering, x: Value, h: Value, weights: Weights) -> Value:
    """One step: ``x[batch, in]`` and ``h[batch, hidden]`` to the next h."""
    W, R, b = weights
    return activated(t, total(t, total(t, matmul(t, x, W.T), matmul(t, h, R.T)), b), relu())


def unrolled(t: Lowering, x: Value, h: Value, weights: Weights, *, reverse: bool) -> list[Value]:
    """The states after each step of ``x[length, batch, in]``, in the order of x."""
    order = range(x.shape[0])
    states: dict[int, Value] = {}
    for s in reversed(order) if reverse else order:
        h = states[s] = step(t, taken(t, x, np.asarray(s), 0), h, weights)
    return [states[s] for s in order]


def layer(
    t: Lowering, x: Value, start: Value, directions: Sequence[Weights], reverse: Sequence[bool]
) -> tuple[Value, Value]:
    """All states ``[length, directions, batch, hidden]`` and the last ``[directions, batch, hidden]``."""
    found, last = [], []
    for d, (weights, backward) in enumerate(zip(directions, reverse, strict=True)):
        states = unrolled(t, x, taken(t, start, np.asarray(d), 0), weights, reverse=backward)
        found.append(t.concat([in_shape(h, (1, 1, *h.shape)) for h in states], 0))
        final = states[0 if backward else -1]
        last.append(in_shape(final, (1, *final.shape)))
    return t.concat(found, 1), t.concat(last, 0)


def _refuse_unfitting(x: Value, W: Array, R: Array, b: Array | None) -> None:
    """Refuse tables that are not ``W[d, hidden, in]``, ``R[d, hidden, hidden]`` and ``b[d, 2 hidden]``."""
    directions, hidden = (W.shape[0], W.shape[1]) if W.ndim == 3 else (0, 0)
    fits = len(x.shape) == 3 and W.shape == (directions, hidden, x.shape[2]) and x.shape[0] > 0
    fits = fits and R.shape == (directions, hidden, hidden)
    if not fits or (b is not None and b.shape != (directions, 2 * hidden)):
        raise CorruptFileError(
            f"Its weights {list(W.shape)}, {list(R.shape)} do not fit its input of shape {list(x.shape)}."
        )


@onnx_op("RNN", note="activation Relu; weights constant; all sequences of full length; no clip")
def rnn(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Recurrent layer with ReLU, unrolled."""
    names = [n.decode() for n in node.get("activations", [b"Tanh"])]
    others = [name for name in names if name != "Relu"]
    if {*others} & {*SMOOTH}:
        raise NotPiecewiseLinearError(f"its activation {others[0]} is not piecewise linear; Relu is.")
    if others:
        raise UnsupportedOpError(f"its activation {others[0]} is not supported; Relu is.")
    x, batch_first = node[0], bool(node.get("layout", 0))
    x = permuted(t, x, (1, 0, 2)) if batch_first else x
    lengths, (W, R) = node.constant_or_none(4), (node.constant(i).astype(float) for i in (1, 2))
    if node.get("clip") is not None or (lengths is not None and (lengths != x.shape[0]).any()):
        raise UnsupportedOpError("its clip, or sequences of different lengths, are not supported.")
    b = node.constant_or_none(3)
    _refuse_unfitting(x, W, R, b)
    sums = np.zeros(R.shape[:2]) if b is None else b.reshape(len(R), 2, -1).sum(axis=1)
    direction = node.get("direction", b"forward").decode()
    reverse = {"forward": [False], "reverse": [True]}.get(direction, [False, True])
    of_length(R.tolist(), len(reverse), "weights")
    start = node.input(5)
    start = np.zeros((len(R), x.shape[1], R.shape[1])) if start is None else start
    start = permuted(t, start, (1, 0, 2)) if batch_first and node.input(5) is not None else start
    found, last = layer(t, x, start, list(zip(W, R, sums, strict=True)), reverse)
    if not batch_first:
        return found, last
    return permuted(t, found, (2, 0, 1, 3)), permuted(t, last, (1, 0, 2))


def _table(W: Array, R: Array, biases: Sequence[Array]) -> Weights:
    """Matrices and the sum of the biases, if their sizes fit."""
    of_rank(W.shape, 2, 2)
    n = len(W)
    if R.shape != (n, n) or any(b.shape != (n,) for b in biases):
        raise CorruptFileError(f"Its weights {list(W.shape)}, {list(R.shape)} and biases do not fit.")
    return W, R, sum(biases, np.zeros(n))


@aten_op("rnn_relu", note="weights constant; inference")
def aten_rnn(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Recurrent layers with ReLU, unrolled."""
    x, start = node.get("input"), node.get("hx")
    arrays = [np.asarray(fixed(p, "weights"), dtype=float) for p in node.get("params")]
    size, directions = 4 if node.get("has_biases") else 2, 2 if node.get("bidirectional") else 1
    if not arrays or len(arrays) % (size * directions):
        raise CorruptFileError(f"Its {len(arrays)} tables of weights do not make layers of {size}.")
    of_rank(x.shape, 2, 3)
    of_rank(start.shape, len(x.shape), len(x.shape))
    bare, batch_first = len(x.shape) == 2, bool(node.get("batch_first"))
    if bare:
        x, start = (in_shape(v, (v.shape[0], 1, v.shape[1])) for v in (x, start))
    x = permuted(t, x, (1, 0, 2)) if batch_first and not bare else x
    tables = [_table(a[0], a[1], a[2:]) for a in (arrays[i : i + size] for i in range(0, len(arrays), size))]
    finals = []
    for k in range(0, len(tables), directions):
        begin = taken(t, start, np.arange(k, k + directions), 0)
        found, last = layer(t, x, begin, tables[k : k + directions], [False, True][:directions])
        x = permuted(t, found, (0, 2, 1, 3))
        x = in_shape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))
        finals.append(last)
    out = permuted(t, x, (1, 0, 2)) if batch_first and not bare else x
    final = t.concat(finals, 0)
    if bare:
        out, final = (in_shape(v, (v.shape[0], v.shape[2])) for v in (out, final))
    return out, final


@aten_op("rnn_relu_cell", note="weights constant")
def aten_rnn_cell(t: Lowering, node: Node) -> Value:
    """One step of a recurrent layer with ReLU."""
    W, R = (np.asarray(fixed(node.get(n), "weights"), dtype=float) for n in ("w_ih", "w_hh"))
    biases = [node.get(n) for n in ("b_ih", "b_hh") if node.get(n) is not None]
    biases = [np.asarray(fixed(v, "bias"), dtype=float) for v in biases]
    return step(t, node.get("input"), node.get("hx"), _table(W, R, biases))
