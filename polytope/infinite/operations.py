"""What architectures of infinite width consist of: layers of random weights, activations, averages, sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polytope.infinite.activations import Bend
from polytope.infinite.given import whole
from polytope.infinite.slots import Slots, slots_of
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
        if self.width is not None and not whole(self.width, f"{self.name}: width"):
            raise ValueError(f"{self.name}: width must be at least 1, not {self.width}.")
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
