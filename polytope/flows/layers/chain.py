"""Layers one after the other, as one layer; and the multi-scale split, a chain on half of the channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from torch import Tensor, cat, nn

from polytope.errors import FlowError, NotPiecewiseLinearError
from polytope.flows.exact.composition import beside_identity, compose
from polytope.flows.layers.bijection import Bijection, Direction, Moved
from polytope.ir import Network


class Chain(Bijection):
    """Layers in order, the one next to the base distribution first.

    Arguments:
        layers: bijections of one dimension; at least one.

    Raises:
        TypeError: something is no layer of this package.
        ValueError: dimensions differ.
    """

    def __init__(self, layers: Iterable[Bijection]) -> None:
        found = list(layers)
        for layer in found:
            if not isinstance(layer, Bijection):
                raise TypeError(f"A flow is made of its own layers (flows.ActNorm, ...), not {type(layer)}.")
        if not found:
            raise ValueError("A flow needs at least one layer.")
        super().__init__(found[0].dim)
        for layer in found:
            if layer.dim != self.dim:
                names = (
                    f"{type(layer).__name__} is of R^{layer.dim}, {type(found[0]).__name__} of R^{self.dim}"
                )
                raise ValueError(f"The layers of a flow must have one dimension: {names}.")
        self.layers = nn.ModuleList(found)

    @property
    def ordered(self) -> Sequence[Bijection]:
        """The layers, base side first."""
        return [layer for layer in self.layers if isinstance(layer, Bijection)]

    def forward(self, z: Tensor) -> Moved:
        """Through all layers."""
        total = z.new_zeros(len(z))
        for layer in self.ordered:
            z, logdet = layer(z)
            total = total + logdet
        return z, total

    def inverse(self, x: Tensor) -> Moved:
        """Back through all layers."""
        total = x.new_zeros(len(x))
        for layer in reversed(self.ordered):
            x, logdet = layer.inverse(x)
            total = total + logdet
        return x, total

    def initialise(self, x: Tensor) -> None:
        """Every layer, from the data side."""
        for layer in reversed(self.ordered):
            layer.initialise(x)
            x, _ = layer.inverse(x)

    def network(self, direction: Direction) -> Network:
        """All layers' networks, one after the other."""
        numbered = list(enumerate(self.ordered))
        if direction == "inverse":
            numbered.reverse()
        return compose([_named(number, layer, direction) for number, layer in numbered])


class Split2d(Bijection):
    """Layers on the first half of the channels; the rest is the end of the latent vector, unchanged.

    So the latents of all scales are one flat vector, the coarsest first.

    Arguments:
        shape: ``(channels, height, width)``, channels even.
        layers: of dimension ``channels / 2 * height * width``, base side first.

    Raises:
        ValueError: the number of channels is odd, or the layers are of another dimension.

    References: Dinh, Sohl-Dickstein, Bengio (2017), "Density estimation using Real NVP", section 3.6,
        https://arxiv.org/abs/1605.08803
    """

    def __init__(self, shape: tuple[int, int, int], layers: Iterable[Bijection]) -> None:
        super().__init__(prod(shape))
        self.chain = Chain(layers)
        if shape[0] % 2 or self.chain.dim != self.dim // 2:
            raise ValueError(
                f"Split2d: half of {shape[0]} channels of {shape[1]} x {shape[2]} pixels does not fit layers "
                f"of R^{self.chain.dim}."
            )

    def forward(self, z: Tensor) -> Moved:
        """Through the layers, then the rest behind."""
        x, logdet = self.chain(z[:, : self.chain.dim])
        return cat([x, z[:, self.chain.dim :]], dim=1), logdet

    def inverse(self, x: Tensor) -> Moved:
        """Back through the layers."""
        z, logdet = self.chain.inverse(x[:, : self.chain.dim])
        return cat([z, x[:, self.chain.dim :]], dim=1), logdet

    def initialise(self, x: Tensor) -> None:
        """The inner layers."""
        self.chain.initialise(x[:, : self.chain.dim])

    def network(self, direction: Direction) -> Network:
        """The inner layers' network beside the identity."""
        return beside_identity(self.chain.network(direction), self.dim)


def _named(number: int, layer: Bijection, direction: Direction) -> Network:
    """The network of a layer; errors say which one it is."""
    try:
        return layer.network(direction)
    except (NotPiecewiseLinearError, FlowError) as error:
        place = f"Layer {number} of the flow ({type(layer).__name__}): "
        raise type(error)(place + str(error)) from error
