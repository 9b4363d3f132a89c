"""The architecture of what people have: a torch module, or a network where its layers say enough."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from polytope.given import described
from polytope.infinite.given import shape_of
from polytope.infinite.modules import from_module
from polytope.infinite.networks import from_network
from polytope.infinite.priors import Prior, Std
from polytope.infinite.steps import Architecture
from polytope.ir.network import Network


def architecture(
    model: nn.Module | Network,
    input_shape: Sequence[int] | int | None = None,
    *,
    weight_std: Std = "init",
    bias_std: Std = "init",
) -> Architecture:
    """What is left of a model when its widths go to infinity.

    Layers of a module are probed by unit weights, so that every linear layer with shared weights is read
    without code of its own: torch's linear and convolutional ones, and those of ``polytope.equivariant``.
    ``print(architecture(...))`` says what was assumed of the weights.

    Arguments:
        model: a torch module, or a network of dense layers, convolutions, selections and skips.
        input_shape: of one input of a module; not needed where its first layer is ``nn.Linear``.
        weight_std: "init", the layers' own rules (torch's defaults); "empirical", the mean squares of the
            present weights, which are not a prior; or sigma, for variances ``sigma**2 / fan_in``.
        bias_std: the same for biases; a number is their standard deviation.

    Returns:
        The architecture.

    Raises:
        ValueError: a layer without a closed form, or one that was folded away; the message names it.

    Example:
        >>> import torch
        >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        >>> print(architecture(module))
        Architecture(3 steps, inputs of shape (2,))
          weights: normal, with the variances of each layer at initialisation
          biases: normal, with the variances of each layer at initialisation
          0 (Linear): weights of variance 0.3333 / fan_in, fan_in = 2, biases of variance 0.1667
          2 (Linear): weights of variance 0.3333 / fan_in, fan_in = 8, biases of variance 0.04167
    """
    prior = Prior(weight_std, bias_std)
    shape = None if input_shape is None else shape_of(input_shape)
    if isinstance(model, nn.Module):
        return from_module(model, shape, prior)
    if not isinstance(model, Network):
        raise TypeError(
            f"architecture: a torch module or a polytope Network is expected, not {described(model)}."
        )
    if shape not in (None, model.input_shape):
        raise ValueError(f"The network reads inputs of shape {model.input_shape}, not {shape}.")
    return from_network(model, prior)
