"""Conditioners of couplings: small torch networks, and the piecewise-linear networks that they compute."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from polytope.errors import NotPiecewiseLinearError
from polytope.flows.exact.composition import compose
from polytope.ir import (
    Activation,
    Convolution,
    Dense,
    Layer,
    LinearMap,
    Network,
    Selection,
    clip,
    leaky_relu,
    relu,
)
from polytope.ir.algebra import identity
from polytope.ir.maps import FloatArray

ActivationName = Literal["relu", "leaky_relu"]
Shape = tuple[int, ...]
LEAK = 0.01  # torch's slope of LeakyReLU


class Select(nn.Module):
    """Output i is coordinate ``index[i]`` of the flattened input, or 0 where the index is -1."""

    index: Tensor

    def __init__(self, index: ArrayLike, n_inputs: int) -> None:
        super().__init__()
        order = np.asarray(index, dtype=np.int64)
        if not ((order >= -1) & (order < n_inputs)).all():
            raise ValueError(f"Select: indices must lie in -1..{n_inputs - 1}.")
        self.n_inputs = n_inputs
        self.register_buffer("index", torch.tensor(order))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, n]`` to ``[B, len(index)]``."""
        picked = x.flatten(1)[:, self.index.clamp(min=0)]
        return picked * (self.index >= 0)


def mlp_conditioner(
    n_in: int,
    n_out: int,
    hidden: Sequence[int],
    *,
    activation: ActivationName = "relu",
    bounded: bool = False,
    rng: np.random.Generator | None = None,
) -> nn.Sequential:
    """Dense layers with activations between them; ``bounded`` ends in tanh (for log-scales).

    The last layer starts small, so that a new coupling is near the identity.

    Arguments:
        n_in, n_out: coordinates read and changed.
        hidden: widths.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    parts: list[nn.Module] = []
    widths = [n_in, *hidden, n_out]
    for number, (m, n) in enumerate(pairwise(widths)):
        linear = nn.Linear(m, n, device="meta", dtype=torch.float64).to_empty(device="cpu")
        parts += [_drawn(linear, m, generator, last=number == len(hidden)), _module(activation)]
    parts.pop()
    return nn.Sequential(*parts, *([nn.Tanh()] if bounded else []))


def conv_conditioner(
    shape: tuple[int, int, int],
    n_out: int,
    hidden: int,
    *,
    activation: ActivationName = "relu",
    bounded: bool = False,
    rng: np.random.Generator | None = None,
) -> nn.Sequential:
    """3 x 3, 1 x 1 and 3 x 3 convolutions from a flattened image to ``n_out`` channels, flattened."""
    generator = np.random.default_rng(0 if rng is None else rng)
    parts: list[nn.Module] = [nn.Unflatten(1, shape)]
    for number, (m, n, size) in enumerate(((shape[0], hidden, 3), (hidden, hidden, 1), (hidden, n_out, 3))):
        conv = nn.Conv2d(m, n, size, padding=size // 2, device="meta", dtype=torch.float64)
        parts += [
            _drawn(conv.to_empty(device="cpu"), m * size**2, generator, last=number == 2),
            _module(activation),
        ]
    parts[-1] = nn.Flatten()
    return nn.Sequential(*parts, *([nn.Tanh()] if bounded else []))


def _drawn(module: nn.Module, fan_in: int, rng: np.random.Generator, *, last: bool) -> nn.Module:
    """Weights of variance 2 / fan_in (a hundredth of that in the last layer), biases up to fan_in^-1/2."""
    size = (0.1 if last else 1.0) * np.sqrt(2 / fan_in)
    for name, values in module.named_parameters():
        if name == "weight":
            draw = size * rng.standard_normal(tuple(values.shape))
        else:
            draw = (0.0 if last else fan_in**-0.5) * rng.uniform(-1, 1, tuple(values.shape))
        values.data.copy_(torch.tensor(draw))
    return module


def _module(activation: ActivationName) -> nn.Module:
    if activation not in ("relu", "leaky_relu"):
        raise ValueError(f"The activation must be 'relu' or 'leaky_relu', not {activation!r}.")
    return nn.ReLU() if activation == "relu" else nn.LeakyReLU(LEAK)


def conditioner_network(module: nn.Module, n_in: int) -> Network:
    """The piecewise-linear network that a torch module computes on R^n_in.

    Raises:
        NotPiecewiseLinearError: a module inside is not known to be piecewise linear.
    """
    parts, _ = _steps(module, (n_in,))
    return compose(parts or [_one(identity(n_in))])


@singledispatch
def _steps(module: nn.Module, shape: Shape) -> tuple[list[Network], Shape]:
    """The networks of the parts of a module on inputs of a shape, and the shape of its outputs."""
    raise NotPiecewiseLinearError(
        f"A conditioner holds {type(module).__name__}, which is not known to be piecewise linear. Linear, "
        "Conv2d, ReLU, LeakyReLU, Hardtanh, Flatten and Unflatten are."
    )


@_steps.register
def _sequential(module: nn.Sequential, shape: Shape) -> tuple[list[Network], Shape]:
    networks: list[Network] = []
    for part in module:
        more, shape = _steps(part, shape)
        networks += more
    return networks, shape


@_steps.register
def _linear(module: nn.Linear, shape: Shape) -> tuple[list[Network], Shape]:
    bias = np.zeros(module.out_features) if module.bias is None else _array(module.bias)
    return [_one(Dense(_array(module.weight)), bias)], (module.out_features,)


@_steps.register
def _convolution(module: nn.Conv2d, shape: Shape) -> tuple[list[Network], Shape]:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise NotPiecewiseLinearError("A conditioner's convolution must pad by numbers of zeros.")
    padding = tuple((int(p), int(p)) for p in module.padding)
    conv = Convolution(_array(module.weight), shape, module.stride, module.dilation, padding, module.groups)
    channels = np.zeros(module.out_channels) if module.bias is None else _array(module.bias)
    bias = np.repeat(channels, prod(conv.output_shape[1:]))
    return [_one(conv, bias)], conv.output_shape


@_steps.register
def _select(module: Select, shape: Shape) -> tuple[list[Network], Shape]:
    index = module.index.cpu().numpy()
    return [_one(Selection(index, module.n_inputs))], (len(index),)


@_steps.register
def _relu(module: nn.ReLU, shape: Shape) -> tuple[list[Network], Shape]:
    return [_one(identity(prod(shape)), activation=relu())], shape


@_steps.register
def _leaky(module: nn.LeakyReLU, shape: Shape) -> tuple[list[Network], Shape]:
    return [_one(identity(prod(shape)), activation=leaky_relu(module.negative_slope))], shape


@_steps.register
def _hard_tanh(module: nn.Hardtanh, shape: Shape) -> tuple[list[Network], Shape]:
    return [_one(identity(prod(shape)), activation=clip(module.min_val, module.max_val))], shape


@_steps.register
def _flatten(module: nn.Flatten, shape: Shape) -> tuple[list[Network], Shape]:
    return [], (prod(shape),)


@_steps.register
def _unflatten(module: nn.Unflatten, shape: Shape) -> tuple[list[Network], Shape]:
    return [], tuple(int(n) for n in module.unflattened_size)


@_steps.register
def _unchanged(module: nn.Identity, shape: Shape) -> tuple[list[Network], Shape]:
    return [], shape


def _one(linear: LinearMap, bias: FloatArray | None = None, activation: Activation | None = None) -> Network:
    """A network of one layer."""
    start = np.zeros(linear.shape[0]) if bias is None else bias
    return Network((linear.shape[1],), (Layer((0,), (linear,), start, activation),))


def _array(values: Tensor) -> FloatArray:
    return np.array(values.detach().to("cpu", torch.float64).numpy())
