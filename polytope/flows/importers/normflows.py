"""Trained flows of normflows, Glow and multi-scale models among them, as flows of this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from polytope.errors import FlowError, UnsupportedOpError
from polytope.flows.base import Base, normal_mixture, two_moons, uniform_and_normal
from polytope.flows.flow import Flow
from polytope.flows.layers.affine import ActNorm, LULinear, Permute, Squeeze2d, gaussian_layer
from polytope.flows.layers.bijection import Bijection
from polytope.flows.layers.chain import Split2d
from polytope.flows.layers.conditioner import Select
from polytope.flows.layers.couplings import AdditiveCoupling, AffineCoupling
from polytope.flows.layers.wrapped import Wrapped, finite_row
from polytope.given import described

Shape = tuple[int, ...]


def from_normflows(
    flow: Any, shape: Shape | None = None, *, label: int | None = None, context: ArrayLike | None = None
) -> Flow:
    """A normflows model with copies of its weights, in float64.

    Masked and blockwise couplings (``scale=False`` becomes additive couplings, which can be lowered), Glow
    blocks, 1x1 convolutions, LU layers, permutations, ActNorm, squeezing, channel splits and shifts become
    layers of this package; all others that have an inverse (splines, autoregressive and residual layers,
    the logit in front of images) are wrapped as they are. Bases are normal ones, with classes, with a
    context or without, mixtures of them, ``UniformGaussian``, and ``TwoMoons``, whose density is normalised
    here by its integral (normflows leaves it as it is, so that log-densities differ by a constant).

    Arguments:
        flow: a ``NormalizingFlow``, ``ConditionalNormalizingFlow``, ``ClassCondFlow`` or ``MultiscaleFlow``.
        shape: of one data point, for images; that of the base where ``None`` (vectors).
        label: of a model with classes, which one: 0, 1, ...
        context: ``[C]``, of a ``ConditionalNormalizingFlow``: which flow of the family it is.

    Raises:
        TypeError: it is no normflows model, or the shape is none.
        UnsupportedOpError: a layer, or the base, is not supported.
        ValueError: a layer reads points of another shape, there is no such class, the model reads no such
            context, or a layer has not seen data that it depends on.
        FlowError: a wrapped layer fails.

    References: Stimper et al. (2023), "normflows: A PyTorch Package for Normalizing Flows",
        https://arxiv.org/abs/2302.12014
    """
    import normflows as nf

    if shape is not None and not (
        isinstance(shape, Sequence)
        and shape
        and all(isinstance(n, int | np.integer) and n > 0 for n in shape)
    ):
        raise TypeError(
            f"from_normflows: the shape must be of positive whole numbers, not {described(shape)}."
        )
    if isinstance(flow, nf.MultiscaleFlow):
        if shape is None:
            raise UnsupportedOpError("from_normflows: a multi-scale model needs its data's shape.")
        layers, _ = _level(flow, len(flow.q0) - 1, shape, label)
        if flow.transform is not None:
            more, _ = _layer(flow.transform, shape)
            layers += more
        return Flow(layers, shape=shape)
    if not isinstance(flow, nf.NormalizingFlow | nf.ClassCondFlow):
        raise TypeError(
            "from_normflows: expected a NormalizingFlow, a ConditionalNormalizingFlow, a ClassCondFlow or a "
            f"MultiscaleFlow, not {type(flow).__name__}."
        )
    data = shape or _shape(flow.q0)
    row = _context(flow, data, context)
    layers, inner = _converted(flow.flows, data, row)
    base = _density(flow.q0)
    first = [] if base else _base(flow.q0, inner, label, row)
    return Flow([*first, *layers] or [Permute(range(prod(data)))], base or "normal", data)


def _level(flow: Any, number: int, shape: Shape, label: int | None) -> tuple[list[Bijection], Shape]:
    """The layers of a scale, and in front of them the split into the coarser ones."""
    layers, inner = _converted(flow.flows[number], shape)
    if not number:
        return [*_base(flow.q0[0], inner, label), *layers], inner
    if flow.merges[number - 1].mode != "channel":
        raise UnsupportedOpError("from_normflows: scales must be split by channels.")
    c, h, w = inner
    coarse, _ = _level(flow, number - 1, (c // 2, h, w), label)
    split = Split2d((c, h, w), coarse)
    latent = _base(flow.q0[number], (c - c // 2, h, w), label)
    if latent:  # the part that stays has means and deviations of its own
        mine = latent[0]
        assert isinstance(mine, ActNorm), "bases become scalings"
        free = torch.zeros(split.chain.dim)
        both = gaussian_layer(torch.cat([free, mine.shift.data]), torch.cat([free, mine.log_scale.data]))
        return [both, split, *layers], inner
    return [split, *layers], inner


def _context(flow: Any, shape: Shape, context: ArrayLike | None) -> Tensor | None:
    """The context as a row ``[1, C]`` that the model reads; ``None`` for a model that has none."""
    import normflows as nf

    if not isinstance(flow, nf.ConditionalNormalizingFlow):
        if context is not None:
            raise ValueError(f"from_normflows: a {type(flow).__name__} has no context.")
        return None
    if context is None:
        raise ValueError(
            "from_normflows: a ConditionalNormalizingFlow is a family of flows; context= says which one."
        )
    row = finite_row(context, "from_normflows: the context")[None]
    try:
        with torch.no_grad():
            deepcopy(flow).double().eval().log_prob(torch.full((1, *shape), 0.25).double(), context=row)
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        text = str(error).split("\n")[0]
        raise ValueError(
            f"from_normflows: the model does not read a context of {row.shape[1]} numbers: {text}"
        ) from error
    return row


def _converted(
    parts: Iterable[Any], shape: Shape, context: Tensor | None = None
) -> tuple[list[Bijection], Shape]:
    """Layers, base side first, of a part whose data have a shape; and the shape on the base side."""
    layers: list[Bijection] = []
    for part in reversed(list(parts)):
        try:
            more, shape = _layer(part, shape, context)
        except RuntimeError as error:  # torch's, of sizes
            raise ValueError(
                f"from_normflows: a layer {type(part).__name__} does not read points of shape {tuple(shape)}."
            ) from error
        layers = more + layers
    return layers, shape


def _layer(part: Any, shape: Shape, context: Tensor | None = None) -> tuple[list[Bijection], Shape]:
    import normflows.flows as nf
    from normflows.transforms import Shift

    if isinstance(part, nf.Squeeze):
        c, h, w = shape
        squeeze = Squeeze2d((c, h, w))
        return [squeeze], squeeze.base_shape
    if isinstance(part, nf.GlowBlock):
        return _converted(part.flows, shape)
    if isinstance(part, nf.ActNorm | nf.AffineConstFlow):
        if getattr(part, "data_dep_init_done", 1.0) == 0:
            raise ValueError("from_normflows: an ActNorm has seen no data yet; train the flow first.")
        return [_scaling(part, shape)], shape
    if isinstance(part, Shift):
        loc = torch.full((prod(shape),), -float(part.shift), dtype=torch.float64)
        return [gaussian_layer(loc, torch.zeros_like(loc))], shape
    if isinstance(part, nf.MaskedAffineFlow):
        return [_masked(part, prod(shape))], shape
    if isinstance(part, nf.AffineCouplingBlock):
        return [_block(part, shape)], shape
    if isinstance(part, nf.Permute | nf.Invertible1x1Conv | nf.InvertibleAffine | nf.LULinearPermute):
        return [_linear(part, shape)], shape
    return [_wrapped(part, shape, context)], shape


def _wrapped(part: Any, shape: Shape, context: Tensor | None) -> Wrapped:
    """A layer as it is, if it leads back; residual ones without their estimates of log-determinants."""
    import normflows.flows as nf

    own, name = deepcopy(part).double().eval(), f"from_normflows ({type(part).__name__})"
    points_only = isinstance(part, nf.Residual)

    def called(way: Any, x: Tensor) -> Any:
        said = way(x) if context is None else way(x, context=context.to(x).expand(len(x), -1))
        return said[0] if points_only else said

    ways = [partial(called, way) for way in (own.forward, own.inverse)]
    layer = Wrapped(ways[0], ways[1], shape, name, own)
    try:
        with torch.no_grad():
            layer.inverse(layer(torch.full((2, layer.dim), 0.25, dtype=torch.float64))[0])
    except (FlowError, ValueError) as error:
        raise UnsupportedOpError(f"{name} is not supported: {error}") from error
    return layer


def _scaling(part: Any, shape: Shape) -> ActNorm:
    """A factor and a shift for each channel, or for each coordinate."""
    s, t = (values.detach().double().ravel() for values in (part.s, part.t))
    wide = prod(shape[1:]) if len(s) == shape[0] else 1
    return gaussian_layer(t.repeat_interleave(wide), s.repeat_interleave(wide))


def _linear(part: Any, shape: Shape) -> LULinear:
    """The matrix on the channels, read off its values at the unit vectors."""
    like = next((v for v in part.parameters()), torch.zeros(1))
    unit = torch.cat([torch.zeros(1, shape[0]), torch.eye(shape[0])]).to(like)
    with torch.no_grad():
        values, _ = deepcopy(part).double()(
            unit.double().reshape(shape[0] + 1, shape[0], *[1] * (len(shape) - 1))
        )
    rows = values.reshape(shape[0] + 1, shape[0]).numpy()
    return LULinear(shape[0], prod(shape[1:]), matrix=(rows[1:] - rows[0]).T, bias=rows[0])


def _masked(part: Any, dim: int) -> Bijection:
    """A coupling whose conditioners see the masked point, and of whose outputs the moved ones count."""
    mask = part.b.cpu().numpy().ravel() != 0
    place = np.full(dim, -1)
    place[mask] = np.arange(mask.sum())

    def conditioner(net: Any) -> nn.Sequential:
        return nn.Sequential(
            Select(place, int(mask.sum())), *_inside(net), Select(np.flatnonzero(~mask), dim)
        )

    if not isinstance(part.t, nn.Module):
        raise UnsupportedOpError("from_normflows: a coupling without a shift is not supported.")
    shift = conditioner(part.t)
    if not isinstance(part.s, nn.Module):
        return AdditiveCoupling(mask, shift)
    return AffineCoupling(mask, conditioner(part.s), shift)


def _block(part: Any, shape: Shape) -> Bijection:
    """A coupling of the first and the last channels."""
    split, coupling = part.flows[0], part.flows[1]
    if split.mode not in ("channel", "channel_inv"):
        raise UnsupportedOpError(f"from_normflows: couplings split by {split.mode!r} are not supported.")
    channel = np.indices(shape)[0].ravel()
    first = channel < (shape[0] + 1) // 2 if split.mode == "channel" else channel >= (shape[0] + 1) // 2
    passing = int(first.sum()) // prod(shape[1:])
    moved = int((~first).sum())
    enter = [nn.Unflatten(1, (passing, *shape[1:]))] if len(shape) > 1 else []
    net = nn.Sequential(*enter, *_inside(coupling.param_map), nn.Flatten())
    if not coupling.scale:
        return AdditiveCoupling(first, net)
    ends = {"exp": nn.Identity(), "sigmoid": _LogSigmoid(-1.0), "sigmoid_inv": _LogSigmoid(1.0)}
    order = np.arange(2 * moved).reshape(-1, 2, prod(shape[1:]))  # shifts and scales alternate by channel
    scale = nn.Sequential(net, Select(order[:, 1].ravel(), 2 * moved), ends[coupling.scale_map])
    return AffineCoupling(first, scale, nn.Sequential(net, Select(order[:, 0].ravel(), 2 * moved)))


class _LogSigmoid(nn.Module):
    """``sign * log sigmoid(s + 2)``."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, s: Tensor) -> Tensor:
        """``[B, n]`` to ``[B, n]``."""
        return self.sign * nn.functional.logsigmoid(s + 2)


def _inside(net: Any) -> list[nn.Module]:
    """The modules of a conditioner, copied, in float64."""
    inner = deepcopy(getattr(net, "net", net)).double().eval()
    return list(inner) if isinstance(inner, nn.Sequential) else [inner]


def _shape(q0: Any) -> Shape:
    """The shape of one point of a base."""
    import normflows.distributions.base as nf
    import normflows.distributions.target as targets

    if isinstance(q0, nf.GaussianMixture):
        return (int(q0.dim),)
    if isinstance(q0, nf.UniformGaussian):
        return (int(q0.ndim),)
    if isinstance(q0, targets.TwoMoons):
        return (2,)
    if not hasattr(q0, "shape"):
        raise _no_rule(q0)
    return tuple(q0.shape)


def _no_rule(q0: Any) -> UnsupportedOpError:
    import normflows.distributions.target as targets

    name = "no base" if q0 is None else f"the base {type(q0).__name__}"
    why = "; its density is not normalised" if isinstance(q0, targets.Target) else ""
    return UnsupportedOpError(
        f"from_normflows: {name} is not supported{why}; take a DiagGaussian, a GlowBase, a GaussianMixture, "
        "a UniformGaussian or TwoMoons."
    )


def _density(q0: Any) -> Base | None:
    """A base that is no normal distribution moved and scaled."""
    import normflows.distributions.base as nf
    import normflows.distributions.target as targets

    if isinstance(q0, nf.GaussianMixture):
        mean, log_scale = (v.detach().double().numpy()[0] for v in (q0.loc, q0.log_scale))
        weight = torch.softmax(q0.weight_scores.detach().double(), 1).numpy()[0]
        return normal_mixture(mean, np.exp(log_scale), weight)
    if isinstance(q0, nf.UniformGaussian):
        scale = q0.scale.detach().double().numpy()
        return uniform_and_normal(np.isin(np.arange(q0.ndim), q0.ind.numpy()), scale)
    if isinstance(q0, targets.TwoMoons):
        return two_moons()
    return None


def _base(q0: Any, shape: Shape, label: int | None, context: Tensor | None = None) -> list[Bijection]:
    """The base's means and deviations as a first layer; none for a standard normal."""
    import normflows.distributions.base as nf

    if isinstance(q0, nf.DiagGaussian):
        loc, log_scale = q0.loc[0], q0.log_scale[0]
    elif isinstance(q0, nf.GlowBase):
        loc = (q0.loc * torch.exp(q0.loc_logs * q0.logscale_factor))[0]
        log_scale = (q0.log_scale * torch.exp(q0.log_scale_logs * q0.logscale_factor))[0]
        if q0.class_cond:
            k = _label(label, q0.num_classes)
            loc = loc + q0.loc_cc[k].reshape(loc.shape)
            log_scale = log_scale + q0.log_scale_cc[k].reshape(loc.shape)
    elif isinstance(q0, nf.ClassCondDiagGaussian):
        k = _label(label, q0.num_classes)
        loc, log_scale = q0.loc[..., k], q0.log_scale[..., k]
    elif isinstance(q0, nf.ConditionalDiagGaussian) and context is not None:
        loc, log_scale = deepcopy(q0.context_encoder).double().eval()(context)[0].chunk(2, dim=-1)
    else:
        raise _no_rule(q0)
    ends = [v.detach().double().expand(shape).ravel() for v in (loc, log_scale)]
    return [gaussian_layer(*ends)] if any(bool(end.any()) for end in ends) else []


def _label(label: int | None, classes: int) -> int:
    """The number of a class."""
    if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
        raise ValueError(
            f"from_normflows: the model has classes 0 .. {classes - 1}; label= must be one, not {label}."
        )
    return int(label)
