"""Trained flows of zuko, whose transforms map data to base, as flows of this package."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from polytope.errors import FlowError, UnsupportedOpError
from polytope.flows.base import BaseName
from polytope.flows.flow import Flow
from polytope.flows.layers.affine import Permute, gaussian_layer
from polytope.flows.layers.bijection import Bijection
from polytope.flows.layers.couplings import AdditiveCoupling, AffineCoupling
from polytope.flows.layers.wrapped import Wrapped, finite_row

RETURNS = 1e-2  # by how much numerical inverses may be off, relative to the base point's size


def from_zuko(flow: Any, context: ArrayLike | None = None) -> Flow:
    """A zuko flow with copies of its weights, in float64.

    Coupling transforms (``zuko.flows.NICE``, ``RealNVP``) become couplings of this package:
    ``NICE(..., univariate=AdditiveTransform, shapes=((),))`` additive ones, which can be lowered. All others
    (masked autoregressive, neural spline, neural autoregressive, Gaussianising flows) are wrapped as they
    are: they have densities, Jacobians, spectra and counterfactuals, and no regions.

    Arguments:
        flow: a ``zuko.flows.Flow`` over a normal or uniform base with independent coordinates.
        context: ``[C]``, of a flow with a context: which flow of the family it is.

    Raises:
        TypeError: it is no zuko flow; a transform alone has no base.
        UnsupportedOpError: the base is not supported, or the flow needs a context.
        ValueError: the context is of another length, or not finite.
        FlowError: a transform cannot be evaluated. The flow itself raises it where zuko's numerical inverses
            end at the bounds of their search.

    References: Rozet et al., zuko, https://github.com/probabilists/zuko
    """
    from zuko.lazy import Flow as ZukoFlow

    if not isinstance(flow, ZukoFlow):
        raise TypeError(f"from_zuko: expected a zuko Flow (transform and base), not {type(flow).__name__}.")
    whole, given = deepcopy(flow).double().eval(), _given(context)
    dim = _dimension(whole, given)
    parts = list(getattr(whole.transform, "transforms", [whole.transform]))
    base, first = _base(whole.base, given)
    layers = [_layer(part, dim, given) for part in reversed(parts)]
    return Flow([*first, *layers], base)


def _given(context: ArrayLike | None) -> Tensor | None:
    """The context as one row of finite numbers."""
    if context is None:
        return None
    return finite_row(context, "from_zuko: the context")


def _dimension(whole: Any, context: Tensor | None) -> int:
    """D; a refusal where the context is not what the flow reads."""
    try:
        with torch.no_grad():
            law = whole(context)
            law.log_prob(torch.zeros(1, *law.event_shape, dtype=torch.float64))
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        if context is None:
            raise UnsupportedOpError(
                "from_zuko: the flow cannot be evaluated without a context. A flow with a context is a "
                "family of flows; context= says which one."
            ) from error
        raise ValueError(f"from_zuko: the flow does not read a context of {len(context)} numbers.") from error
    if len(law.event_shape) != 1:
        raise UnsupportedOpError(f"from_zuko: points of shape {tuple(law.event_shape)} are no vectors.")
    return int(law.event_shape[0])


def _layer(part: Any, dim: int, context: Tensor | None) -> Bijection:
    """One lazy transform, turned round: a layer of this package where there is one, else wrapped."""
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.lazy import UnconditionalTransform
    from zuko.transforms import PermutationTransform

    if isinstance(part, UnconditionalTransform) and isinstance(part(), PermutationTransform):
        return Permute(np.argsort(part().order.cpu().numpy()))
    if isinstance(part, GeneralCouplingTransform):
        coupling = _coupling(part, context)
        if coupling is not None:
            return coupling
    return Wrapped(
        lambda z: _back(part(context), z),
        lambda x: _summed(part(context), x),
        (dim,),
        f"from_zuko ({type(part).__name__})",
        part,
    )


def _summed(transform: Any, points: Tensor) -> tuple[Tensor, Tensor]:
    """Moved points, and log-determinants ``[B]``, of transforms of single numbers too."""
    moved, logdet = transform.call_and_ladj(points)
    return moved, logdet.sum(dim=-1) if logdet.ndim == points.ndim else logdet


def _back(transform: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """Against a transform, which zuko inverts by bisection between bounds where there is no formula."""
    moved, logdet = _summed(transform.inv, z)
    with torch.no_grad():
        away = (transform(moved) - z).abs() > RETURNS * (1 + z.abs())
    if away.any():
        raise FlowError(
            f"from_zuko: zuko's inverse does not lead back at {int(away.any(dim=1).sum())} of {len(z)} "
            "points: what it looks for lies outside of its bounds."
        )
    return moved, logdet


def _coupling(part: Any, context: Tensor | None) -> Bijection | None:
    """An additive or affine coupling by a network of linear layers; ``None`` if it is another one."""
    from zuko.transforms import AdditiveTransform, MonotonicAffineTransform

    mask, net = part.mask.cpu().numpy(), _dense(part.hyper)
    probe = part.univariate(*(torch.zeros(shape) for shape in part.shapes))
    if net is None or not isinstance(probe, AdditiveTransform | MonotonicAffineTransform):
        return None
    _fix(net, int(mask.sum()), context)
    if isinstance(probe, MonotonicAffineTransform):
        return AffineCoupling(mask, _Scale(net, part.univariate), _Shift(net, part.univariate))
    last = net[-1]
    if not isinstance(last, nn.Linear):
        return None
    last.weight.data.neg_()
    if last.bias is not None:
        last.bias.data.neg_()
    return AdditiveCoupling(mask, net)


def _fix(net: nn.Sequential, reads: int, context: Tensor | None) -> None:
    """A conditioner whose first layer reads no context any more: what it contributes is in the bias."""
    first = next(module for module in net if isinstance(module, nn.Linear))
    if context is None or first.in_features == reads:
        return
    weight = first.weight.data
    bias = weight[:, reads:] @ context + (0 if first.bias is None else first.bias.data)
    first.weight, first.bias = nn.Parameter(weight[:, :reads].clone()), nn.Parameter(bias)
    first.in_features = reads


class _Scale(nn.Module):
    """The log-scale from base to data: minus that of zuko's transform."""

    def __init__(self, net: nn.Module, univariate: Any) -> None:
        super().__init__()
        self.net, self.univariate = net, univariate

    def transform(self, a: Tensor) -> Any:
        """Zuko's transform of the moved coordinates."""
        shift, scale = self.net(a).unflatten(-1, (-1, 2)).unbind(-1)
        return self.univariate(shift, scale)

    def forward(self, a: Tensor) -> Tensor:
        """``[B, len(a)]`` to ``[B, len(b)]``."""
        log_scale: Tensor = self.transform(a).log_scale
        return -log_scale


class _Shift(_Scale):
    """The shift from base to data: where zuko's inverse takes 0."""

    def forward(self, a: Tensor) -> Tensor:
        """``[B, len(a)]`` to ``[B, len(b)]``."""
        u = self.transform(a)
        shift: Tensor = -u.shift / u.scale
        return shift


def _dense(hyper: Any) -> nn.Sequential | None:
    """Zuko's MLP with torch's linear layers, in float64; ``None`` if it has others."""
    from zuko.nn import Linear

    parts: list[nn.Module] = []
    for module in hyper:
        if isinstance(module, Linear):
            if module.weight.ndim != 2:
                return None
            linear = nn.Linear(module.in_features, module.out_features, module.bias is not None).double()
            linear.weight.data.copy_(module.weight.data)
            if module.bias is not None:
                linear.bias.data.copy_(module.bias.data)
            parts.append(linear)
        else:
            parts.append(deepcopy(module).double())
    return nn.Sequential(*parts) if any(isinstance(m, nn.Linear) for m in parts) else None


def _base(lazy: Any, context: Tensor | None) -> tuple[BaseName, list[Bijection]]:
    """The base, and its place and width as a first layer; none for a standard one."""
    law = lazy(context)
    inner = getattr(law, "base_dist", law)
    if isinstance(inner, torch.distributions.Uniform):
        low, high = inner.low.double().ravel(), inner.high.double().ravel()
        return "uniform", [gaussian_layer(low, (high - low).log())]
    if not isinstance(inner, torch.distributions.Normal):
        raise UnsupportedOpError(f"from_zuko: the base {type(inner).__name__} is not supported.")
    loc, scale = inner.loc.detach().double().ravel(), inner.scale.detach().double().ravel()
    if not loc.any() and bool((scale == 1).all()):
        return "normal", []
    return "normal", [gaussian_layer(loc, scale.log())]
