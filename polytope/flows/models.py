"""The published architectures, each as a list of layers: NICE, Real NVP, multi-scale Real NVP, Glow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from polytope.flows.base import BaseName
from polytope.flows.flow import Flow
from polytope.flows.layers.affine import ActNorm, InvertibleConv1x1, LULinear, Squeeze2d
from polytope.flows.layers.bijection import Bijection
from polytope.flows.layers.chain import Split2d
from polytope.flows.layers.conditioner import ActivationName, Select, conv_conditioner, mlp_conditioner
from polytope.flows.layers.couplings import AdditiveCoupling, AffineCoupling
from polytope.flows.layers.spline import MonotoneLinearSpline

Mask = NDArray[np.bool_]
Image = tuple[int, int, int]


def nice(
    dim: int,
    *,
    couplings: int = 6,
    hidden: Sequence[int] = (32,),
    activation: ActivationName = "relu",
    scaled: bool = True,
    linear: bool = False,
    knots: int = 0,
    base: BaseName = "normal",
    rng: np.random.Generator | None = None,
) -> Flow:
    """Additive couplings with alternating masks: piecewise linear both ways, of constant log-determinant.

    Arguments:
        dim: D, at least 2.
        couplings: their number.
        hidden: widths of the conditioners.
        activation: "relu" or "leaky_relu".
        scaled: end in a scale and a shift of every coordinate (``ActNorm``).
        linear: an ``LULinear`` in front of every coupling.
        knots: breakpoints of a ``MonotoneLinearSpline`` behind every second coupling; 0 for none. With them
            regions have log-determinants of their own.
        base: see ``Flow``.
        rng: source of the initial weights; ``numpy.random.default_rng(0)`` where ``None``.

    Returns:
        The flow, untrained.

    Raises:
        ValueError: fewer than two coordinates, or no coupling.

    References: Dinh, Krueger, Bengio (2014), "NICE: Non-linear Independent Components Estimation",
        https://arxiv.org/abs/1410.8516

    Example:
        >>> from polytope import flows
        >>> flows.lower(flows.nice(2, couplings=2, hidden=(4,))).n_units
        8
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    layers: list[Bijection] = []
    for number, mask in enumerate(alternating_masks(dim, couplings)):
        if linear:
            layers.append(LULinear(dim))
        a = int(mask.sum())
        shift = mlp_conditioner(a, dim - a, hidden, activation=activation, rng=generator)
        layers.append(AdditiveCoupling(mask, shift))
        if knots and number % 2:
            layers.append(MonotoneLinearSpline(dim, knots))
    return Flow(layers + [ActNorm(dim)] * scaled, base)


def realnvp(
    dim: int,
    *,
    couplings: int = 6,
    hidden: Sequence[int] = (64, 64),
    activation: ActivationName = "leaky_relu",
    masks: Sequence[ArrayLike] | None = None,
    normalised: bool = False,
    base: BaseName = "normal",
    rng: np.random.Generator | None = None,
) -> Flow:
    """Affine couplings whose log-scales end in tanh. Not piecewise linear.

    Arguments:
        dim: D, at least 2.
        couplings: their number, where no masks are given.
        hidden: widths of the conditioners.
        activation: "relu" or "leaky_relu".
        masks: one ``bool[D]`` for each coupling; alternating by default.
        normalised: an ``ActNorm`` behind every coupling.
        base, rng: see ``nice``.

    Returns:
        The flow, untrained.

    Raises:
        ValueError: fewer than two coordinates, no coupling, or a mask that lets all pass or none.

    References: Dinh, Sohl-Dickstein, Bengio (2017), "Density estimation using Real NVP",
        https://arxiv.org/abs/1605.08803
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    layers: list[Bijection] = []
    for mask in alternating_masks(dim, couplings) if masks is None else masks:
        passes = np.asarray(mask).astype(bool)
        a = int(passes.sum())
        scale, shift = (
            mlp_conditioner(a, dim - a, hidden, activation=activation, bounded=bounded, rng=generator)
            for bounded in (True, False)
        )
        layers += [AffineCoupling(passes, scale, shift), *([ActNorm(dim)] if normalised else [])]
    return Flow(layers, base)


def multiscale_realnvp(
    shape: Image,
    *,
    couplings: int = 3,
    hidden: int = 32,
    additive: bool = False,
    base: BaseName = "normal",
    rng: np.random.Generator | None = None,
) -> Flow:
    """Real NVP for images: checkerboard couplings, squeeze, channel couplings, split, and again.

    It goes on while height and width are even and above 2.

    Arguments:
        shape: ``(channels, height, width)``.
        couplings: of each kind at each scale.
        hidden: channels of the convolutional conditioners.
        additive: additive couplings: piecewise linear.
        base, rng: see ``nice``.

    Returns:
        The flow, untrained, of data of that shape.

    References: Dinh, Sohl-Dickstein, Bengio (2017), "Density estimation using Real NVP",
        https://arxiv.org/abs/1605.08803
    """
    generator = np.random.default_rng(0 if rng is None else rng)

    def block(image: Image) -> list[Bijection]:
        layers = _masked(image, checkerboard, couplings, hidden, additive, generator)
        if image[1] % 2 or image[2] % 2 or min(image[1:]) <= 2:
            return layers
        squeeze = Squeeze2d(image)
        deep = squeeze.base_shape
        inner = block((deep[0] // 2, *deep[1:]))
        channel = _masked(deep, channel_mask, couplings, hidden, additive, generator)
        return [Split2d(deep, inner), *channel, squeeze, *layers]

    return Flow(block(shape), base, shape)


def glow(
    shape: Image,
    *,
    additive: bool = False,
    levels: int = 2,
    steps: int = 4,
    hidden: int = 32,
    activation: ActivationName = "relu",
    base: BaseName = "normal",
    rng: np.random.Generator | None = None,
) -> Flow:
    """Glow: at each level squeeze, then steps of ActNorm, 1x1 convolution and channel coupling, then split.

    Arguments:
        shape: ``(channels, height, width)``; height and width divisible by 2^levels.
        additive: additive couplings: piecewise linear. Otherwise affine, log-scales ending in tanh.
        levels, steps: numbers of scales, and of steps at each.
        hidden: channels of the convolutional conditioners.
        activation: "relu" or "leaky_relu".
        base, rng: see ``nice``.

    Returns:
        The flow, untrained, of data of that shape.

    Raises:
        ValueError: ``levels`` is less than 1, or 2^levels does not divide height and width.

    References: Kingma, Dhariwal (2018), "Glow: Generative Flow with Invertible 1x1 Convolutions",
        https://arxiv.org/abs/1807.03039
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    if levels < 1 or shape[1] % 2**levels or shape[2] % 2**levels:
        raise ValueError(f"glow: {shape[1]} x {shape[2]} pixels cannot be halved {levels} times.")

    def block(image: Image, left: int) -> list[Bijection]:
        squeeze = Squeeze2d(image)
        deep = squeeze.base_shape
        layers: list[Bijection] = []
        for number in range(steps):
            mask = channel_mask(deep, number)
            layers.append(_image_coupling(deep, mask, hidden, additive, activation, generator))
            layers += [InvertibleConv1x1(deep, generator), ActNorm(deep[0], deep[1] * deep[2])]
        inner = [Split2d(deep, block((deep[0] // 2, *deep[1:]), left - 1))] if left > 1 else []
        return [*inner, *layers, squeeze]

    return Flow(block(shape, levels), base, shape)


def alternating_masks(dim: int, couplings: int) -> list[Mask]:
    """Even coordinates pass, then odd ones, and so on."""
    if dim < 2 or couplings < 1:
        raise ValueError(f"Couplings need two coordinates and a number of at least 1: {dim}, {couplings}.")
    return [np.arange(dim) % 2 == number % 2 for number in range(couplings)]


def checkerboard(shape: Image, number: int) -> Mask:
    """Every other pixel, flattened; the other ones for odd numbers."""
    _, i, j = np.indices(shape)
    board: Mask = ((i + j + number) % 2 == 0).ravel()
    return board


def channel_mask(shape: Image, number: int) -> Mask:
    """The first half of the channels, flattened; the second for odd numbers."""
    first: Mask = (np.indices(shape)[0] < shape[0] / 2).ravel()
    return first ^ bool(number % 2)


def _masked(
    shape: Image,
    mask: Callable[[Image, int], Mask],
    couplings: int,
    hidden: int,
    additive: bool,
    rng: np.random.Generator,
) -> list[Bijection]:
    """Couplings of one kind with alternating masks."""
    return [
        _image_coupling(shape, mask(shape, number), hidden, additive, "relu", rng)
        for number in range(couplings)
    ]


def _image_coupling(
    shape: Image,
    mask: Mask,
    hidden: int,
    additive: bool,
    activation: ActivationName,
    rng: np.random.Generator,
) -> Bijection:
    """A coupling whose conditioners are convolutional."""

    def conditioner(bounded: bool) -> nn.Sequential:
        return _on_image(shape, mask, hidden, bounded, activation, rng)

    if additive:
        return AdditiveCoupling(mask, conditioner(False))
    return AffineCoupling(mask, conditioner(True), conditioner(False))


def _on_image(
    shape: Image, mask: Mask, hidden: int, bounded: bool, activation: ActivationName, rng: np.random.Generator
) -> nn.Sequential:
    """A convolutional conditioner between the passing and the moved coordinates of a mask.

    Where whole channels pass it sees them alone, elsewhere the image with zeros for what moves.
    """
    per_channel = mask.reshape(shape[0], -1)
    n_moved = int((~mask).sum())
    if (per_channel == per_channel[:, :1]).all():
        passing = int(per_channel[:, 0].sum())
        image = (passing, *shape[1:])
        net = conv_conditioner(
            image, shape[0] - passing, hidden, activation=activation, bounded=bounded, rng=rng
        )
        return nn.Sequential(net)
    place = np.full(len(mask), -1)
    place[mask] = np.arange(mask.sum())
    net = conv_conditioner(shape, shape[0], hidden, activation=activation, bounded=bounded, rng=rng)
    pick = Select(np.flatnonzero(~mask), len(mask))
    assert len(pick.index) == n_moved, "one output for each coordinate that moves"
    return nn.Sequential(Select(place, int(mask.sum())), net, pick)
