"""An MLP block of a model: for every token, linear maps around an activation; and what a block is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.ir import Network, PiecewiseLinear, mlp, relu
from polytope.ir.maps import FloatArray
from polytope.ir.splines import smooth_spline


@dataclass(frozen=True, eq=False)
class Norm:
    r"""A norm of every token: :math:`x \mapsto g \odot \sqrt d\, u / \sqrt{\|u\|^2 + d \epsilon} + s`.

    Here u is the token x of d numbers, without its mean in a layer normalisation, and :math:`\epsilon \ge 0`.

    Arguments:
        start: the value that it reads.
        centred: whether the mean is subtracted: LayerNorm, not RMSNorm.
        scale, shift: g and s, ``[d]``.
    """

    start: str
    centred: bool
    scale: FloatArray
    shift: FloatArray


@dataclass(frozen=True, eq=False)
class MLPBlock:
    r"""One block :math:`x \mapsto W_2 \phi(W_1 x + b_1) + b_2` of a model, the same for every token.

    Arguments:
        start, end: the values at which it begins and ends, as ``from_`` and ``until`` take them.
        activation: "relu", "gelu", ...; of a gated one,
            :math:`\phi(W_1 x + b_1) \odot (V x + c)`, the gate's.
        gated, squared: whether the activation's output is multiplied by another affine map, or by itself.
            Such a block is quadratic on each cell, not affine.
        hidden: ``(W, b)`` of the units.
        readout: ``(W, b)`` behind them.
        norm: the normalisation whose result it reads, if it is one.
    """

    start: str
    end: str
    activation: str
    gated: bool
    squared: bool
    hidden: tuple[FloatArray, FloatArray]
    readout: tuple[FloatArray, FloatArray]
    norm: Norm | None = None

    def __repr__(self) -> str:
        (n, d), kind = self.hidden[0].shape, self.activation
        how = ", gated" if self.gated else ", squared" if self.squared else ""
        return f"MLPBlock({self.start!r} to {self.end!r}: {d} numbers a token, {n} units, {kind}{how})"

    @property
    def affine_on_cells(self) -> bool:
        """Whether the block is affine where no unit crosses: not if it is gated, squared or smooth."""
        return self.activation == "relu" and not self.gated and not self.squared

    def network(self, smooth: float | None = None) -> Network:
        """The block for one token.

        Arguments:
            smooth: spacing of splines for a smooth activation.

        Raises:
            ValueError: the block is quadratic on each cell, or smooth and ``smooth`` is not given.
        """
        if self.gated or self.squared:
            what = "gated" if self.gated else "squared"
            raise ValueError(
                f"The block is {what}: quadratic on each cell, so no piecewise-linear network equals it. "
                "Its cells are those of `units()`."
            )
        return mlp([self.hidden, self.readout], activation=self._phi(smooth))

    def units(self, smooth: float | None = None) -> Network:
        """The units alone, for one token: their breakpoints are those of the block, gated or not."""
        W, b = self.hidden
        return mlp([(W, b), (np.eye(len(b)), np.zeros(len(b)))], activation=self._phi(smooth))

    def _phi(self, smooth: float | None) -> PiecewiseLinear:
        if self.activation == "relu":
            return relu()
        if smooth is None:
            raise ValueError(
                f"The block's activation, {self.activation}, is smooth: give smooth=0.1, say, for splines."
            )
        return smooth_spline(self.activation, smooth)


@dataclass(frozen=True, eq=False)
class Step:
    """What one value of a model is made of, as far as blocks are concerned.

    Arguments:
        kind: "linear", "activation", "product", "norm", "same", or something else.
        reads: the values that it reads, without constants.
        name: of an activation.
        weights: ``(W, b)`` of a linear map of the last axis.
        norm: of a normalisation of the last axis.
    """

    kind: str
    reads: tuple[str, ...]
    name: str = ""
    weights: tuple[FloatArray, FloatArray] | None = None
    norm: Norm | None = None
