r"""Architectures at infinite width: linear layers with random weights, activations, averages and sums.

One formula holds for every weight-tied linear layer. With independent weights of variances
:math:`v_k / n` for each of n channels, slots S_k and bias patterns b,

.. math:: K' = \sum_k v_k S_k \, \mathrm E[\phi\phi] \, S_k^T + b b^T, \qquad
          \Theta' = K' + \sum_k v_k S_k (\Theta \circ \mathrm E[\phi'\phi']) S_k^T .
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.given import described
from polytope.infinite.activations import Bend, relu
from polytope.infinite.dependence import centred, gaussian
from polytope.infinite.given import numbers, on_device, real, shape_of, whole
from polytope.infinite.operations import Average, Linear, Operation, Step, Sum
from polytope.infinite.slots import Reads


@dataclass(frozen=True, eq=False)
class Architecture:
    """What is left of a network when its widths go to infinity.

    Arguments:
        steps: in order; the last one's result is the output.
        input_shape: of one point.
        before, after: sites in front of and behind the channel axis of the flat input.
        prepare: what is done to points ``[B, *input_shape]`` in front of the first weights; ``None`` for
            nothing.
        prepared: number of values of a prepared point.
        assumed: what was assumed of the weights, in words.
    """

    steps: tuple[Step, ...]
    input_shape: tuple[int, ...]
    before: int = 1
    after: int = 1
    prepare: Callable[[Tensor], Tensor] | None = None
    prepared: int | None = None
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("Architecture: at least one step is needed.")
        values = self.prepared or prod(self.input_shape)
        if values % (self.before * self.after):
            raise ValueError(f"Architecture: {values} values do not make {self.before * self.after} sites.")
        self.sites  # noqa: B018  # refuses steps that do not fit
        self.centred  # noqa: B018
        gaussian(self.steps)

    def __repr__(self) -> str:
        return f"Architecture({len(self.steps)} steps, inputs of shape {self.input_shape})"

    def __str__(self) -> str:
        return "\n".join([repr(self), *(f"  {line}" for line in self.assumed)])

    @property
    def channels(self) -> int:
        """Number of channels of the input."""
        return (self.prepared or prod(self.input_shape)) // (self.before * self.after)

    @cached_property
    def sites(self) -> tuple[int, ...]:
        """Number of sites of each value, the input's first."""
        found = [self.before * self.after]
        for number, step in enumerate(self.steps, start=1):
            if not step.inputs or not all(0 <= k < number for k in step.inputs):
                raise ValueError(f"Step {number} reads values {step.inputs}, not earlier ones.")
            if not isinstance(step.operation, Linear | Bend | Average | Sum):
                raise TypeError(
                    f"Step {number} is no operation but {described(step.operation)}: infinite.dense(), "
                    "infinite.relu(), Linear, Average or Sum make one."
                )
            read = {found[k] for k in step.inputs}
            if isinstance(step.operation, Linear | Average):
                if read != {step.operation.sites_in} or len(step.inputs) > 1:
                    raise ValueError(
                        f"Step {number} ({step.operation.name}) reads {step.operation.sites_in} sites, "
                        f"the value in front of it has {sorted(read)}."
                    )
                found.append(step.operation.sites)
            elif len(read) > 1 or (isinstance(step.operation, Bend) and len(step.inputs) > 1):
                raise ValueError(f"Step {number} reads values that do not fit, of {sorted(read)} sites.")
            else:
                found.append(read.pop())
        return tuple(found)

    @cached_property
    def centred(self) -> tuple[bool, ...]:
        """For each value whether its mean over the weights is known to be 0."""
        return centred(self.steps)

    def points(self, x: ArrayLike | Tensor, device: str = "cpu", name: str = "x") -> Tensor:
        """Points as channels on sites.

        Arguments:
            x: ``[B, *input_shape]`` or flat, ``[B, d]``.
            device: of torch.
            name: of the argument, for messages.

        Returns:
            ``[B, C, A]`` in float64.

        Raises:
            ValueError: points of another shape, numbers that are not finite, or no such device.
            TypeError: what is given is no array of real numbers.
        """
        rows = on_device(
            x.detach() if isinstance(x, Tensor) else torch.from_numpy(np.array(numbers(x, name), order="C")),
            device,
            name,
        )
        flat = rows.ndim == 2 or len(self.input_shape) == 1
        shape = tuple(rows.shape[1:])
        if not (shape and (flat or shape == self.input_shape) and prod(shape) == prod(self.input_shape)):
            raise ValueError(
                f"{name}: expected points of shape [B, {', '.join(map(str, self.input_shape))}], "
                f"got {list(rows.shape)}."
            )
        if not torch.isfinite(rows).all():
            raise ValueError(f"{name}: a coordinate is not a finite number.")
        rows = rows.reshape(len(rows), *self.input_shape)
        if self.prepare is not None and len(rows):
            rows = self.prepare(rows)
        rows = rows.reshape(len(rows), self.before, self.channels, self.after)
        return rows.transpose(1, 2).flatten(2).contiguous()


def an_architecture(given: object, verb: str) -> Architecture:
    """An architecture itself.

    Arguments:
        given: the argument.
        verb: the function, for the message.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(given, Architecture):
        raise TypeError(
            f"{verb}: an Architecture is expected, not {described(given)}: infinite.architecture(module) "
            "makes one."
        )
    return given


def chain(
    operations: Sequence[Operation], input_shape: Sequence[int], *, assumed: Sequence[str] = ()
) -> Architecture:
    """Operations one behind the other.

    Arguments:
        operations: in order; the channels of the input come in front of its sites.
        input_shape: of one point.
        assumed: of the weights, in words.
    """
    steps = tuple(Step(operation, (number,)) for number, operation in enumerate(operations))
    first = next((o for o in operations if isinstance(o, Linear | Average)), None)
    sites = 1 if first is None else first.sites_in
    return Architecture(steps, shape_of(input_shape), after=sites, assumed=tuple(assumed))


def dense(
    weight_std: float = 1.0, bias_std: float = 0.0, *, sites: int = 1, width: int | None = None
) -> Linear:
    r"""A dense layer of weights of variance :math:`\sigma_w^2 / \mathrm{fan}`.

    Arguments:
        weight_std: sigma_w.
        bias_std: standard deviation of the biases.
        sites: of the input; each has weights of its own.
        width: number of units of a finite network.
    """
    weight, bias = real(weight_std, "dense: weight_std"), real(bias_std, "dense: bias_std")
    if not (weight >= 0 and bias >= 0):
        raise ValueError(f"dense: deviations must not be negative, as {weight} or {bias} is.")
    if not whole(sites, "dense: sites"):
        raise ValueError("dense: at least one site is needed.")
    slots = Reads(np.arange(sites)[:, None], sites)
    variances = np.full(sites, weight * weight / sites)
    return Linear(slots, variances, np.full((1, 1), bias), width, "dense")


def mlp(
    input_dim: int,
    depth: int,
    activation: Bend | None = None,
    *,
    weight_std: float = 2**0.5,
    bias_std: float = 0.0,
    width: int | None = None,
) -> Architecture:
    """A fully connected network of some hidden layers and one output.

    Arguments:
        input_dim: number of input coordinates.
        depth: number of hidden layers.
        activation: of these; ReLU by default.
        weight_std: weights have variance ``weight_std**2 / fan_in``.
        bias_std: standard deviation of the biases.
        width: number of units of each hidden layer in a finite network.

    Returns:
        The architecture.

    Example:
        >>> mlp(3, 2)
        Architecture(5 steps, inputs of shape (3,))
    """
    whole(depth, "mlp: depth")
    if not whole(input_dim, "mlp: input_dim"):
        raise ValueError(f"mlp: {input_dim} inputs and {depth} hidden layers make no network.")
    bend = relu() if activation is None else activation
    hidden = [o for _ in range(depth) for o in (dense(weight_std, bias_std, width=width), bend)]
    last = dense(weight_std, bias_std, width=1)
    said = (
        f"weights of variance {last.variances[0]:.4g} / fan_in, biases of variance {bias_std * bias_std:.4g}"
    )
    return chain([*hidden, last], (input_dim,), assumed=[said])
