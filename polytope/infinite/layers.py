"""What torch's layers are at infinite width: activations, layers of shared weights, and what has no limit."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn

from polytope.infinite.activations import Bend, absolute, hard_tanh, leaky_relu, piecewise, relu
from polytope.infinite.traced import Call
from polytope.ir.tied import Ties, Weights

NORMALISING = "normalises by its own values, so that no weights are independent: fold it or leave it out"
MAXIMUM = "takes a maximum over sites: no closed form is known; average pooling has one"
CURVED = "is not piecewise linear: only piecewise-linear activations have their moments here"
UNKNOWN = "has no width yet (lazy): call the module once on an input"

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "Sigmoid",
            "Tanh",
            "GELU",
            "SiLU",
            "ELU",
            "CELU",
            "SELU",
            "Mish",
            "Softplus",
            "Softsign",
            "LogSigmoid",
            "Softmax",
            "LogSoftmax",
            "Softmin",
            "Tanhshrink",
            "sigmoid",
            "tanh",
            "gelu",
            "silu",
            "elu",
            "celu",
            "selu",
            "mish",
            "softplus",
            "softsign",
            "logsigmoid",
            "softmax",
            "log_softmax",
            "exp",
            "erf",
            "sin",
            "cos",
            "pow",
            "square",
            "sqrt",
        ),
        CURVED,
    ),
    **dict.fromkeys(
        ("Hardshrink", "Threshold", "hardshrink", "threshold", "sign"),
        "jumps: its derivative has no second moment",
    ),
    **dict.fromkeys(
        (
            "MaxPool1d",
            "MaxPool2d",
            "MaxPool3d",
            "AdaptiveMaxPool1d",
            "AdaptiveMaxPool2d",
            "AdaptiveMaxPool3d",
            "max_pool1d",
            "max_pool2d",
            "max_pool3d",
            "boolean_dispatch",
            "max",
            "amax",
            "min",
            "amin",
            "maximum",
        ),
        MAXIMUM,
    ),
    **dict.fromkeys(
        (
            "BatchNorm1d",
            "BatchNorm2d",
            "BatchNorm3d",
            "LayerNorm",
            "GroupNorm",
            "InstanceNorm1d",
            "InstanceNorm2d",
            "InstanceNorm3d",
            "RMSNorm",
            "batch_norm",
            "layer_norm",
            "group_norm",
        ),
        NORMALISING,
    ),
    "cat": "joins channels: write the layer behind it as a sum of layers",
    "MultiheadAttention": CURVED,
}

ACTIVATIONS: dict[str, Callable[..., Bend]] = {  # by the name of the layer or the function
    "ReLU": lambda **_: relu(),
    "LeakyReLU": lambda negative_slope=0.01, **_: leaky_relu(negative_slope),
    "Hardtanh": lambda min_val=-1.0, max_val=1.0, **_: hard_tanh(min_val, max_val),
    "ReLU6": lambda **_: hard_tanh(0.0, 6.0),
    "Softshrink": lambda lambd=0.5, **_: piecewise([-lambd, lambd], [1.0, 0.0, 1.0]),
    "Hardsigmoid": lambda **_: piecewise([-3.0, 3.0], [0.0, 1 / 6, 0.0], 0.5),
    "abs": lambda **_: absolute(),
    "clamp": lambda min=None, max=None, **_: _clamped(min, max),
}
SAME = {
    "relu": "ReLU", "relu_": "ReLU", "leaky_relu": "LeakyReLU", "hardtanh": "Hardtanh", "relu6": "ReLU6",
    "softshrink": "Softshrink", "clamp_": "clamp", "clip": "clamp", "clamp_min": "clamp",
    "hardsigmoid": "Hardsigmoid", "absolute": "abs",
}  # fmt: skip
FIELDS = {
    "LeakyReLU": ("negative_slope",), "Hardtanh": ("min_val", "max_val"), "Softshrink": ("lambd",),
    "clamp": ("min", "max"),
}  # fmt: skip


def _clamped(low: float | None, high: float | None) -> Bend:
    """The activation ``clamp``, of which one end may be missing."""
    ends = [(low, 0.0, 1.0)] if low is not None else []
    ends += [(high, 1.0, 0.0)] if high is not None else []
    slopes = [ends[0][1] if ends else 1.0, *(after for _, _, after in ends)]
    at_zero = min(max(0.0, low or 0.0), high if high is not None else np.inf)
    return piecewise([t for t, _, _ in ends], slopes, at_zero)


def activation_of(call: Call) -> Bend | None:
    """The activation that a call is; ``None`` if it is none that is known.

    Raises:
        ValueError: PReLU with a slope that is trained, or one slope for each channel.
    """
    if isinstance(call.module, nn.PReLU):
        slopes = call.module.weight
        if slopes.requires_grad or slopes.numel() > 1:
            raise ValueError(
                f"{call.name} (PReLU): its slopes are trained, or differ between channels; LeakyReLU has one."
            )
        return leaky_relu(float(slopes.detach()))
    kind = SAME.get(call.kind, call.kind)
    if kind not in ACTIVATIONS:
        return None
    names = FIELDS.get(kind, ())
    if call.module is not None:
        if not call.module.__module__.startswith("torch.nn"):
            return None
        given: dict[str, Any] = {name: getattr(call.module, name) for name in names}
    else:
        args, keywords = call.options
        given = {**dict(zip(names, args, strict=False)), **{n: v for n, v in keywords.items() if n in names}}
    return ACTIVATIONS[kind](**given)


def refuse(call: Call) -> None:
    """Refuse what has no closed form, by name.

    Raises:
        ValueError: the layer or function is such a one.
    """
    kind = call.kind
    if kind.startswith("Lazy"):
        raise ValueError(f"{call.name} ({kind}) {UNKNOWN}.")
    if kind in REFUSED:
        raise ValueError(f"{call.name} ({kind}) {REFUSED[kind]}.")


def ties_of(call: Call) -> Ties | None:
    """How the weights of a call's layer are shared; ``None`` for one without weights.

    Raises:
        ValueError: a layer with weights that does not say how they are shared.
    """
    layer = call.module
    if layer is None or isinstance(layer, nn.PReLU):
        return None
    if next(layer.parameters(), None) is None and not hasattr(layer, "ties"):
        return None
    return layer_ties(layer, call.name)


def layer_ties(layer: nn.Module, name: str) -> Ties:
    """How the weights of a layer are shared.

    Arguments:
        layer: with weights.
        name: for messages.

    Raises:
        ValueError: a layer that does not say how its weights are shared.
    """
    kind, said = type(layer).__name__, getattr(layer, "ties", None)
    if callable(said):
        found = said()
        assert isinstance(found, Ties), "the layer's own method"
        return found
    if isinstance(layer, nn.Linear):
        return _torch_ties(layer, -1)
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        if layer.groups != 1:
            raise ValueError(
                f"{name} ({kind}) has {layer.groups} groups, whose channels stay few: write one convolution "
                "for each group."
            )
        return _torch_ties(layer, 0)
    raise ValueError(
        f"{name} ({kind}) has weights, and it is not known how they are shared: it needs a method ties() "
        "(see polytope.ir.tied), or to be written with torch's Linear and Conv layers."
    )


def is_torch(layer: nn.Module) -> bool:
    """Whether a layer takes weights and values of any number of channels."""
    return isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)


def _torch_ties(layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d, axis: int) -> Ties:
    """Torch's default: weights and biases uniform in +- 1 / sqrt(fan_in)."""
    std = (3.0 * prod(layer.weight.shape[1:])) ** -0.5
    parameters = {"weight": Weights(0, 1, std)}
    if isinstance(layer.bias, torch.Tensor):
        parameters["bias"] = Weights(0, None, std)
    return Ties(axis, parameters)
