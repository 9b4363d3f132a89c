"""The architecture of a ``Network``, where its layers say enough: dense, convolution, selection, skip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np

from polytope.infinite.activations import Bend
from polytope.infinite.operations import Linear
from polytope.infinite.priors import Prior
from polytope.infinite.reading import Builder, Layout, linear_step, read_slots, taken_for_channels, together
from polytope.infinite.slots import Reads, Slots
from polytope.infinite.steps import Architecture
from polytope.ir.activations import Activation, PiecewiseLinear
from polytope.ir.convolution import Convolution
from polytope.ir.layers import Layer
from polytope.ir.maps import Dense, FloatArray, LinearMap, Selection
from polytope.ir.network import Network

FROM_MODULE = "read the architecture from its torch module: architecture(module, input_shape)"
ASSUMED = (
    "each dense layer and convolution of the network is taken for one of independent weights; what was "
    "folded into it (normalisation, scales) cannot be seen"
)


@dataclass(frozen=True, eq=False)
class _Weights:
    """A linear map with weights of its own.

    Arguments:
        read, made: layouts of input and result.
        slots: which sites each weight reads.
        present: the weights, ``[n, k]``.
    """

    read: Layout
    made: Layout
    slots: Slots
    present: FloatArray

    @property
    def key(self) -> bytes:
        """The weights themselves."""
        return repr((self.read, self.made)).encode() + self.present.tobytes()

    @property
    def fan_in(self) -> int:
        """Number of weights that a unit reads."""
        return self.read.channels * len(self.slots)


def from_network(network: Network, prior: Prior) -> Architecture:
    """The architecture of a network.

    Arguments:
        network: the network.
        prior: of the weights.

    Raises:
        ValueError: a layer whose weights were folded or whose ties were lost, by name.
    """
    reading = _Reading(Builder(), prior, [*prior.in_words, ASSUMED])
    numbers = [0]
    for number, layer in enumerate(network.layers, start=1):
        done = reading.layer(number, layer, numbers)
        if layer.activation is not None:
            done = reading.builder.bend(_bend(layer.activation, number), done, f"layer {number}")
        numbers.append(done)
    if not reading.known:
        raise ValueError("The network has no weights: there is no ensemble of networks.")
    return reading.builder.architecture(network.input_shape, reading.assumed)


@dataclass(eq=False)
class _Reading:
    """What is read of a network, layer by layer.

    Arguments:
        builder: the steps so far.
        prior: of the weights.
        assumed: of them, in words.
        known: steps by their weights and what they read: pre-activations that a later layer adds again, as
            folded skips do, are those of the earlier layer.
    """

    builder: Builder
    prior: Prior
    assumed: list[str]
    known: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def layer(self, number: int, layer: Layer, numbers: list[int]) -> int:
        """The pre-activations of a layer: every map a step, and their sum."""
        groups: dict[int, tuple[LinearMap, list[int]]] = {}
        for k, linear in zip(layer.inputs, layer.maps, strict=True):
            groups.setdefault(id(linear), (linear, []))[1].append(numbers[k])
        parts = [(linear, self._source(number, reads)) for linear, reads in groups.values()]
        weights = {
            key: found
            for key, (linear, source) in enumerate(parts)
            if (found := _weights(linear, number)) and (found.key, source) not in self.known
        }
        fan_in = sum(found.fan_in for found in weights.values())
        bias, done = layer.bias, []
        for key, (linear, source) in enumerate(parts):
            if key in weights:
                done.append(self._new(number, weights[key], source, fan_in, bias))
                bias = np.zeros(0)  # it is added once
            elif isinstance(linear, Selection):
                done.append(_moved(self.builder, number, linear, source))
            else:
                found = _weights(linear, number)
                assert found is not None, "it has weights"
                done.append(self.known[found.key, source])
        if bias.any() and not all(k in self.known.values() for k in done):
            raise ValueError(f"Layer {number} adds constants without weights: {FROM_MODULE}.")
        return done[0] if len(done) == 1 else self.builder.sum(tuple(done), f"layer {number}")

    def _source(self, number: int, reads: list[int]) -> int:
        """The value that a map reads; the sum of values that one map reads together."""
        return reads[0] if len(reads) == 1 else self.builder.sum(tuple(reads), f"layer {number}")

    def _new(self, number: int, found: _Weights, source: int, fan_in: int, bias: FloatArray) -> int:
        """A step of weights that no layer had before."""
        step = _step(self.builder, number, found, source, self.prior, fan_in, bias)
        layout = self.builder.layouts[source]
        assert layout is not None, "the step has read it"
        self.assumed.append(
            f"layer {number}: weights of variance {fan_in * step.variances.mean() / layout.channels:.4g} "
            f"/ fan_in, fan_in = {fan_in}, biases of variance {float((step.bias**2).max(initial=0.0)):.4g}"
        )
        done = self.builder.add(step, (source,), found.made)
        self.known[found.key, source] = done
        return done


def _step(
    builder: Builder, number: int, found: _Weights, source: int, prior: Prior, fan_in: int, bias: FloatArray
) -> Linear:
    had = builder.layout(source, found.read)
    extra = taken_for_channels(found.read, had)
    if extra is None:
        raise ValueError(f"Layer {number} reads channels in another order than its input has: {FROM_MODULE}.")
    initial = np.full(len(found.slots), (3.0 * fan_in) ** -0.5)
    variances = prior.weight_variances(initial, found.present, fan_in)
    patterns = np.zeros((0, found.made.sites))
    if bias.any():  # a layer without biases has zeros
        [variance] = prior.bias_variances(initial[:1], bias[:, None])
        patterns = np.full((1, found.made.sites), variance**0.5)
    return linear_step(
        found.slots,
        variances,
        patterns,
        extra=extra,
        channels=had.channels,
        width=found.made.channels,
        name=f"layer {number}",
    )


def _weights(linear: LinearMap, number: int) -> _Weights | None:
    """What a map says of its weights; ``None`` for a selection, which has none."""
    match linear:
        case Selection():
            return None
        case Dense():
            return _dense(linear, number)
        case Convolution():
            return _convolution(linear, number)
    raise ValueError(
        f"Layer {number} holds a {type(linear).__name__}, into which pooling, normalisation or shared "
        f"weights were folded: {FROM_MODULE}."
    )


def _dense(linear: Dense, number: int) -> _Weights:
    """A dense layer: independent draws from a density are nowhere equal, nor 0."""
    entries = np.abs(linear.matrix[linear.matrix != 0.0])
    n, distinct = linear.matrix.size, len(np.unique(entries))
    if 2 * distinct < n and n > 1:
        raise ValueError(
            f"Layer {number} is a dense map whose {n:,} entries have {distinct:,} different absolute values: "
            f"its weights are shared, pruned or rounded: {FROM_MODULE}."
        )
    out, into = linear.shape
    slots = Reads(np.zeros((1, 1), dtype=np.int64), 1)
    return _Weights(Layout(1, into, 1), Layout(1, out, 1), slots, linear.matrix.reshape(-1, 1))


def _convolution(linear: Convolution, number: int) -> _Weights:
    if linear.groups != 1:
        raise ValueError(
            f"Layer {number} is a convolution of {linear.groups} groups, whose channels stay few: no "
            "limit here."
        )
    sizes, kernel = linear.input_shape[1:], linear.kernel
    sites, made = prod(sizes), linear.output_shape
    parts = []
    for k in range(prod(kernel.shape[2:])):
        unit = np.zeros((1, 1, *kernel.shape[2:]))
        unit.reshape(-1)[k] = 1.0
        one = Convolution(unit, (1, *sizes), linear.stride, linear.dilation, linear.padding)
        parts.append(read_slots(_applied(one), sites, sites))
    present = kernel.reshape(-1, prod(kernel.shape[2:]))
    return _Weights(
        Layout(1, kernel.shape[1], sites), Layout(1, made[0], prod(made[1:])), together(parts), present
    )


def _applied(linear: LinearMap) -> Callable[[FloatArray], FloatArray]:
    return lambda values: np.asarray(linear.apply(np.ascontiguousarray(values.T)).T)


def _moved(builder: Builder, number: int, linear: LinearMap, source: int) -> int:
    """A selection that treats all channels alike, as a fixed map of sites."""
    had = builder.layouts[source]
    if had is None:
        raise ValueError(
            f"Layer {number} selects parts of the input in front of the first weights: {FROM_MODULE}."
        )
    assert isinstance(linear, Selection), "the only map without weights"
    out = linear.shape[0]
    numbers = np.asarray(linear.index)
    if (numbers == np.arange(had.size)).all() if len(numbers) == had.size else False:
        return source
    wrong = ValueError(f"Layer {number} selects values that differ between channels: {FROM_MODULE}.")
    if out % had.channels or had.before != 1:
        raise wrong
    rows = numbers.reshape(had.channels, -1)
    first = rows[0]
    shifts = np.arange(had.channels)[:, None] * had.after
    if not (rows == np.where(first < 0, -1, first + shifts)).all() or (first >= had.after).any():
        raise wrong
    matrix = np.zeros((len(first), had.after))
    kept = np.flatnonzero(first >= 0)
    matrix[kept, first[kept]] = 1.0
    return builder.average(matrix, source, Layout(1, had.channels, len(first)), f"layer {number}")


def _bend(activation: Activation, number: int) -> Bend:
    """The one function of all units of a layer."""
    if not isinstance(activation, PiecewiseLinear):
        raise ValueError(
            f"Layer {number} takes maxima ({type(activation).__name__}): no closed form is known; average "
            "pooling has one."
        )
    tables = (activation.breakpoints, activation.slopes)
    if any((table != table[0]).any() for table in tables):
        raise ValueError(f"Layer {number} has activations that differ between units: no limit here.")
    breakpoints = activation.breakpoints[0]
    kept = int(np.isfinite(breakpoints).sum())
    at_zero = float(activation.values(np.zeros((len(activation.slopes), 1)))[0, 0])
    return Bend(tuple(breakpoints[:kept]), tuple(activation.slopes[0, : kept + 1]), at_zero)
