"""Comparisons of values that depend on the input, and what they select, where it does not jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.lowering.fitting import broadcast, common_shape
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from polytope.errors import NotPiecewiseLinearError
from polytope.ir import relu
from polytope.ir.maps import FloatArray

_JUMP = (
    "it is discontinuous: the branches of its comparison do not meet where it changes, so its output jumps."
)


@dataclass(frozen=True)
class Places:
    """Where extreme values lie: whole numbers that jump, which no affine step may read."""

    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Condition:
    """True where ``difference`` is positive; at zero it does not matter to continuous functions."""

    difference: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the comparison."""
        return self.difference.shape


def output(value: Any, name: str) -> Value:
    """An output of the model, which must be a number that does not jump."""
    if isinstance(value, Condition | Places):
        kind = "a comparison of the input" if isinstance(value, Condition) else "places of extreme values"
        raise NotPiecewiseLinearError(
            f"Output {name!r} holds {kind}: whole numbers that jump. "
            "Name the other outputs: load(path, until=...)."
        )
    return value if isinstance(value, Tensor) else np.asarray(value)


def selected(t: Lowering, condition: Any, yes: Value, no: Value) -> Value:
    """``yes`` where the condition holds, ``no`` elsewhere.

    With :math:`d` the compared difference, this is continuous if ``yes - no`` is a multiple s of d,
    and then it is ``no + s max(d, 0)``.
    """
    if isinstance(yes, Condition) or isinstance(no, Condition):
        raise NotPiecewiseLinearError("it selects a comparison of the input: its output jumps.")
    if isinstance(condition, Condition):
        return _hinged(t, condition.difference, yes, no)
    if isinstance(condition, Tensor):
        raise NotPiecewiseLinearError(_JUMP)
    if not isinstance(yes, Tensor) and not isinstance(no, Tensor):
        common_shape(*(np.shape(v) for v in (condition, yes, no)))
        return np.where(condition, yes, no)
    mask = np.asarray(condition, dtype=bool)
    return _sum(t, _kept(t, yes, mask), _kept(t, no, ~mask))


def _kept(t: Lowering, x: Value, mask: Array) -> Value:
    """The value where a mask holds, zero elsewhere, where it may be infinite."""
    if not isinstance(x, Tensor):
        common_shape(mask.shape, x.shape)
        return np.where(mask, x, 0.0)
    mask = t.one_sample(mask, x.shape)
    shape = common_shape(x.shape, mask.shape)
    return t.rearrange(t.expand(x, shape), lambda a: np.where(broadcast(mask, shape), a, -1))


def _scaled(t: Lowering, x: Value, factors: Array) -> Value:
    return t.scale(x, factors) if isinstance(x, Tensor) else np.asarray(x) * factors


def _sum(t: Lowering, a: Value, b: Value) -> Value:
    if isinstance(a, Tensor):
        return t.add(a, b) if isinstance(b, Tensor) else t.shift(a, b)
    return t.shift(b, a) if isinstance(b, Tensor) else np.asarray(a) + np.asarray(b)


def _hinged(t: Lowering, difference: Tensor, yes: Value, no: Value) -> Value:
    gap = _sum(t, yes, _scaled(t, no, np.asarray(-1.0)))
    shape = common_shape(gap.shape, difference.shape)
    difference = t.expand(difference, shape)
    factors = _ratio(t, _tensor(t, gap, shape), difference).reshape(shape)
    if not factors.any():
        return no
    return _sum(t, t.scale(t.activate(difference, relu()), factors), no)


def _tensor(t: Lowering, x: Value, shape: tuple[int, ...]) -> Tensor:
    """A value as a tensor of a shape; a constant as one without terms."""
    if isinstance(x, Tensor):
        return t.expand(x, shape)
    return Tensor(shape, (), broadcast(np.asarray(x, dtype=float), shape).ravel())


def _ratio(t: Lowering, x: Tensor, d: Tensor) -> FloatArray:
    """The factor s of each element with x = s d as functions of the values, found on random values."""
    rng = np.random.default_rng(0)
    values = {k: rng.standard_normal((t.sizes[k], 4)) for k, _ in (*x.terms, *d.terms)}
    p, q = _evaluated(x, values), _evaluated(d, values)
    norm = (q * q).sum(axis=1)
    s = np.divide((p * q).sum(axis=1), norm, out=np.zeros_like(norm), where=norm > 0)
    apart = np.abs(p - s[:, None] * q).max(axis=1, initial=0.0)
    if not np.isfinite(p).all() or (apart > 1e-9 * (np.abs(p).max(axis=1, initial=0.0) + 1e-30)).any():
        raise NotPiecewiseLinearError(_JUMP)
    return np.asarray(s)


def _evaluated(x: Tensor, values: dict[int, FloatArray]) -> FloatArray:
    """The tensor at given values, in columns."""
    out = np.repeat(x.offset()[:, None], 4, axis=1)
    for k, linear in x.terms:
        out += values[k] if linear is None else linear.apply(values[k])
    return out
