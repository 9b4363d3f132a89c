"""Activations by the names that frameworks give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polytope.ir import Activation, PiecewiseLinear, absolute, clip, hard_sigmoid, hard_tanh, leaky_relu, relu

ACTIVATIONS: Mapping[str, Callable[[], PiecewiseLinear]] = {
    "relu": relu,
    "leaky_relu": lambda: leaky_relu(0.01),
    "relu6": lambda: clip(0.0, 6.0),
    "hardtanh": hard_tanh,
    "hard_tanh": hard_tanh,
    "hardsigmoid": lambda: hard_sigmoid(1 / 6, 0.5),
    "abs": absolute,
    "absolute": absolute,
}


def named_activation(activation: str | Activation) -> Activation:
    """An activation, given itself or its name."""
    if isinstance(activation, Activation):
        return activation
    made = ACTIVATIONS.get(str(activation).lower())
    if made is None:
        raise ValueError(f"There is no activation {activation!r}. Known: {', '.join(ACTIVATIONS)}.")
    return made()
