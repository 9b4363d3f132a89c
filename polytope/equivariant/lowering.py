"""Torch layers to a ``Network``: what is affine becomes a map of a layer, the rest its activation.

A layer of this package says what it is by one of two methods. ``affine(shape)`` gives the linear map and
the bias on flat values of a shape (without the batch axis), and the shape of its result; ``piecewise(shape)``
gives an activation and the shape of its result, or ``None`` if the layer has both and is affine.
``nn.Sequential`` and the few layers of torch below are understood as they are; everything else is refused
by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, Protocol, TypeGuard, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from polytope.errors import NotPiecewiseLinearError
from polytope.ir.activations import Activation, hard_tanh, leaky_relu, piecewise_linear, relu
from polytope.ir.algebra import Map, chained, given
from polytope.ir.layers import Layer
from polytope.ir.maps import Dense, FloatArray, LinearMap
from polytope.ir.network import Network

Kind = TypeVar("Kind", bound=nn.Module)
Shape = tuple[int, ...]
AffineStep = tuple[Map, FloatArray]
AffineMap = tuple[LinearMap, FloatArray, Shape]
Piecewise = tuple[Activation, Shape]


@runtime_checkable
class AffineLayer(Protocol):
    """A layer that is affine."""

    def affine(self, shape: Shape) -> AffineMap:
        """The linear map, the bias, and the shape of the result, for values of one shape."""


@runtime_checkable
class NonlinearLayer(Protocol):
    """A layer that is an activation."""

    def piecewise(self, shape: Shape) -> Piecewise | None:
        """The activation, and the shape of its result, for values of one shape; ``None`` if it is affine."""


_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], Activation]] = {
    nn.ReLU: lambda layer: relu(),
    nn.LeakyReLU: lambda layer: leaky_relu(layer.negative_slope),
    nn.Hardtanh: lambda layer: hard_tanh(layer.min_val, layer.max_val),
    nn.Softshrink: lambda layer: soft_shrink(layer.lambd),
}


def soft_shrink(threshold: float) -> Activation:
    r""":math:`h = \mathrm{sign}(z) \max(|z| - t, 0)`: odd, so it commutes with changes of sign."""
    return piecewise_linear([-threshold, threshold], [1.0, 0.0, 1.0], [threshold, 0.0, -threshold])


def lower(module: nn.Module, input_shape: Shape) -> Network:
    """The network that a chain of layers computes, in float64 and on flat values.

    Arguments:
        module: a layer, or ``nn.Sequential`` of layers (nested ones too).
        input_shape: the shape of one input, without the batch axis: ``(C, 2b, 2b)`` on the sphere.

    Raises:
        NotPiecewiseLinearError: a layer that is not known to be affine or piecewise linear.
        ValueError: a layer reads another shape than the one before it gives.

    Example:
        >>> lower(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), (2,)).widths
        (3,)
    """
    shape = tuple(int(n) for n in input_shape)
    layers: list[Layer] = []
    pending: AffineStep | None = None
    width = prod(shape)
    for name, layer in _flat(module):
        step = _piecewise(layer, shape)
        if step is None:
            linear, bias, shape = _affine(name, layer, shape)
            pending = (linear, bias) if pending is None else _behind(pending, linear, bias)
            continue
        linear, bias = pending or (None, np.zeros(width))
        layers.append(Layer((len(layers),), (given(linear, width),), bias, step[0]))
        width, shape, pending = layers[-1].width, step[1], None
    if pending or not layers:
        linear, bias = pending or (None, np.zeros(width))
        layers.append(Layer((len(layers),), (given(linear, width),), bias))
    return Network(tuple(int(n) for n in input_shape), tuple(layers))


def _flat(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of a chain in order, with their names."""
    if not _runs_as(module, nn.Sequential):
        yield name or type(module).__name__, module
        return
    for key, child in module.named_children():
        yield from _flat(child, f"{name}.{key}" if name else key)


def _piecewise(layer: nn.Module, shape: Shape) -> Piecewise | None:
    """The activation of a layer that is piecewise linear and not affine."""
    if isinstance(layer, NonlinearLayer):
        return layer.piecewise(shape)
    make = _ACTIVATIONS.get(type(layer))
    return None if make is None else (make(layer), shape)


def _affine(name: str, layer: nn.Module, shape: Shape) -> tuple[Map, FloatArray, Shape]:
    """The map of a layer that is affine."""
    if isinstance(layer, AffineLayer):
        return layer.affine(shape)
    if _runs_as(layer, nn.Identity):
        return None, np.zeros(prod(shape)), shape
    if _runs_as(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
        return None, np.zeros(prod(shape)), (prod(shape),)
    if _runs_as(layer, nn.Linear):
        if shape != (layer.in_features,):
            raise ValueError(f"Layer {name!r} (Linear) reads {layer.in_features} numbers, not shape {shape}.")
        bias = np.zeros(layer.out_features) if layer.bias is None else array(layer.bias)
        return Dense(array(layer.weight)), bias, (layer.out_features,)
    raise NotPiecewiseLinearError(
        f"Layer {name!r} ({type(layer).__name__}) is not known to be piecewise linear: it is none of torch's "
        "ReLU, LeakyReLU, Hardtanh, Softshrink, Linear, Flatten, Identity, and has no affine(shape) or "
        "piecewise(shape). adapters.from_torch reads all modules of ordinary operators."
    )


def _runs_as(layer: nn.Module, kind: type[Kind]) -> TypeGuard[Kind]:
    """Whether a layer is of a kind, and computes what the kind computes."""
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def _behind(first: AffineStep, linear: Map, bias: FloatArray) -> AffineStep:
    """One affine step behind another; maps stay factors, so that symmetric ones stay symmetric."""
    if linear is None:
        return first[0], first[1] + bias
    return chained(linear, first[0]), linear.apply(first[1][:, None])[:, 0] + bias


def check_shape(layer: nn.Module, shape: Shape, wanted: Shape) -> None:
    """Refuse to lower a layer behind values of another shape."""
    if tuple(shape) != tuple(wanted):
        raise ValueError(f"{type(layer).__name__} reads values of shape {wanted}, not {tuple(shape)}.")


def array(tensor: Tensor) -> FloatArray:
    """A tensor's numbers in float64."""
    return tensor.detach().to("cpu", torch.float64).numpy()
