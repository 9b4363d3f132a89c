"""An MLP block of a model: for every token, linear maps around an activation; and what a block is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polytope.ir import Dense, Layer, Network, PiecewiseLinear, mlp, relu
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

    @property
    def without_bias(self) -> NDArray[np.intp]:
        """The units without bias in front of the norm: theirs is 0, and they read no shift of it."""
        (W, b), norm = self.hidden, self._behind_a_norm()
        return np.flatnonzero((b == 0) & ~((W != 0) & (norm.shift != 0)).any(axis=1))

    def cones(self) -> Network:
        r"""The units ``without_bias`` as a network of the token in front of the norm.

        A norm divides by a positive number, which changes no sign: the unit is on where :math:`(g \odot w)
        \cdot u > 0`, u the token x, less its mean in a layer normalisation. So these units cut the space in
        front of the norm by hyperplanes through its origin, into cones. The network has the signs of the
        units, not their values; it is exact but for the rounding of :math:`g \odot w`, which is none for
        weights in float32.

        Raises:
            ValueError: there is no norm in front, or no unit without bias.
        """
        norm, units = self._behind_a_norm(), self.without_bias
        if not len(units):
            raise ValueError(
                "All units of the block have a bias in front of the norm: no cones are cut there. `units()` "
                "has their cells behind the norm."
            )
        rows = self.hidden[0][units] * norm.scale
        d, n = rows.shape[1], len(units)
        centre = [Layer((0,), (Dense(d * np.eye(d) - 1.0),), np.zeros(d), None)] if norm.centred else []
        at = len(centre)
        layers = (
            *centre,
            Layer((at,), (Dense(rows),), np.zeros(n), relu()),
            Layer((at + 1,), (Dense(np.eye(n)),), np.zeros(n), None),
        )
        return Network((d,), layers)

    def _behind_a_norm(self) -> Norm:
        if self.norm is None:
            raise ValueError("The block reads no normalisation: cones are cut in front of one.")
        return self.norm

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
