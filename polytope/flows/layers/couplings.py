r"""Coupling layers: some coordinates pass, and say how the others are moved.

With :math:`x_a` the coordinates that pass and :math:`x_b` the others, the Jacobian is block triangular, and
the inverse needs no inverse of the conditioners.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from polytope.errors import NotPiecewiseLinearError
from polytope.flows.exact.composition import compose, plus_identity_on
from polytope.flows.layers.bijection import Bijection, Direction, Moved
from polytope.flows.layers.conditioner import conditioner_network
from polytope.ir import Dense, Layer, Network, Selection, stack


class _Coupling(Bijection):
    """What both couplings share: the split of the coordinates.

    Arguments:
        mask: ``bool[D]``, true where a coordinate passes; neither all nor none.
    """

    passing: Tensor
    moved: Tensor

    def __init__(self, mask: ArrayLike) -> None:
        passes = np.asarray(mask).astype(bool).ravel()
        super().__init__(len(passes))
        if passes.all() or not passes.any():
            raise ValueError(
                f"{type(self).__name__}: the mask must let some coordinates pass and move the others."
            )
        self.register_buffer("passing", torch.tensor(np.flatnonzero(passes)))
        self.register_buffer("moved", torch.tensor(np.flatnonzero(~passes)))

    def _read(self, conditioner: nn.Module, a: Tensor) -> Tensor:
        """What a conditioner says of the coordinates that move; one number for several would pass unseen."""
        said: Tensor = conditioner(a)
        if len(said) != len(a):
            raise ValueError(f"{type(self).__name__}: a conditioner gives {len(said)} rows for {len(a)}.")
        self._check_outputs(said.shape[1:])
        return said

    def _check_outputs(self, shape: tuple[int, ...]) -> None:
        if shape != (len(self.moved),):
            raise ValueError(
                f"{type(self).__name__}: a conditioner must map [B, {len(self.passing)}] to "
                f"[B, {len(self.moved)}], and gives {['B', *shape]}."
            )

    def _joined(self, like: Tensor, moved: Tensor) -> Tensor:
        """All coordinates, with new values of those that move."""
        return like.index_copy(1, self.moved, moved)


class AdditiveCoupling(_Coupling):
    """``x_b = z_b + t(z_a)``: volume preserving, and piecewise linear if t is.

    Arguments:
        mask: ``bool[D]``, true for the coordinates a, which pass.
        shift: t, a module from ``[B, len(a)]`` to ``[B, len(b)]``.

    Raises:
        ValueError: the mask lets all coordinates pass, or none.

    References: Dinh, Krueger, Bengio (2014), "NICE: Non-linear Independent Components Estimation",
        https://arxiv.org/abs/1410.8516
    """

    def __init__(self, mask: ArrayLike, shift: nn.Module) -> None:
        super().__init__(mask)
        self.shift = shift

    def forward(self, z: Tensor) -> Moved:
        """``x_b = z_b + t(z_a)``."""
        return self._joined(z, z[:, self.moved] + self._read(self.shift, z[:, self.passing])), z.new_zeros(
            len(z)
        )

    def inverse(self, x: Tensor) -> Moved:
        """``z_b = x_b - t(x_a)``."""
        return self._joined(x, x[:, self.moved] - self._read(self.shift, x[:, self.passing])), x.new_zeros(
            len(x)
        )

    def network(self, direction: Direction) -> Network:
        """The identity plus or minus the conditioner."""
        inner = conditioner_network(self.shift, len(self.passing))
        self._check_outputs((inner.output_dim,))
        if direction == "inverse":
            n = inner.output_dim
            inner = compose([inner, Network((n,), (Layer((0,), (Dense(-np.eye(n)),), np.zeros(n)),))])
        return plus_identity_on(inner, self.passing.cpu().numpy(), self.moved.cpu().numpy(), self.dim)


class AffineCoupling(_Coupling):
    r"""``x_b = z_b exp(s(z_a)) + t(z_a)``; log-determinant :math:`\sum_j s_j(z_a)`. Not piecewise linear.

    Arguments:
        mask: ``bool[D]``, true for the coordinates a, which pass.
        scale, shift: s and t, modules from ``[B, len(a)]`` to ``[B, len(b)]``.

    Raises:
        ValueError: the mask lets all coordinates pass, or none.

    References: Dinh, Sohl-Dickstein, Bengio (2017), "Density estimation using Real NVP",
        https://arxiv.org/abs/1605.08803
    """

    def __init__(self, mask: ArrayLike, scale: nn.Module, shift: nn.Module) -> None:
        super().__init__(mask)
        self.scale, self.shift = scale, shift

    def forward(self, z: Tensor) -> Moved:
        """``x_b = z_b exp(s(z_a)) + t(z_a)``."""
        a = z[:, self.passing]
        s = self._read(self.scale, a)
        return self._joined(z, z[:, self.moved] * s.exp() + self._read(self.shift, a)), s.sum(dim=1)

    def inverse(self, x: Tensor) -> Moved:
        """``z_b = (x_b - t(x_a)) exp(-s(x_a))``."""
        a = x[:, self.passing]
        s = self._read(self.scale, a)
        return self._joined(x, (x[:, self.moved] - self._read(self.shift, a)) * (-s).exp()), -s.sum(dim=1)

    def network(self, direction: Direction) -> Network:
        """Refused.

        Raises:
            NotPiecewiseLinearError: always.
        """
        raise NotPiecewiseLinearError(
            "AffineCoupling is not piecewise linear: it multiplies by exp(s(z_a)). Additive couplings are; "
            "first_coupling_network gives the first conditioners, which are."
        )

    def conditioners(self) -> Network:
        """The scale's and the shift's network on all of R^D, without bounded ends such as tanh.

        Raises:
            NotPiecewiseLinearError: a conditioner has another activation before its end.
        """
        a = self.passing.cpu().numpy()
        pick = Network((self.dim,), (Layer((0,), (Selection(a, self.dim),), np.zeros(len(a))),))
        both = (conditioner_network(_without_end(part), len(a)) for part in (self.scale, self.shift))
        return compose([pick, stack(*both)])


def _without_end(module: nn.Module) -> nn.Module:
    """A sequence up to its last linear part: what follows acts on single outputs and adds no walls."""
    if not isinstance(module, nn.Sequential):
        return module
    parts = list(module)
    while parts and not isinstance(parts[-1], nn.Linear | nn.Conv2d):
        parts.pop()
    return nn.Sequential(*parts) if parts else module
