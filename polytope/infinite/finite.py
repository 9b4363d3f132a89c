r"""Networks of finite width beside their limit: draws of their weights, and their own kernels.

With weights :math:`w = \sigma \omega` of standard normal :math:`\omega`, as in the limit, the tangent
kernel of one network is :math:`\sum_\omega \partial_\omega f(x) \, \partial_\omega f(y)`. It goes to that
of the limit as the widths grow, with an error of 1 / sqrt(width), and moves the less in training the wider it
is.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from polytope.given import described
from polytope.infinite.given import numbers, whole
from polytope.infinite.kernels import Kernels
from polytope.infinite.layers import layer_ties
from polytope.infinite.priors import Prior, Std
from polytope.ir.maps import FloatArray
from polytope.ir.tied import Weights


def draw(
    module: nn.Module, rng: np.random.Generator, *, weight_std: Std = "init", bias_std: Std = "init"
) -> nn.Module:
    """A copy of a module in float64 with normal weights, as the limit assumes them.

    Arguments:
        module: of layers that ``architecture`` reads.
        rng: draws the weights.
        weight_std, bias_std: as of ``architecture``.

    Returns:
        The copy.

    Raises:
        ValueError: a layer with weights that does not say how they are shared.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: np.random.default_rng(0) is expected, for example, not {described(rng)}.")
    out = _copied(module)
    named = dict(out.named_parameters())
    with torch.no_grad():
        for name, std in deviations(out, Prior(weight_std, bias_std)):
            normal = torch.from_numpy(rng.standard_normal(tuple(named[name].shape)))
            named[name].copy_(std * normal.to(named[name].device))
    return out


def _copied(module: nn.Module) -> nn.Module:
    """A copy in float64."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"A torch module is expected, not {described(module)}.")
    if any(p.is_meta for p in module.parameters()):
        raise ValueError(f"{type(module).__name__} has no weights yet, on the device meta: load them.")
    return deepcopy(module).double()


def empirical_kernels(
    module: nn.Module,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    weight_std: Std = "init",
    bias_std: Std = "init",
    batch: int = 16,
) -> Kernels:
    r"""The kernels of one network: products of its outputs and of their gradients, means over the outputs.

    Its NNGP is an unbiased draw about that of the limit, by as many samples as there are outputs; its NTK is
    near the limit where the network is wide. How far it moves in training is the difference of two calls.

    Arguments:
        module: of layers that ``architecture`` reads.
        x: points, ``[N, *input_shape]``.
        y: other points, ``[M, *input_shape]``; by default x.
        weight_std, bias_std: as of ``architecture``: gradients are those by standard normal weights.
        batch: points whose gradients are held at one time, on each side.

    Returns:
        Both kernels, ``[N, M]``.

    Raises:
        ValueError: a layer with weights that does not say how they are shared, or points that are not finite.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)  # its gradient is x times the deviation, 1 / sqrt(6)
        >>> empirical_kernels(layer, [[1.0, 0.0], [0.0, 3.0]]).ntk.round(6).tolist()
        [[0.166667, 0.0], [0.0, 1.5]]
    """
    if not whole(batch, "batch"):
        raise ValueError("batch: at least one point is needed, not 0.")
    copied = _copied(module).eval()
    rows = _points(copied, x, "x")
    columns = rows if y is None else _points(copied, y, "y")
    scales = dict(deviations(copied, Prior(weight_std, bias_std)))
    nngp, ntk = (np.empty((len(rows), len(columns))) for _ in range(2))
    for i, first, J in _gradients(copied, rows, scales, batch):
        for j, second, L in _gradients(copied, columns, scales, batch):
            nngp[i, j] = (first @ second.T / first.shape[1]).cpu().numpy()
            ntk[i, j] = (J @ L.T / first.shape[1]).cpu().numpy()
    return Kernels(nngp, ntk)


def deviations(module: nn.Module, prior: Prior) -> Iterator[tuple[str, Tensor]]:
    """The standard deviation of every parameter's entries, of a shape that fits the parameter.

    Arguments:
        module: of layers that say how their weights are shared.
        prior: of the weights.
    """
    for prefix, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if not own or isinstance(layer, nn.PReLU):
            continue
        parameters = layer_ties(layer, prefix or type(layer).__name__).parameters
        fan_in = sum(
            own[name].numel() // own[name].shape[weights.out]
            for name, weights in parameters.items()
            if weights.into is not None
        )
        for name, weights in parameters.items():
            std = _entries(own[name], weights, prior, fan_in)
            yield f"{prefix}.{name}" if prefix else name, std.to(own[name].device)


def _entries(parameter: Tensor, weights: Weights, prior: Prior, fan_in: int) -> Tensor:
    """The standard deviations of one parameter, 1 long on the axes that count channels."""
    axes = [axis for axis in (weights.out, weights.into) if axis is not None]
    shape = [1 if axis in axes else n for axis, n in enumerate(parameter.shape)]
    initial = np.broadcast_to(np.asarray(weights.std, dtype=float).reshape(-1), (prod(shape),)).copy()
    values = torch.movedim(parameter.detach().cpu().double(), axes, list(range(len(axes))))
    present: FloatArray = values.reshape(-1, prod(shape)).numpy()
    if weights.into is None:
        variances = prior.bias_variances(initial, present)
    else:
        variances = prior.weight_variances(initial, present, fan_in)
    return torch.from_numpy(np.sqrt(variances)).reshape(shape)


def _gradients(
    module: nn.Module, points: Tensor, scales: dict[str, Tensor], batch: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Outputs ``[b, out]`` and their gradients ``[b, out P]`` of some points at a time."""
    parameters = {name: p.detach() for name, p in module.named_parameters() if name in scales}
    others = {name: p.detach() for name, p in module.named_parameters() if name not in scales}

    def outputs(weights: dict[str, Tensor], point: Tensor) -> Tensor:
        done: Tensor = functional_call(module, {**weights, **others}, (point[None],))
        return done.reshape(-1)

    derivative = vmap(jacrev(outputs), in_dims=(None, 0))
    for start in range(0, len(points), batch):
        some = points[start : start + batch]
        with torch.no_grad():
            values: Tensor = module(some).reshape(len(some), -1)
            try:
                found = derivative(parameters, some)
            except RuntimeError as error:
                kind = type(module).__name__
                raise ValueError(f"{kind} has no derivatives, point by point: {error}") from error
            flat = [(found[name] * scales[name]).flatten(2).flatten(1) for name in parameters]
        yield slice(start, start + len(some)), values, torch.cat(flat, dim=1)


def _points(module: nn.Module, x: ArrayLike | Tensor, name: str) -> Tensor:
    first = next(module.parameters(), None)
    if first is None:
        raise ValueError("The module has no weights.")
    rows = torch.from_numpy(np.array(numbers(x, name), order="C"))
    if not torch.isfinite(rows).all():
        raise ValueError(f"{name}: a coordinate is not a finite number.")
    rows = rows.to(first.device)
    try:
        with torch.no_grad():
            module(rows[:1])
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"{name}: {type(module).__name__} does not read points of shape {list(rows.shape)}: {error}"
        ) from error
    return rows
