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

from polytope.infinite.activations import Bend, relu
from polytope.infinite.slots import Reads, Slots, slots_of
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer with random weights, the same ones at all sites.

    Arguments:
        slots: which sites each weight reads.
        variances: of the weights, times the number of incoming channels, ``[k]``.
        bias: patterns of the biases on the sites, times their standard deviations, ``[r, A']``.
        width: number of channels of the result in a finite network; ``None`` if it is not known.
        name: of the layer, for messages.
    """

    slots: Slots
    variances: FloatArray
    bias: FloatArray
    width: int | None = None
    name: str = "Linear"

    def __post_init__(self) -> None:
        if self.variances.shape != (len(self.slots),) or self.bias.shape[1:] != (self.slots.sites,):
            raise ValueError(
                f"{self.name}: {len(self.slots)} slots on {self.slots.sites} sites do not fit variances "
                f"{self.variances.shape} and biases {self.bias.shape}."
            )
        if not (np.isfinite(self.variances).all() and np.isfinite(self.bias).all()):
            raise ValueError(f"{self.name}: variances and biases must be finite numbers.")
        if (self.variances < 0).any():
            raise ValueError(f"{self.name}: a variance must not be negative.")

    @property
    def sites(self) -> int:
        """Number of sites of the result."""
        return self.slots.sites

    @property
    def sites_in(self) -> int:
        """Number of sites of the input."""
        return self.slots.sites_in


@dataclass(frozen=True, eq=False)
class Average:
    """A fixed linear map of sites, the same for all channels: pooling by averages or sums.

    Arguments:
        matrix: P, ``[A', A]``.
        name: of the layer, for messages.
    """

    matrix: FloatArray
    name: str = "Average"

    @cached_property
    def slots(self) -> Slots:
        """P as the only slot."""
        return slots_of(self.matrix[None])

    @property
    def sites(self) -> int:
        """Number of sites of the result."""
        return int(self.matrix.shape[0])

    @property
    def sites_in(self) -> int:
        """Number of sites of the input."""
        return int(self.matrix.shape[1])


@dataclass(frozen=True)
class Sum:
    """The sum of several values of equally many sites: a skip connection.

    Arguments:
        name: of the layer, for messages.
    """

    name: str = "Sum"


Operation = Linear | Bend | Average | Sum


@dataclass(frozen=True, eq=False)
class Step:
    """One operation and what it reads.

    Arguments:
        operation: the operation.
        inputs: numbers of earlier values: 0 is the network's input, l the result of step l (from 1).
    """

    operation: Operation
    inputs: tuple[int, ...]


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
    def sources(self) -> tuple[frozenset[int], ...]:
        """For each value the layers whose weights it is a function of, without those in front of them."""
        found: list[frozenset[int]] = [frozenset([0])]
        for number, step in enumerate(self.steps, start=1):
            parts = [found[k] for k in step.inputs]
            joined: frozenset[int] = frozenset().union(*parts)
            if isinstance(step.operation, Sum) and len(joined) < sum(map(len, parts)):
                raise ValueError(
                    f"Step {number} adds values that depend on the same weights, with no layer of its own "
                    "between them: their covariance has no closed form here."
                )
            found.append(frozenset([number]) if isinstance(step.operation, Linear) else joined)
        return tuple(found)

    @cached_property
    def centred(self) -> tuple[bool, ...]:
        """For each value whether its mean over the weights is known to be 0."""
        found = [False]
        for step in self.steps:
            bends = isinstance(step.operation, Bend)
            found.append(
                isinstance(step.operation, Linear) or (not bends and all(found[k] for k in step.inputs))
            )
        for number, step in enumerate(self.steps, start=1):
            others = [found[k] for k in step.inputs if 0 not in self.sources[k]]
            if isinstance(step.operation, Sum) and len(others) < len(step.inputs) and not all(others):
                raise ValueError(
                    f"Step {number} adds the input to values with a mean: put a linear layer in front of it."
                )
        return tuple(found)

    def points(self, x: ArrayLike | Tensor, device: str = "cpu", name: str = "x") -> Tensor:
        """Points as channels on sites.

        Arguments:
            x: ``[B, *input_shape]`` or flat, ``[B, d]``.
            device: of torch.
            name: of the argument, for messages.

        Returns:
            ``[B, C, A]`` in float64.

        Raises:
            ValueError: points of another shape, or numbers that are not finite.
        """
        rows = torch.as_tensor(x if isinstance(x, Tensor) else np.ascontiguousarray(x, dtype=float))
        rows = rows.detach().to(device, torch.float64)
        if rows.ndim < 2 or prod(rows.shape[1:]) != prod(self.input_shape):
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
    return Architecture(steps, tuple(input_shape), after=sites, assumed=tuple(assumed))


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
    if not (weight_std >= 0 and bias_std >= 0):
        raise ValueError(f"dense: deviations must not be negative, as {weight_std} or {bias_std} is.")
    slots = Reads(np.arange(sites)[:, None], sites)
    variances = np.full(sites, weight_std**2 / sites)
    return Linear(slots, variances, np.full((1, 1), bias_std), width, "dense")


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
    if depth < 0 or input_dim < 1:
        raise ValueError(f"mlp: {input_dim} inputs and {depth} hidden layers make no network.")
    bend = activation or relu()
    hidden = [o for _ in range(depth) for o in (dense(weight_std, bias_std, width=width), bend)]
    said = f"weights of variance {weight_std**2:.4g} / fan_in, biases of variance {bias_std**2:.4g}"
    return chain([*hidden, dense(weight_std, bias_std, width=1)], (input_dim,), assumed=[said])
