"""Trained coupling flows of zuko, whose transforms map data to base, as flows of this package."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polytope.errors import UnsupportedOpError
from polytope.flows.flow import Flow
from polytope.flows.layers.affine import Permute, gaussian_layer
from polytope.flows.layers.bijection import Bijection
from polytope.flows.layers.couplings import AdditiveCoupling, AffineCoupling


def from_zuko(flow: Any) -> Flow:
    """A zuko coupling flow (``zuko.flows.NICE``, ``RealNVP``) with copies of its weights, in float64.

    ``NICE(..., univariate=AdditiveTransform, shapes=((),))`` becomes additive couplings, and can be lowered.

    Arguments:
        flow: a ``zuko.flows.Flow`` without context, of coupling transforms that are additive or affine, and
            of permutations, over a normal base with independent coordinates.

    Raises:
        TypeError: it is no zuko flow; a transform alone has no base.
        UnsupportedOpError: a transform, or the base, is not supported.

    References: Rozet et al., zuko, https://github.com/probabilists/zuko
    """
    from zuko.lazy import Flow as ZukoFlow

    if not isinstance(flow, ZukoFlow):
        raise TypeError(f"from_zuko: expected a zuko Flow (transform and base), not {type(flow).__name__}.")
    parts = list(getattr(flow.transform, "transforms", [flow.transform]))
    layers = [_layer(part) for part in reversed(parts)]
    return Flow([*_base(flow.base), *layers])


def _layer(part: Any) -> Bijection:
    """One lazy transform, turned round."""
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.lazy import UnconditionalTransform
    from zuko.transforms import AdditiveTransform, MonotonicAffineTransform, PermutationTransform

    if isinstance(part, UnconditionalTransform) and isinstance(part(), PermutationTransform):
        return Permute(np.argsort(part().order.cpu().numpy()))
    if not isinstance(part, GeneralCouplingTransform):
        raise UnsupportedOpError(
            f"from_zuko: {type(part).__name__} is not supported; couplings and permutations are."
        )
    mask = part.mask.cpu().numpy()
    net = _dense(part.hyper)
    first = next(module for module in net if isinstance(module, nn.Linear))
    if first.in_features != mask.sum():
        raise UnsupportedOpError(
            "from_zuko: a flow with a context is a family of flows; fix the context first."
        )
    probe = part.univariate(*(torch.zeros(shape) for shape in part.shapes))
    if isinstance(probe, AdditiveTransform):
        return AdditiveCoupling(mask, _negative(net))
    if isinstance(probe, MonotonicAffineTransform):
        return AffineCoupling(mask, _Scale(net, part.univariate), _Shift(net, part.univariate))
    raise UnsupportedOpError(f"from_zuko: couplings by {type(probe).__name__} are not supported.")


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


def _dense(hyper: Any) -> nn.Sequential:
    """Zuko's MLP with torch's linear layers, in float64."""
    from zuko.nn import Linear

    parts: list[nn.Module] = []
    for module in hyper:
        if isinstance(module, Linear):
            if module.weight.ndim != 2:
                raise UnsupportedOpError("from_zuko: stacks of linear layers are not supported.")
            linear = nn.Linear(module.in_features, module.out_features, module.bias is not None).double()
            linear.weight.data.copy_(module.weight.data)
            if module.bias is not None:
                linear.bias.data.copy_(module.bias.data)
            parts.append(linear)
        else:
            parts.append(deepcopy(module).double())
    return nn.Sequential(*parts)


def _negative(net: nn.Sequential) -> nn.Sequential:
    """Minus a network that ends in a linear layer."""
    last = net[-1]
    if not isinstance(last, nn.Linear):
        raise UnsupportedOpError("from_zuko: a conditioner must end in a linear layer.")
    last.weight.data.neg_()
    if last.bias is not None:
        last.bias.data.neg_()
    return net


def _base(lazy: Any) -> list[Bijection]:
    """The base's means and deviations as a first layer; none for a standard normal."""
    base = lazy()
    inner = getattr(base, "base_dist", base)
    if not isinstance(inner, torch.distributions.Normal):
        raise UnsupportedOpError(f"from_zuko: the base {type(inner).__name__} is not supported.")
    loc, scale = inner.loc.double().ravel(), inner.scale.double().ravel()
    if not loc.any() and bool((scale == 1).all()):
        return []
    return [gaussian_layer(loc, scale.log())]
