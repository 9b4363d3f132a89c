"""A traced graph becomes canonical layers: affine steps are folded, every activation closes a layer.

While a graph is traced, a tensor is an affine function of *values*: value 0 is the network's input,
value l the output of layer l. Affine operators only change that function. An activation (pointwise, or the
largest of a group) appends a layer and returns its output as a new value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.lowering.fitting import common_shape, joinable
from adapters.lowering.infinities import moved, refuse_infinite
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError, UnsupportedOpError
from polytope.ir import Activation, Diagonal, Layer, LinearMap, MaxGroups, PiecewiseLinear, Selection
from polytope.ir.algebra import Map, compose, depth, given, merged_sum, simplified, stored
from polytope.ir.maps import FloatArray, IntArray

Array = NDArray[Any]

MAX_ELEMENTS = 2**24
"""Elements that one computed tensor may have."""

MAX_WORK = 2**30
"""Elements that all computed tensors of one model may have together."""

_BOMB = 2**30
_MAX_TERMS = 24
_MAX_FACTORS = 4
_LARGEST_GROUP = 64


@dataclass(frozen=True, eq=False)
class Tensor:
    """An affine function of earlier values: ``sum of maps[i] @ h[k_i] + bias``, laid out as ``shape``."""

    shape: tuple[int, ...]
    terms: tuple[tuple[int, Map], ...]
    bias: FloatArray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def offset(self) -> FloatArray:
        """The constant part, flat."""
        return np.zeros(self.size) if self.bias is None else self.bias

    def reshaped(self, shape: Sequence[int]) -> Tensor:
        """The same numbers in another layout."""
        return Tensor(tuple(shape), self.terms, self.bias)


Value = Tensor | Array
"""A tensor that depends on the input, or a constant."""


@dataclass(eq=False)
class Lowering:
    """The layers traced so far, and the operations that operators are written in.

    Arguments:
        frozen_batch: the batch size that the file fixes, where it is traced with one sample instead.
        spacing: of the splines that stand for smooth activations, if they do.
    """

    frozen_batch: int = 1
    spacing: float | None = None
    layers: list[Layer] = field(default_factory=list)
    sizes: list[int] = field(default_factory=lambda: [0])
    work: int = 0

    def spend(self, elements: int) -> None:
        """Count elements about to be computed; refuse before memory is asked for."""
        if elements > MAX_ELEMENTS:
            kind = UnsafeFileError if elements > _BOMB else UnsupportedOpError
            raise kind(
                f"It asks for a tensor of {elements:,} elements; at most {MAX_ELEMENTS:,} are computed."
            )
        self.toil(elements)

    def toil(self, elements: int) -> None:
        """Count work that makes no single tensor."""
        self.work += max(elements, 1)
        if self.work > MAX_WORK:
            raise UnsupportedOpError(
                f"Tracing the model takes more than {MAX_WORK:,} elements. Export a smaller input shape."
            )

    def input(self, parts: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """The network's input, cut into its parts."""
        sizes = [prod(shape) for shape in parts]
        self.sizes[0] = sum(sizes)
        self.spend(self.sizes[0])
        if len(parts) == 1:
            return [Tensor(parts[0], ((0, None),))]
        starts = np.cumsum([0, *sizes])
        selections = [Selection(np.arange(a, b), self.sizes[0]) for a, b in pairwise(starts)]
        return [Tensor(s, ((0, m),)) for s, m in zip(parts, selections, strict=True)]

    def linear(self, x: Value, linear: LinearMap, shape: Sequence[int]) -> Value:
        """A linear map of the flattened tensor or constant."""
        if isinstance(x, Tensor):
            return self.linear_of(x, linear, shape)
        self.spend(linear.shape[0])
        return linear.apply(np.asarray(x, dtype=float).reshape(-1, 1)).reshape(tuple(shape))

    def linear_of(self, x: Tensor, linear: LinearMap, shape: Sequence[int]) -> Tensor:
        """A linear map of the flattened tensor."""
        if linear.shape != (prod(shape), x.size):
            raise CorruptFileError(
                f"Its operands do not fit: {linear.shape} against {x.shape} -> {tuple(shape)}."
            )
        self.spend(linear.shape[0])
        self.toil(linear.shape[0] * len(x.terms))
        if any(depth(m) >= _MAX_FACTORS for _, m in x.terms):
            x = self.settle(x)
        outer = simplified(linear)
        terms = tuple((k, compose(outer, m)) for k, m in x.terms)
        bias = None if x.bias is None else moved(linear, x.bias)
        return Tensor(tuple(shape), terms, bias)

    def rearrange(self, x: Value, move: Callable[[Array], Array], fill: float = 0.0) -> Value:
        """Reorder, crop, repeat or pad, as ``move`` does with positions; a -1 becomes ``fill``."""
        places = np.asarray(move(np.arange(prod(x.shape)).reshape(x.shape)))
        if not isinstance(x, Tensor):
            flat = np.append(np.ravel(x), np.asarray(fill, dtype=x.dtype))
            return flat[np.where(places < 0, x.size, places)]
        out = self.linear_of(x, Selection(places.ravel().astype(np.int64), x.size), places.shape)
        return self.shift(out, np.where(places < 0, fill, 0.0)) if fill else out

    def scale(self, x: Tensor, factors: Array) -> Tensor:
        """Elementwise product with a constant, broadcast."""
        x, factor = self._broadcast(x, factors)
        return self.linear_of(x, Diagonal(factor), x.shape)

    def shift(self, x: Tensor, constant: Array) -> Tensor:
        """Elementwise sum with a constant, broadcast."""
        x, moved = self._broadcast(x, constant)
        return Tensor(x.shape, x.terms, x.offset() + moved)

    def _broadcast(self, x: Tensor, constant: Array) -> tuple[Tensor, FloatArray]:
        """The tensor and the flat constant in their common shape."""
        constant = self.one_sample(constant, x.shape)
        shape = common_shape(x.shape, constant.shape)
        self.spend(prod(shape))
        flat = np.broadcast_to(constant, shape).astype(float).ravel()
        return self.expand(x, shape), flat

    def expand(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Broadcast to a shape."""
        if shape == x.shape:
            return x
        if prod(shape) == x.size:
            return x.reshaped(shape)
        self.spend(prod(shape))
        out = self.rearrange(x, lambda a: np.broadcast_to(a, shape))
        assert isinstance(out, Tensor), "a broadcast tensor is a tensor"
        return out

    def one_sample(self, constant: Array, like: tuple[int, ...]) -> Array:
        """A constant that repeats one row for each sample of a frozen batch, as one row."""
        n = self.frozen_batch
        repeated = n > 1 and constant.ndim == len(like) and constant.shape[:1] == (n,) and like[0] == 1
        return constant[:1] if repeated and (constant == constant[:1]).all() else constant

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Elementwise sum, broadcast; terms of one value are merged where that is cheap."""
        shape = common_shape(a.shape, b.shape)
        a, b = self.expand(a, shape), self.expand(b, shape)
        terms = list(a.terms)
        for k, linear in b.terms:
            _include(terms, k, linear, a.size)
        self.toil(a.size * len(terms))
        bias = a.bias if b.bias is None else b.bias if a.bias is None else a.bias + b.bias
        total = Tensor(shape, tuple(terms), bias)
        return self.settle(total) if len(terms) > _MAX_TERMS else total

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join along an axis; constants among the parts become constant entries."""
        if not any(isinstance(v, Tensor) for v in values):
            joinable([v.shape for v in values], axis)
            self.spend(sum(prod(v.shape) for v in values))
            return np.concatenate([np.asarray(v) for v in values], axis)
        like = next(v.shape for v in values if isinstance(v, Tensor))
        parts = [v if isinstance(v, Tensor) else self.one_sample(v, like) for v in values]
        joinable([v.shape for v in parts], axis)
        starts = np.cumsum([0, *(int(prod(v.shape)) for v in parts)])
        self.spend(int(starts[-1]))
        self.toil(int(starts[-1]) * len(parts))
        places = [np.arange(a, b).reshape(v.shape) for (a, b), v in zip(pairwise(starts), parts, strict=True)]
        order = np.concatenate(places, axis)
        total: Tensor | None = None
        bias = np.zeros(order.size)
        for (start, end), part in zip(pairwise(starts), parts, strict=True):
            inside = (order.ravel() >= start) & (order.ravel() < end)
            if not isinstance(part, Tensor):
                bias[inside] = np.asarray(part, dtype=float).ravel()[order.ravel()[inside] - start]
                continue
            index = np.where(inside, order.ravel() - start, -1)
            piece = self.linear_of(part, Selection(index, part.size), order.shape)
            total = piece if total is None else self.add(total, piece)
        assert total is not None, "one part at least is a tensor"
        return self.shift(total, bias.reshape(order.shape)) if bias.any() else total

    def settle(self, x: Tensor) -> Tensor:
        """The tensor as a value of its own: an affine layer."""
        if len(x.terms) == 1 and x.terms[0][1] is None and x.bias is None:
            return x
        return self._close(x, None, x.shape)

    def settled_if_shared(self, x: Tensor, uses: int) -> Tensor:
        """The tensor, as a value of its own if several readers would repeat costly maps."""
        costly = any(depth(m) > 1 or not _light(m, x.size) for _, m in x.terms)
        several = len(x.terms) > 1 or depth(x.terms[0][1]) > 1 or stored(x.terms[0][1]) > 2**20
        return self.settle(x) if uses > 1 and costly and several else x

    def activate(self, x: Tensor, activation: PiecewiseLinear) -> Tensor:
        """A pointwise activation; one that changes nothing behind the same one is left out."""
        if self._already(x, activation):
            return x
        return self._close(x, activation, x.shape)

    def _already(self, x: Tensor, activation: PiecewiseLinear) -> bool:
        """Whether x is the output of a layer that has the same activation, and a second pass is idle."""
        k, linear = x.terms[0]
        if len(x.terms) > 1 or linear is not None or x.bias is not None or k == 0:
            return False
        done = self.layers[k - 1].activation
        return isinstance(done, PiecewiseLinear) and _idempotent(activation) and _same(done, activation)

    def largest(self, x: Tensor, members: IntArray, shape: Sequence[int]) -> Tensor:
        """The largest of each group of elements; ``members[groups, size]``, -1 where a group is shorter."""
        self.spend(members.size)
        x, members = self._that_can_win(x, members)
        members = np.take_along_axis(members, np.argsort(members < 0, axis=1, kind="stable"), axis=1)
        if (members[:, 0] < 0).any():
            raise UnsupportedOpError("A pooling window lies entirely in the padding: its maximum is -inf.")
        while members.shape[1] > _LARGEST_GROUP:
            padded = np.pad(members, ((0, 0), (0, -members.shape[1] % _LARGEST_GROUP)), constant_values=-1)
            groups = padded.reshape(-1, _LARGEST_GROUP)
            kept = groups[:, 0] >= 0
            x = self._close(x, MaxGroups(groups[kept]), (int(kept.sum()),))
            members = np.where(kept, np.cumsum(kept) - 1, -1).reshape(len(members), -1)
        return self._close(x, MaxGroups(members), tuple(shape))

    def _that_can_win(self, x: Tensor, members: IntArray) -> tuple[Tensor, IntArray]:
        """Without the elements that are -inf whatever the input is."""
        never = x.offset() == -np.inf
        if not never.any():
            return x, members
        kept = np.flatnonzero(~never)
        places = np.where(never, -1, np.cumsum(~never) - 1)
        members = np.where(members >= 0, places[members], -1)
        return self.linear_of(x, Selection(kept, x.size), (len(kept),)), members

    def _close(self, x: Tensor, activation: Activation | None, shape: tuple[int, ...]) -> Tensor:
        """Append a layer and return its output."""
        values = tuple(k for k, _ in x.terms)
        maps = tuple(given(m, self.sizes[k]) for k, m in x.terms)
        layer = Layer(values, maps, x.offset(), activation)
        refuse_infinite(layer)
        self.layers.append(layer)
        self.sizes.append(layer.width)
        self.spend(layer.width)
        return Tensor(shape, ((len(self.layers), None),))

    def finish(self, outputs: Sequence[Value]) -> tuple[Layer, ...]:
        """The layers, the last of which gives all outputs in order."""
        flat = [
            v.reshaped((v.size,)) if isinstance(v, Tensor) else np.ravel(v).astype(float) for v in outputs
        ]
        joined = self.concat(flat, 0) if len(flat) > 1 else flat[0]
        if not prod(joined.shape):
            raise UnsupportedOpError("The model's outputs hold no numbers: one of their sizes is zero.")
        if not isinstance(joined, Tensor):
            warnings.warn("The output does not depend on the input: the network is constant.", stacklevel=2)
            nothing = Selection(np.full(joined.size, -1), self.sizes[0])
            joined = Tensor(joined.shape, ((0, nothing),), joined.astype(float))
        is_last = joined.terms == ((len(self.layers), None),) and joined.bias is None
        if not (is_last and self.layers):
            try:
                self._close(joined, None, joined.shape)
            except LoadError as error:
                raise located(error, "The outputs") from error
        return tuple(self.layers)


def _include(terms: list[tuple[int, Map]], k: int, linear: Map, n: int) -> None:
    """Add one term to a sum, merged with the first of the same value that it can be merged with."""
    for place, (other, present) in enumerate(terms):
        if other == k:
            together = merged_sum(present, linear, n)
            if together is not None:
                terms[place] = (k, simplified(together))
                return
    terms.append((k, linear))


def _light(linear: Map, n: int) -> bool:
    """Whether a map costs no more than a pass over its outputs."""
    return stored(linear) <= 2 * n


def _same(a: PiecewiseLinear, b: PiecewiseLinear) -> bool:
    """Whether two activations are the same function."""
    tables = ((p.breakpoints, p.slopes, p.intercepts) for p in (a, b))
    return a is b or all(np.array_equal(p, q) for p, q in zip(*tables, strict=True))


def _idempotent(activation: PiecewiseLinear) -> bool:
    """Whether a second pass changes nothing: flat pieces that end on a piece of slope one."""
    if len(activation.slopes) > 1 or not set(activation.slopes[0].tolist()) <= {0.0, 1.0}:
        return False
    return _maps_its_range_to_itself(activation)


@lru_cache(maxsize=16)
def _maps_its_range_to_itself(activation: PiecewiseLinear) -> bool:
    """Whether values that the function takes stay where they are."""
    z = np.concatenate([activation.intercepts.ravel(), [-1e30, 1e30]])[None]
    once = activation.values(z)
    return bool((activation.values(once) == once).all())


def located(error: LoadError, place: str) -> LoadError:
    """The same kind of error with the place in front of its sentence."""
    text = str(error)
    return type(error)(f"{place}: {text[:1].lower()}{text[1:]}")
