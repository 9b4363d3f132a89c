r"""Any invertible function as a layer of a flow, given in both directions.

What a direction does not say follows from the other: with :math:`J = dz/dx` by automatic differentiation of
the way back, :math:`dx/dz = J^{-1}`, and the log-determinant is that of J.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from polytope.errors import FlowError
from polytope.flows.base import Base, BaseName
from polytope.flows.flow import Flow
from polytope.flows.layers.bijection import Bijection, Moved
from polytope.given import described
from polytope.ir.arrays import floats

Way = Callable[[Tensor], Tensor | Moved]
"""Points ``[B, D]`` to points, or to points and log-determinants ``[B]``."""
Named = tuple[str, Way]


SMALL = 256  # coordinates up to which Jacobians are looked at: one step back for each


def finite_row(given: ArrayLike, name: str) -> Tensor:
    """Finite numbers in a row."""
    try:
        row = torch.from_numpy(floats(given).ravel().copy())
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be of real numbers, not {described(given)}.") from error
    if not torch.isfinite(row).all():
        raise ValueError(f"{name} must be finite.")
    return row


class Wrapped(Bijection):
    """An invertible function, known in both directions.

    Arguments:
        forward, inverse: from base to data, and back; each gives points, or points and log-determinants.
        shape: of one point, as both read and give it.
        name: what errors call it.
        holder: a module whose parameters are those of both functions; not needed for modules themselves.
    """

    def __init__(
        self, forward: Way, inverse: Way, shape: Sequence[int], name: str, holder: nn.Module | None = None
    ) -> None:
        super().__init__(prod(shape))
        self.there, self.back, self.holder = forward, inverse, holder
        self.shape, self.name = tuple(shape), name

    def forward(self, z: Tensor) -> Moved:
        """Through the function."""
        return self._moved(("forward", self.there), ("inverse", self.back), z)

    def inverse(self, x: Tensor) -> Moved:
        """Back through the function."""
        return self._moved(("inverse", self.back), ("forward", self.there), x)

    def _moved(self, way: Named, other: Named, points: Tensor) -> Moved:
        """Through one direction; by the other one where it gives no gradients or no log-determinant."""
        end, logdet = self._called(way, points)
        lost = torch.is_grad_enabled() and points.requires_grad and not end.requires_grad
        if not lost and logdet is not None:
            return end, logdet
        J = None if lost else self._jacobian(way, points)
        if J is not None:
            return end, torch.linalg.slogdet(J)[1]
        back = self._jacobian(other, end.detach())
        if back is None:
            raise FlowError(f"{self.name}: no gradients go through either direction.")
        logdet = -torch.linalg.slogdet(back)[1] if logdet is None else logdet
        if not lost:
            return end, logdet
        with torch.no_grad():
            again, _ = self._called(other, end)
        step = torch.linalg.solve(back.detach(), (points - again)[:, :, None])[:, :, 0]
        return end + step, logdet

    def _jacobian(self, way: Named, points: Tensor) -> Tensor | None:
        """The Jacobians at points, ``[B, D, D]``; ``None`` if the direction gives no gradients."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            at = points if graph and points.requires_grad else points.detach().requires_grad_(True)
            said, _ = self._called(way, at)
            if not said.requires_grad:
                return None
            rows = [
                torch.autograd.grad(said[:, i].sum(), at, retain_graph=True, create_graph=graph)[0]
                for i in range(self.dim)
            ]
        return torch.stack(rows, dim=1)

    def _called(self, way: Named, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Points and, if it is said, the log-determinants, in the form that layers have."""
        direction, function = way
        try:
            said = function(points.clone().reshape(len(points), *self.shape))
        except (RuntimeError, TypeError, IndexError, AssertionError, NotImplementedError) as error:
            text = str(error).split("\n")[0] or type(error).__name__
            raise FlowError(
                f"{self.name}: its {direction} direction fails on {points.dtype} points "
                f"{['B', *self.shape]}: {text}"
            ) from error
        found, logdet = said if isinstance(said, tuple) and len(said) == 2 else (said, None)
        n = len(points)
        fits = (
            isinstance(found, Tensor)
            and found.is_floating_point()
            and found.shape[:1] == (n,)
            and found.numel() == points.numel()
        )
        if not fits or not (logdet is None or (isinstance(logdet, Tensor) and logdet.numel() in (1, n))):
            raise ValueError(
                f"{self.name}: its {direction} direction must give real points {['B', *self.shape]}, or "
                f"these and log-determinants [B]."
            )
        if logdet is not None:
            logdet = logdet.reshape(-1).expand(n) if logdet.numel() == 1 else logdet.reshape(n)
        return found.reshape(n, self.dim), logdet


def wrap(
    forward: Way,
    inverse: Way,
    dim: int | Sequence[int],
    *,
    base: BaseName | Base = "normal",
    tolerance: float = 1e-4,
) -> Flow:
    """A flow of any invertible function, given in both directions.

    Such a flow has densities, Jacobians, spectra, dimensions and counterfactuals by gradients; whether it is
    piecewise linear is not known, so that it has no exact regions. A direction through which no gradients go
    (a fixed point, a bisection) takes them from the other one.

    Arguments:
        forward: from base to data, a function, a module or a method of one, whose parameters are then those
            of the flow: points ``[B, D]`` to points ``[B, D]``, or to ``(points, log |det| [B])``. Without
            log-determinants they are computed from Jacobians.
        inverse: the same from data to base.
        dim: D, or the shape of one point, which both directions then read and give.
        base: see ``Flow``.
        tolerance: by how much both directions may fail to undo each other at eight random points, relative to
            the size of these; and log-determinants may differ from those of Jacobians, which are looked at
            where gradients go through and a point has at most 256 coordinates.

    Returns:
        The flow, in the number type of its parameters, float64 without any.

    Raises:
        ValueError: points or log-determinants of another shape, directions that do not undo each other or
            mix the points of a batch, or log-determinants that are not those of the Jacobians.
        FlowError: a direction fails, or gives numbers that are not finite.

    Example:
        >>> import torch
        >>> from polytope import flows
        >>> sinh = flows.wrap(torch.sinh, torch.asinh, 2)
        >>> flows.jacobian_spectrum(sinh, [[0.0, 1.0]]).round(6).tolist()
        [[1.414214, 1.0]]
    """
    shape = (dim,) if isinstance(dim, int | np.integer) else dim
    if not isinstance(shape, Sequence | torch.Size) or not all(
        isinstance(n, int | np.integer) for n in shape
    ):
        raise TypeError(f"wrap: dim must be the dimension or the shape of a point, not {described(dim)}.")
    shape = tuple(int(n) for n in shape)
    if not callable(forward) or not callable(inverse):
        raise TypeError("wrap: forward and inverse must be functions or modules.")
    if not tolerance > 0:
        raise ValueError(f"wrap: the tolerance must be positive, not {tolerance}.")
    owners = [getattr(way, "__self__", None) for way in (forward, inverse)]
    holder = nn.ModuleList(dict.fromkeys(owner for owner in owners if isinstance(owner, nn.Module)))
    layer = Wrapped(forward, inverse, shape, "wrap", holder)
    flow = Flow([layer], base, shape)
    checked_inverse(flow, tolerance, "wrap")
    if flow.dim <= SMALL:
        z = flow.rows(flow.base.draw(np.random.default_rng(1), (8, flow.dim)))
        checked_logdet(layer, z, tolerance, "wrap")
    return flow


def checked_inverse(flow: Flow, tolerance: float, who: str) -> None:
    """Refuse a flow whose directions do not undo each other at random base points, each by itself."""
    z = flow.rows(flow.base.draw(np.random.default_rng(0), (8, flow.dim)))
    with torch.no_grad():
        x, there = flow.forward(z)
        again, back = flow.inverse(x)
        alone = torch.cat([flow.forward(z[:1])[0], flow.inverse(x[:1])[0]])
    off = max(_apart(again, z), float((there + back).abs().max()) / flow.dim)
    if not off <= tolerance:
        raise ValueError(
            f"{who}: the directions do not undo each other: points or log-determinants are off by {off:.3g}. "
            "forward leads from base to data; tolerance= says what is allowed."
        )
    if not _apart(alone, torch.cat([x[:1], again[:1]])) <= tolerance:
        raise ValueError(
            f"{who}: a point moves elsewhere alone than in a batch; modules with batch normalisation or "
            "dropout must be in evaluation mode."
        )


def _apart(one: Tensor, other: Tensor) -> float:
    """The greatest difference, relative to the size of the points."""
    return float((one - other).abs().max() / (1 + other.abs().max()))


def checked_logdet(layer: Wrapped, points: Tensor, tolerance: float, who: str) -> None:
    """Refuse a log-determinant from base to data that is not that of the Jacobian."""
    with torch.no_grad():
        x, said = layer(points)
        there, back = (
            layer._jacobian(("forward", layer.there), points),
            layer._jacobian(("inverse", layer.back), x),
        )
    J = there if there is not None else None if back is None else torch.linalg.inv(back)
    if J is None:
        return
    off = float((torch.linalg.slogdet(J)[1] - said).abs().max()) / layer.dim
    if not off <= tolerance:
        raise ValueError(
            f"{who}: the log-determinants are not those of the Jacobians, by {off:.3g} for each coordinate. "
            "forward gives log |det dx/dz|, inverse log |det dz/dx|."
        )
