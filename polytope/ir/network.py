r"""One container: layers :math:`z_l = \sum_k A_{l,k} h_k + b_l` with activations :math:`h_l = \phi_l(z_l)`.

``h_0`` is the flattened input. A layer may read several earlier values, so skips and concatenations
are ordinary layers. Inside, B points are the columns of an array ``[width, B]``; at the public border
they are rows, ``[B, d]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.activations import Activation, PatternArray, relu
from polytope.ir.algebra import product
from polytope.ir.arrays import floats
from polytope.ir.backward import affine_maps
from polytope.ir.layers import Layer
from polytope.ir.maps import Dense, FloatArray, Selection
from polytope.ir.page import network_page
from polytope.ir.sweep import Floats, outputs, sweep


class Window(Protocol):
    """An affine map ``t -> base + t @ directions`` into the input space (see ``polytope.Slice``)."""

    @property
    def base(self) -> FloatArray:
        """A point, ``[d]``."""

    @property
    def directions(self) -> FloatArray:
        """One row for each coordinate of the window, ``[k, d]``."""


@dataclass(frozen=True, eq=False)
class Network:
    """A piecewise-affine network in canonical form.

    Arguments:
        input_shape: shape of one input without the batch axis; several inputs are one flat vector.
        layers: in order; the last one's output is the network's.
        input_names, output_names: as in the file, in order.
        input_parts: ``(name, shape)`` of each named input, where there are several.
        import_error: largest absolute difference to the model's own runtime seen when loading; ``None``
            where there was none to compare with.
        import_note: what it was compared with, or why it was not, and what was assumed.
        dtype: the number type of the model file; all arithmetic here is float64.
        dequantised: whether the model rounds to whole numbers on the way, which is left out here.
    """

    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    input_names: tuple[str, ...] = ("input",)
    output_names: tuple[str, ...] = ("output",)
    input_parts: tuple[tuple[str, tuple[int, ...]], ...] = ()
    import_error: float | None = None
    import_note: str = ""
    dtype: str = "float64"
    dequantised: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("Network: at least one layer is needed.")
        widths = [self.input_dim]
        for number, layer in enumerate(self.layers, start=1):
            for k, linear in zip(layer.inputs, layer.maps, strict=True):
                if not 0 <= k < number:
                    raise ValueError(f"Layer {number} reads value {k}, which is not computed before it.")
                if linear.shape[1] != widths[k]:
                    raise ValueError(
                        f"Layer {number} expects {linear.shape[1]} numbers of value {k}: it has {widths[k]}."
                    )
            widths.append(layer.width)

    def __repr__(self) -> str:
        inputs, outputs = _plural(self.input_dim, "input"), _plural(self.output_dim, "output")
        units = f"{_plural(self.n_units, 'unit')} in {_plural(len(self.widths), 'layer')}"
        return f"Network({inputs}, {outputs}, {units if self.widths else 'affine'}{self.in_place_of})"

    def _repr_html_(self) -> str:
        return network_page(self.layers, self.input_shape, repr(self))

    @property
    def in_place_of(self) -> str:
        """What is not the model itself, behind a count: ``", splines of gelu"``, ``", dequantised"``."""
        names = {s.name for layer in self.layers if (s := getattr(layer.activation, "spline", None))}
        splines = f", splines of {', '.join(sorted(names))}" if names else ""
        return splines + (", dequantised" if self.dequantised else "")

    @property
    def input_dim(self) -> int:
        """Number of input coordinates, d."""
        return prod(self.input_shape)

    @property
    def output_dim(self) -> int:
        """Number of outputs."""
        return self.layers[-1].width

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Number of units of each layer with an activation, in order."""
        return tuple(layer.width for layer in self.layers if layer.activation)

    @property
    def n_units(self) -> int:
        """Number of units in the layers with activations: the length of a pattern."""
        return sum(self.widths)

    @cached_property
    def unit_offsets(self) -> tuple[int, ...]:
        """Where each layer's units start in a pattern; one entry for each layer and one for the end."""
        widths = [layer.width if layer.activation else 0 for layer in self.layers]
        return tuple(int(n) for n in np.cumsum([0, *widths]))

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For each value h_0, h_1, ... the number of the last layer that reads it (its own if none does)."""
        last = list(range(len(self.layers) + 1))
        for number, layer in enumerate(self.layers, start=1):
            for k in layer.inputs:
                last[k] = number
        return tuple(last)

    @np.errstate(all="ignore")
    def __call__(self, x: ArrayLike) -> FloatArray:
        """The network's values at points, in float64.

        Beyond the range of float64 they are infinite, or NaN where infinities cancel.

        Arguments:
            x: points, ``[B, d]``, ``[B, *input_shape]`` or one, ``[d]``.

        Returns:
            ``[B, out]``, or ``[out]`` of one point.

        Raises:
            ValueError: the points have another shape.
        """
        rows = self._rows(x)
        h = outputs(self, rows.T, Floats())
        return np.ascontiguousarray(h.T) if np.ndim(x) > 1 else h[:, 0]

    @np.errstate(all="ignore")
    def pattern(self, x: ArrayLike) -> PatternArray:
        """The piece of every unit at every point, as float64 arithmetic finds it.

        Arguments:
            x: points, ``[B, d]``, ``[B, *input_shape]`` or one, ``[d]``.

        Returns:
            ``int8[B, units]``, or ``int8[units]`` of one point.

        Raises:
            ValueError: the points have another shape.
        """
        rows = self._rows(x)
        out = np.zeros((self.n_units, len(rows)), dtype=np.int8)
        for number, layer, z, _ in sweep(self, rows.T, Floats()):
            if layer.activation:
                out[self.unit_offsets[number - 1] : self.unit_offsets[number]] = layer.activation.pattern(z)
        return np.ascontiguousarray(out.T) if np.ndim(x) > 1 else out[:, 0]

    @np.errstate(all="ignore")
    def jacobian(self, x: ArrayLike) -> FloatArray:
        """The Jacobian of the affine map at every point's pattern.

        Arguments:
            x: points, ``[B, d]``, ``[B, *input_shape]`` or one, ``[d]``.

        Returns:
            ``[B, out, d]``, or ``[out, d]`` of one point.

        Raises:
            ValueError: the points have another shape.
        """
        J, _ = affine_maps(self, np.atleast_2d(self.pattern(self._rows(x))))
        return J if np.ndim(x) > 1 else J[0]

    @np.errstate(all="ignore")
    def affine(self, pattern: PatternArray) -> tuple[FloatArray, FloatArray]:
        """The affine map of a pattern: f(x) = J x + c where the units are on these pieces.

        Arguments:
            pattern: ``int8[units]``, or several, ``int8[B, units]``.

        Returns:
            ``(J [out, d], c [out])``, or ``(J [B, out, d], c [B, out])``.
        """
        J, c = affine_maps(self, np.atleast_2d(pattern))
        return (J, c) if pattern.ndim > 1 else (J[0], c[0])

    def layer_pattern(self, number: int, pattern: PatternArray) -> PatternArray:
        """The part of a pattern that belongs to one layer.

        Arguments:
            number: the layer, from 1.
            pattern: ``int8[..., units]``.

        Returns:
            ``int8[..., width]``, a view; empty for a layer without an activation.
        """
        return pattern[..., self.unit_offsets[number - 1] : self.unit_offsets[number]]

    @np.errstate(all="ignore")
    def restrict(self, window: Window) -> Network:
        """The network on a window: the same layers as functions of the window's coordinates t.

        Products of layers with the window are rounded to float64: what is exact is so about the network that
        is returned. ``mlp([(window.directions.T, window.base)]).then(network)`` has one layer more, and
        nothing rounded.

        Arguments:
            window: ``x = base + t @ directions``, base ``[d]``, directions ``[k, d]``: a ``Slice``.

        Returns:
            A network of k inputs with the same units.

        Raises:
            TypeError: it is no window.
            ValueError: the window lies in a space of another dimension.
        """
        if not hasattr(window, "directions"):
            raise TypeError(
                f"restrict: a Slice is expected, such as Slice.through(a, b), not a {type(window).__name__}."
            )
        base, directions = window.base, window.directions
        if directions.shape[1] != self.input_dim:
            raise ValueError(
                f"The window lies in R^{directions.shape[1]}, the network's input in R^{self.input_dim}."
            )
        layers = tuple(_behind_affine(layer, base, directions) for layer in self.layers)
        return replace(
            self, input_shape=(len(directions),), layers=layers, input_names=("window",), input_parts=()
        )

    @np.errstate(all="ignore")
    def margin(self, i: int, j: int) -> Network:
        """The scalar network ``f_i - f_j``: its zero set is the boundary between two classes.

        Differences of the last layer's weights are rounded to float64.

        Arguments:
            i, j: numbers of outputs; negative ones count from the end.

        Returns:
            A network of one output; it is positive where output i is the larger one.

        Raises:
            ValueError: there is no such output.
        """
        for k in (i, j):
            if not -self.output_dim <= k < self.output_dim:
                raise ValueError(f"There is no output {k}: the network has {self.output_dim}.")
        row = np.zeros((1, self.output_dim))
        row[0, i] += 1.0
        row[0, j] -= 1.0
        return self._with_output(row, (f"margin_{i}_{j}",))

    def _with_output(self, matrix: FloatArray, names: tuple[str, ...]) -> Network:
        last = self.layers[-1]
        if last.activation is None:
            maps = tuple(product(Dense(matrix), m) for m in last.maps)
            final = Layer(last.inputs, maps, matrix @ last.bias)
            return replace(self, layers=(*self.layers[:-1], final), output_names=names)
        final = Layer((len(self.layers),), (Dense(matrix),), np.zeros(len(matrix)))
        return replace(self, layers=(*self.layers, final), output_names=names)

    def then(self, other: Network) -> Network:
        """``other`` after this network, as one network.

        Arguments:
            other: a network of as many inputs as this one has outputs.

        Returns:
            The network ``x -> other(self(x))``, whose units are those of this one, then those of ``other``.

        Raises:
            ValueError: outputs and inputs differ in number.
        """
        if other.input_dim != self.output_dim:
            raise ValueError(f"{self.output_dim} outputs do not fit {other.input_dim} inputs.")
        shift = len(self.layers)
        moved = tuple(replace(la, inputs=tuple(k + shift for k in la.inputs)) for la in other.layers)
        return replace(
            self,
            layers=self.layers + moved,
            output_names=other.output_names,
            import_error=None,
            import_note="",
        )

    def _rows(self, x: ArrayLike) -> FloatArray:
        """Points as ``[B, d]`` float64."""
        points = floats(x)
        if points.ndim == 1 and points.size == self.input_dim:
            return points[None]
        if points.ndim > 1 and prod(points.shape[1:]) == self.input_dim:
            return points.reshape(len(points), self.input_dim)
        raise ValueError(f"Expected points of shape [B, {self.input_dim}], got {points.shape}.")


def mlp(weights: Sequence[tuple[ArrayLike, ArrayLike]], activation: Activation | None = None) -> Network:
    """A fully connected network: z = W h + b, an activation between the layers and none at the end.

    Arguments:
        weights: for each layer ``(W [out, in], b [out])``, from the input on.
        activation: of every layer but the last; ReLU by default.

    Returns:
        The network, whose last layer is affine.

    Raises:
        ValueError: there is no layer, a W is not a matrix, a b not a vector, or widths do not fit.

    Example:
        >>> network = mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> network([[-3.0]])
        array([[3.]])
    """
    if not weights:
        raise ValueError("mlp: at least one layer is needed.")
    layers = []
    for number, pair in enumerate(weights):
        between = None if number == len(weights) - 1 else (activation or relu())
        matrix, bias = _weights(number, pair)
        layers.append(Layer((number,), (Dense(matrix),), bias, between))
    return Network((layers[0].maps[0].shape[1],), tuple(layers))


def _weights(number: int, pair: tuple[ArrayLike, ArrayLike]) -> tuple[FloatArray, FloatArray]:
    """A copy of the matrix and the vector of a layer."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise TypeError(
            f"mlp: layer {number} must be a pair (W, b) of a matrix and a vector, as in "
            f"mlp([(W0, b0), (W1, b1)]), not a {type(pair).__name__}."
        )
    matrix, bias = (floats(part).copy() for part in pair)
    if matrix.ndim != 2 or bias.ndim != 1:
        raise ValueError(
            f"mlp: layer {number} needs a matrix and a vector, got {matrix.shape}, {bias.shape}."
        )
    return matrix, bias


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def stack(first: Network, second: Network) -> Network:
    """Two networks side by side on one input: outputs of the first, then of the second.

    Arguments:
        first, second: networks of equally many inputs.

    Returns:
        A network whose units are those of the first, then those of the second.

    Raises:
        TypeError: one of them is no network.
        ValueError: the numbers of inputs differ.
    """
    for given in (first, second):
        if not isinstance(given, Network):
            raise TypeError(
                f"stack: two networks are expected, not a {type(given).__name__}: load(path) reads one from "
                "a file, from_torch(module, example) from a PyTorch module."
            )
    if first.input_dim != second.input_dim:
        raise ValueError(f"Inputs of {first.input_dim} and {second.input_dim} coordinates differ.")
    shift = len(first.layers)
    moved = tuple(
        replace(layer, inputs=tuple(k + shift if k else 0 for k in layer.inputs)) for layer in second.layers
    )
    n, m = first.output_dim, second.output_dim
    index = np.arange(n + m)
    upper = Selection(np.where(index < n, index, -1), n)
    lower = Selection(np.where(index >= n, index - n, -1), m)
    joined = Layer((shift, shift + len(moved)), (upper, lower), np.zeros(n + m))
    names = first.output_names + second.output_names
    return replace(
        first, layers=(*first.layers, *moved, joined), output_names=names, import_error=None, import_note=""
    )


def _behind_affine(layer: Layer, base: FloatArray, directions: FloatArray) -> Layer:
    """The layer with its reads of the input replaced by reads of t, x = base + t @ directions."""
    maps, bias = list(layer.maps), layer.bias
    for place, k in enumerate(layer.inputs):
        if k == 0:
            pushed = layer.maps[place].apply(np.concatenate([directions, base[None]]).T)
            maps[place] = Dense(np.ascontiguousarray(pushed[:, :-1]))
            bias = bias + pushed[:, -1]
    return replace(layer, maps=tuple(maps), bias=bias)
