r"""What every layer of a flow answers: values and log-determinants both ways, and its exact network.

*Forward* is the direction from the base distribution to the data, *inverse* the one back.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from polytope.errors import NotPiecewiseLinearError
from polytope.ir import Network

Direction = Literal["forward", "inverse"]
Moved = tuple[Tensor, Tensor]  # points [B, D] and log |det J| [B]


class Bijection(nn.Module):
    """An invertible map of R^D; points are rows of a tensor ``[B, D]``.

    Arguments:
        dim: D.

    Raises:
        ValueError: the dimension is not positive.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if not dim > 0:
            raise ValueError(f"{type(self).__name__}: the dimension must be positive, not {dim}.")
        self.dim = dim

    def forward(self, z: Tensor) -> Moved:
        """From base to data.

        Arguments:
            z: points on the base side, ``[B, D]``.

        Returns:
            ``(x [B, D], log |det dx/dz| [B])``.
        """
        raise NotImplementedError

    def inverse(self, x: Tensor) -> Moved:
        """From data to base.

        Arguments:
            x: points on the data side, ``[B, D]``.

        Returns:
            ``(z [B, D], log |det dz/dx| [B])``.
        """
        raise NotImplementedError

    def initialise(self, x: Tensor) -> None:
        """Set what depends on the data.

        Arguments:
            x: a first batch on the data side, ``[B, D]``.
        """

    def network(self, direction: Direction) -> Network:
        """The map in one direction as a piecewise-linear network.

        Arguments:
            direction: "forward" (base to data) or "inverse" (data to base).

        Returns:
            The network, from R^D to R^D.

        Raises:
            NotPiecewiseLinearError: it is not one.
            FlowError: the layer is singular, or holds numbers that are not finite.
        """
        raise NotPiecewiseLinearError(f"{type(self).__name__} is not piecewise linear in its input.")
