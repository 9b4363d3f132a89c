"""The architecture of a torch module: layers are probed by unit weights, so ties and pooling are seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from polytope.infinite.layers import activation_of, is_torch, refuse, ties_of
from polytope.infinite.priors import Prior
from polytope.infinite.reading import (
    Builder,
    Layout,
    linear_step,
    read_slots,
    taken_for_channels,
    together,
)
from polytope.infinite.slots import Slots
from polytope.infinite.steps import Architecture
from polytope.infinite.traced import Call, calls
from polytope.ir.maps import FloatArray
from polytope.ir.tied import Ties, Weights

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Value:
    """A value of the module: its number among the steps, its shape, and what is done in front of weights."""

    number: int
    shape: Shape
    axis: int | None = None
    raw: tuple[Call, ...] | None = None


def from_module(module: nn.Module, input_shape: Shape | None, prior: Prior) -> Architecture:
    """The architecture of a torch module.

    Arguments:
        module: of one input and one output.
        input_shape: of one point; ``None`` where the first layer is an ``nn.Linear``.
        prior: of the weights.

    Raises:
        ValueError: a layer without a closed form, by name.
    """
    training = module.training
    module.eval()  # dropout does nothing
    try:
        return _Reading(module, input_shape, prior).architecture()
    finally:
        module.train(training)


class _Reading:
    """What is read of a module, call by call."""

    def __init__(self, module: nn.Module, input_shape: Shape | None, prior: Prior) -> None:
        self.prior, self.builder = prior, Builder()
        self.first, self.calls, self.last = calls(module)
        self.shape = input_shape or self._shape_of_first()
        self.values = {self.first: _Value(0, self.shape, raw=())}
        self.prepared: tuple[Call, ...] | None = None
        self.prepared_size = prod(self.shape)
        self.seen: set[int] = set()
        self.assumed: list[str] = []

    def architecture(self) -> Architecture:
        """All calls, one after the other."""
        for call in self.calls:
            self.values[call.result] = self._read(call)
        if self.values[self.last].raw is not None:
            raise ValueError("The module has no weights: there is no ensemble of networks.")
        steps = self.prepared or ()
        prepare = _composed(steps) if steps else None
        assumed = [*self.prior.in_words, *self.assumed]
        return self.builder.architecture(self.shape, assumed, prepare=prepare, prepared=self.prepared_size)

    def _shape_of_first(self) -> Shape:
        first = self.calls[0].module if self.calls else None
        if isinstance(first, nn.Linear):
            return (first.in_features,)
        raise ValueError("input_shape= is needed: the shape of one input, without the batch axis.")

    def _read(self, call: Call) -> _Value:
        refuse(call)
        values = [self.values[name] for name in call.reads]
        if len(values) > 1:
            return self._sum(call, values)
        [value] = values
        ties = ties_of(call)
        if ties is not None:
            return self._linear(call, ties, value)
        if value.raw is not None:
            return _Value(0, _shape_after(call, value.shape), raw=(*value.raw, call))
        activation = activation_of(call)
        if activation is not None:
            name = f"{call.name} ({call.kind})"
            return _Value(self.builder.bend(activation, value.number, name), value.shape, value.axis)
        return self._fixed(call, value)

    def _sum(self, call: Call, values: list[_Value]) -> _Value:
        if not call.is_sum:
            raise ValueError(f"{call.name} joins several values: only their sum has a limit here.")
        if len({value.shape for value in values}) > 1:
            shapes = [value.shape for value in values]
            raise ValueError(f"{call.name} adds values of shapes {shapes}.")
        for value in values:
            if value.raw is not None and value.raw != self.prepared:
                raise ValueError(f"{call.name} adds the input to a value: put a linear layer in front of it.")
        number = self.builder.sum(tuple(value.number for value in values), call.name)
        return _Value(number, values[0].shape, values[0].axis)

    def _linear(self, call: Call, ties: Ties, value: _Value) -> _Value:
        layer = call.module
        assert layer is not None, "layers have weights"
        own = {id(p) for p in layer.parameters()}
        if own & self.seen:
            raise ValueError(
                f"{call.name} ({call.kind}) is called twice, or has weights of another layer: weights shared "
                "in depth have no limit here."
            )
        self.seen |= own
        if value.raw is not None:
            if self.prepared not in (None, value.raw):
                raise ValueError(f"{call.name}: two layers read the input after different steps.")
            self.prepared, self.prepared_size = value.raw, prod(value.shape)
        probing = Probing(call, layer, ties, value.shape)
        had = self.builder.layout(value.number, probing.read)
        extra = taken_for_channels(probing.read, had)
        if extra is None:
            raise ValueError(
                f"{call.name} ({call.kind}) reads channels on an axis that has sites of the layers in front."
            )
        slots, variances, bias = probing.weights(self.prior)
        step = linear_step(
            slots,
            variances,
            bias,
            extra=extra,
            channels=had.channels,
            width=probing.made.channels,
            name=call.name,
        )
        self.assumed.append(_in_words(call, probing, variances, bias))
        number = self.builder.add(step, (value.number,), probing.made)
        return _Value(number, probing.shape_after, ties.axis)

    def _fixed(self, call: Call, value: _Value) -> _Value:
        """A layer without weights, behind weights: reshapes, or a linear map of sites."""
        had = self.builder.layouts[value.number]
        assert had is not None, "values behind weights have a layout"
        shape = _shape_after(call, value.shape)
        if prod(shape) == had.size:
            rng = np.random.default_rng(0)  # of both signs and all sizes: what rounds or clamps shows
            numbers = torch.from_numpy(rng.standard_normal(had.size) * 10 ** rng.uniform(-6, 6, had.size))
            if bool((_run(call, numbers.reshape(1, *value.shape)).reshape(-1) == numbers).all()):
                return _Value(value.number, shape, value.axis if shape == value.shape else None)
        matrix, made, axis = _site_map(call, value, had, shape)
        return _Value(self.builder.average(matrix, value.number, made, call.name), shape, axis)


class Probing:
    """A layer with weights, on one channel of its input and one of its result.

    Arguments:
        call, layer, ties: the layer, and how its weights are shared.
        shape: of one input.
    """

    def __init__(self, call: Call, layer: nn.Module, ties: Ties, shape: Shape) -> None:
        self.call, self.layer, self.ties = call, layer, ties
        parameters = dict(layer.named_parameters())
        if set(ties.parameters) != set(parameters):
            raise ValueError(
                f"{call.name} ({call.kind}): ties() names {sorted(ties.parameters)}, the layer has "
                f"the parameters {sorted(parameters)}."
            )
        if any(p.is_meta for p in parameters.values()):
            raise ValueError(f"{call.name} ({call.kind}) has no weights yet, on the device meta: load them.")
        self.parameters = {name: p.detach().to("cpu", torch.float64) for name, p in parameters.items()}
        kernels = [(self.parameters[name], w) for name, w in ties.parameters.items() if w.into is not None]
        channels_in = kernels[0][0].shape[kernels[0][1].into or 0]
        channels_out = kernels[0][0].shape[kernels[0][1].out]
        self.shape, self.axis = shape, ties.axis % len(shape)
        if shape[self.axis] % channels_in:
            raise ValueError(
                f"{call.name} ({call.kind}) reads {channels_in} channels, not values of shape {shape}."
            )
        self.few = is_torch(layer)  # one channel is enough
        self.read = _layout(shape, self.axis, channels_in)
        self.shape_after = self._after()
        self.made = _layout(self.shape_after, ties.axis % len(self.shape_after), channels_out)

    def weights(self, prior: Prior) -> tuple[Slots, FloatArray, FloatArray]:
        """Slots, variances of the weights, and patterns of the biases times their standard deviations."""
        slots: dict[str, list[Slots]] = {}
        patterns: list[FloatArray] = []
        for name, weights in self.ties.parameters.items():
            if weights.into is None:
                variances = prior.bias_variances(*self._drawn(name, weights))
                patterns += [v**0.5 * self._pattern(name, k) for k, v in enumerate(variances.tolist())]
            else:
                slots[name] = [
                    read_slots(self._probe(name, k), self.read.sites, prod(self.shape))
                    for k in range(self._free(name, weights))
                ]
        fan_in = self.read.channels * sum(map(len, slots.values()))
        variances = np.concatenate(
            [prior.weight_variances(*self._drawn(name, self.ties.parameters[name]), fan_in) for name in slots]
        )
        bias = np.stack(patterns) if patterns else np.zeros((0, self.made.sites))
        return together([slot for group in slots.values() for slot in group]), variances, bias

    def _free(self, name: str, weights: Weights) -> int:
        """Number of weights of one pair of channels."""
        axes = {weights.out, weights.into} - {None}
        return prod(n for axis, n in enumerate(self.parameters[name].shape) if axis not in axes)

    def _drawn(self, name: str, weights: Weights) -> tuple[FloatArray, FloatArray]:
        """Initial standard deviations ``[k]``, and the present weights ``[n, k]``."""
        free = self._free(name, weights)
        axes = [axis for axis in (weights.out, weights.into) if axis is not None]
        present = torch.movedim(self.parameters[name], axes, list(range(len(axes))))
        initial = np.broadcast_to(np.asarray(weights.std, dtype=float).reshape(-1), (free,)).copy()
        return initial, present.reshape(-1, free).numpy()

    def _unit(self, name: str, k: int) -> dict[str, Tensor]:
        """All weights 0 but one, from the first channel to the first."""
        out: dict[str, Tensor] = {}
        for other, weights in self.ties.parameters.items():
            shape = list(self.parameters[other].shape)
            for axis in (weights.out, weights.into):
                if axis is not None and self.few:
                    shape[axis] = 1
            values = torch.zeros(shape, dtype=torch.float64)
            if other == name:
                first = values
                for axis in sorted((a for a in (weights.out, weights.into) if a is not None), reverse=True):
                    first = first.select(axis, 0)
                index = np.unravel_index(k, first.shape) if first.ndim else ()
                first[tuple(int(i) for i in index)] = 1.0
            out[other] = values
        return out

    def _probe(self, name: str, k: int) -> Callable[[FloatArray], FloatArray]:
        weights = self._unit(name, k)

        def probe(values: FloatArray) -> FloatArray:
            return self._first(self._call(weights, torch.from_numpy(self._embedded(values))))

        return probe

    def _pattern(self, name: str, k: int) -> FloatArray:
        """What a unit bias adds to the sites of its channel."""
        weights = self._unit(name, k)
        return np.asarray(
            self._first(
                self._call(weights, torch.from_numpy(self._embedded(np.zeros((1, self.read.sites)))))
            )[0]
        )

    def _embedded(self, values: FloatArray) -> FloatArray:
        """Values on sites as inputs of the layer, all channels 0 but the first."""
        channels = 1 if self.few else self.read.channels
        out = np.zeros((len(values), self.read.before, channels, self.read.after))
        out[:, :, 0] = values.reshape(len(values), self.read.before, self.read.after)
        shape = list(self.shape)
        shape[self.axis] = shape[self.axis] // self.read.channels * channels
        return out.reshape(len(values), *shape)

    def _call(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        with torch.no_grad():
            done: Tensor = functional_call(self.layer, dict(weights), (x,))
        return done

    def _first(self, out: Tensor) -> FloatArray:
        """The first channel of the result, ``[B, A']``."""
        channels = 1 if self.few else self.made.channels
        rows = out.reshape(len(out), self.made.before, channels, self.made.after)
        return rows[:, :, 0].reshape(len(out), -1).numpy()

    def _after(self) -> Shape:
        """The shape of the result."""
        x = torch.zeros(1, *self.shape, dtype=torch.float64)
        try:
            return tuple(self._call(self.parameters, x).shape[1:])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.call.name} ({self.call.kind}) does not read values of shape {self.shape}: {error}"
            ) from error


def _layout(shape: Shape, axis: int, channels: int) -> Layout:
    """The layout of values whose axis holds channels, and sites behind them."""
    return Layout(prod(shape[:axis]), channels, shape[axis] // channels * prod(shape[axis + 1 :]))


def _composed(steps: tuple[Call, ...]) -> Callable[[Tensor], Tensor]:
    def prepare(x: Tensor) -> Tensor:
        for call in steps:
            x = _run(call, x)
        return x

    return prepare


def _run(call: Call, x: Tensor) -> Tensor:
    with torch.no_grad():
        try:
            return call.function(x)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(
                f"{call.name} ({call.kind}) does not read values of shape {tuple(x.shape[1:])}: {error}"
            ) from error


def _shape_after(call: Call, shape: Shape) -> Shape:
    return tuple(_run(call, torch.zeros(1, *shape, dtype=torch.float64)).shape[1:])


def _site_map(call: Call, value: _Value, had: Layout, shape: Shape) -> tuple[FloatArray, Layout, int]:
    """The matrix of a linear map that treats all channels alike, the layout of its result, and their axis.

    Raises:
        ValueError: the call is no such map.
    """
    first = value.axis if value.axis is not None else -1 if had.before > 1 else 0
    for axis in dict.fromkeys([first % len(shape), *range(len(shape))]) if shape else ():
        if shape[axis] and shape[axis] % had.channels == 0:
            made = _layout(shape, axis, had.channels)
            matrix = _matrix(call, value, had, made)
            if matrix is not None:
                return matrix, made, axis
    raise ValueError(
        f"{call.name} ({call.kind}) is not known: neither a piecewise-linear activation, nor a linear map "
        "that treats all channels alike."
    )


def _matrix(call: Call, value: _Value, had: Layout, made: Layout) -> FloatArray | None:
    """The matrix of a call that is the same map of sites for all channels; ``None`` if it is none."""
    sites = np.concatenate([_on_channels(call, value, had, made, eye) for eye in _eyes(had, value)])
    matrix = sites[:, 0].T.copy()
    rng = np.random.default_rng(0)
    for size in (1e-6, 1.0, 1e6):
        tried = size * rng.standard_normal((1, had.channels, had.sites))
        found = _on_channels(call, value, had, made, tried)
        room = 1e-12 * np.abs(tried).max() * max(float(np.abs(matrix).sum(axis=1).max(initial=0.0)), 1.0)
        if not np.abs(found - tried @ matrix.T).max(initial=0.0) <= room:
            return None
    return matrix


def _eyes(had: Layout, value: _Value) -> list[FloatArray]:
    """Unit vectors on the sites of the first channel, some at a time."""
    step = max((1 << 22) // had.size, 1)
    out = []
    for i in range(0, had.sites, step):
        some = np.zeros((min(step, had.sites - i), had.channels, had.sites))
        some[np.arange(len(some)), 0, np.arange(i, i + len(some))] = 1.0
        out.append(some)
    return out


def _on_channels(call: Call, value: _Value, had: Layout, made: Layout, x: FloatArray) -> FloatArray:
    """The call on values ``[B, C, A]``, as ``[B, C, A']``."""
    n = len(x)
    rows = x.reshape(n, had.channels, had.before, had.after).transpose(0, 2, 1, 3)
    out = _run(call, torch.from_numpy(np.ascontiguousarray(rows)).reshape(n, *value.shape)).numpy()
    apart = out.reshape(n, made.before, made.channels, made.after).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(apart).reshape(n, made.channels, made.sites)


def _in_words(call: Call, probing: Probing, variances: FloatArray, bias: FloatArray) -> str:
    """What was assumed of a layer."""
    fan_in = probing.read.channels * len(variances)
    b = float((bias**2).max(initial=0.0))
    return (
        f"{call.name} ({call.kind}): weights of variance {fan_in * variances.mean():.4g} / fan_in, "
        f"fan_in = {fan_in}, biases of variance {b:.4g}"
    )
