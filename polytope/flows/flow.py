r"""A flow: a diffeomorphism g of R^D and a base density, :math:`q(x) = q_Z(g^{-1}(x)) |\det dg^{-1}/dx|`."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.errors import FlowError, NotPiecewiseLinearError
from polytope.flows.base import BASES, Base, BaseName
from polytope.flows.layers.bijection import Bijection, Moved
from polytope.flows.layers.chain import Chain

Points = Tensor | ArrayLike


class Flow(Chain):
    """Layers between a base distribution and the data; all arithmetic in the layers' own type, float64.

    Points may be tensors or arrays, ``[B, D]`` or ``[B, *shape]``; what comes back is a tensor of that form.

    Arguments:
        layers: base side first.
        base: "normal", "laplace", or "uniform" on [0, 1]^D; or another density, as flows that come from other
            libraries have it.
        shape: of one data point, where it is an image; ``(D,)`` by default.

    Raises:
        TypeError: something is no layer of this package.
        ValueError: no layers, layers or a shape that do not fit each other, or an unknown base.

    Example:
        >>> from polytope.flows import ActNorm, Flow
        >>> flow = Flow([ActNorm(2)])
        >>> flow.log_prob([[0.0, 0.0]]).detach().numpy().round(4).tolist()
        [-1.8379]
    """

    def __init__(
        self,
        layers: Iterable[Bijection],
        base: BaseName | Base = "normal",
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(layers)
        if not isinstance(base, Base) and base not in BASES:
            raise ValueError(f"The base must be one of {', '.join(BASES)}, not {base!r}.")
        self._base = base
        self.shape = shape or (self.dim,)
        if prod(self.shape) != self.dim:
            raise ValueError(f"A flow of R^{self.dim} has no data of shape {self.shape}.")

    @property
    def base(self) -> Base:
        """The base distribution."""
        return self._base if isinstance(self._base, Base) else BASES[self._base]

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether ``lower`` can express it."""
        try:
            self.network("forward")
        except NotPiecewiseLinearError:
            return False
        return True

    def rows(self, points: Points) -> Tensor:
        """Points as finite rows ``[B, D]`` of the flow's own type.

        Arguments:
            points: ``[B, D]`` or ``[B, *shape]``.

        Returns:
            ``[B, D]``.

        Raises:
            ValueError: the shape is another, or a number is not finite.
        """
        like = next(self.parameters(), torch.zeros(0, dtype=torch.float64))
        if isinstance(points, Tensor):
            values = points.to(like)
        else:
            values = torch.as_tensor(np.asarray(points), dtype=like.dtype, device=like.device)
        fits = values.ndim == 2 and values.shape[1] == self.dim
        if not fits and tuple(values.shape[1:]) != self.shape:
            raise ValueError(
                f"The flow expects points of shape {_batch((self.dim,))}"
                f"{'' if self.shape == (self.dim,) else ' or ' + _batch(self.shape)}, "
                f"not {list(values.shape)}; one point is a batch of 1."
            )
        if not torch.isfinite(values).all():
            raise ValueError("The flow was given points with numbers that are not finite.")
        return values.reshape(len(values), self.dim)

    def forward(self, z: Points) -> Moved:
        """From base to data.

        Arguments:
            z: base points, ``[B, D]`` or ``[B, *shape]``.

        Returns:
            ``(x, log |det dx/dz| [B])``, x of the shape of z.

        Raises:
            ValueError: points of another shape, or not finite.
            FlowError: a number overflows: the flow is not invertible there in its number type.
        """
        x, logdet = super().forward(self.rows(z))
        return _checked(x, logdet, "forward").reshape(np.shape(z)), logdet

    def inverse(self, x: Points) -> Moved:
        """From data to base.

        Arguments:
            x: data points, ``[B, D]`` or ``[B, *shape]``.

        Returns:
            ``(z, log |det dz/dx| [B])``, z of the shape of x.

        Raises:
            ValueError: points of another shape, or not finite.
            FlowError: a number overflows: the flow is not invertible there in its number type.
        """
        z, logdet = super().inverse(self.rows(x))
        return _checked(z, logdet, "inverse").reshape(np.shape(x)), logdet

    def log_prob(self, x: Points) -> Tensor:
        """The log-density of data points.

        Arguments:
            x: data points, ``[B, D]`` or ``[B, *shape]``.

        Returns:
            ``[B]``, in nats.

        Raises:
            ValueError: points of another shape, or not finite.
            FlowError: a number overflows: the flow is not invertible there in its number type.
        """
        z, logdet = self.inverse(self.rows(x))
        return self.base.log_density(z) + logdet

    def sample(self, n: int, rng: np.random.Generator | None = None) -> Tensor:
        """Samples of data points, without gradients.

        Arguments:
            n: how many.
            rng: source of randomness; ``numpy.random.default_rng()`` where ``None``.

        Returns:
            ``[n, *shape]``.

        Raises:
            FlowError: a number overflows.
        """
        z = self.base.draw(np.random.default_rng(rng), (n, self.dim))
        with torch.no_grad():
            x, _ = self.forward(z)
        return x.reshape(n, *self.shape)


def _batch(shape: tuple[int, ...]) -> str:
    return f"[B, {', '.join(map(str, shape))}]"


def _checked(points: Tensor, logdet: Tensor, direction: str) -> Tensor:
    good = torch.isfinite(points).all(dim=1) & torch.isfinite(logdet)
    if not good.all():
        raise FlowError(
            f"The flow's {direction} direction gives numbers that are not finite at {int((~good).sum())} of "
            f"{len(good)} points: it is not invertible there in {points.dtype}."
        )
    return points
