r"""What an activation is: it says its pieces, the cell of a piece, and the affine map on it.

A layer's *units* are the outputs of its activation. A unit is on exactly one of finitely many
*pieces*; the pieces are numbered from 0, and the number is the unit's entry in a pattern. On a piece
the unit is an affine function of **one** pre-activation, :math:`h = s z_{q} + t`, and the piece's cell
is described by rows :math:`u\, z_{q} + v\, z_{q'} \le g`. Engines ask nothing else, so a new kind of
activation needs no change in any engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line

PatternArray = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class PieceCell:
    """The rows ``coefficients[r, 0] * z[index[r, 0]] + coefficients[r, 1] * z[index[r, 1]] <= offset[r]``.

    Where a row's left side equals its right side on a whole cell of the input space, the unit is on
    this piece only if ``strict[r]`` is false: so ties have one owner, and a unit that is identically
    zero counts as off.
    """

    index: IntArray
    coefficients: FloatArray
    offset: FloatArray
    strict: NDArray[np.bool_]

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class PieceMaps:
    """Affine functions of units, ``h[u] = slope[u] * z[source[u]] + intercept[u]``; also ``[units, B]``.

    ``own`` says that every unit reads its own pre-activation.
    """

    source: IntArray
    slope: FloatArray
    intercept: FloatArray
    own: bool = False

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class SlopeRanges:
    """Between which slopes each unit may read each pre-activation; it reads no other.

    Arguments:
        source: ``int[k, units]``, pre-activations; entries with the slopes 0 to 0 stand for none.
        least, greatest: ``[k, units]``.
        own: whether k = 1 and every unit reads its own pre-activation.
    """

    source: IntArray
    least: FloatArray
    greatest: FloatArray
    own: bool = False


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Units between two parallel functions: ``slope * z[source] + below <= h <= slope * z[source] + above``.

    All are arrays ``[units]``.
    """

    source: IntArray
    slope: FloatArray
    below: FloatArray
    above: FloatArray


class Activation(ABC):
    """What a layer does with its pre-activations ``z``, an array ``[n, B]`` of B columns."""

    @abstractmethod
    def n_units(self, n: int) -> int:
        """Number of outputs for n pre-activations."""

    @abstractmethod
    def n_hyperplanes(self, n: int) -> int:
        """Most hyperplanes, in the space of n pre-activations, on which units change pieces."""

    @abstractmethod
    def n_pieces(self, unit: int) -> int:
        """Number of pieces of one unit."""

    @abstractmethod
    def pattern(self, z: FloatArray) -> PatternArray:
        """The piece each unit is on, ``int8[units, B]``."""

    @abstractmethod
    def values(self, z: FloatArray) -> FloatArray:
        """The outputs ``h``, ``[units, B]``."""

    @abstractmethod
    def affine(self, pattern: PatternArray) -> PieceMaps:
        """The affine functions of the pieces that ``pattern``, ``int8[units]`` or ``[units, B]``, names."""

    @abstractmethod
    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """The slopes of the units while pre-activations stay between ``low [n]`` and ``high [n]``."""

    @abstractmethod
    def value_ranges(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Least and greatest outputs while pre-activations stay between ends, rounded outward.

        Ends and results may be infinite, but not NaN.
        """

    @abstractmethod
    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """Parallel bounds while pre-activations stay between ends ``[n]``, rounding included."""

    @abstractmethod
    def cell(self, unit: int, piece: int) -> PieceCell:
        """The inequalities on ``z`` that describe one piece of one unit."""

    @abstractmethod
    def beyond(self, unit: int, piece: int, level: NDArray[Any], rise: NDArray[Any], scale: int) -> int:
        """The piece behind a hyperplane on which a row of the unit's piece vanishes.

        Arguments:
            unit, piece: the unit and its piece on the near side.
            level: ``[n, d + 1]`` integers, ``scale`` times z as affine functions on the hyperplane.
            rise: ``[n]`` integers, slopes of z across it on the far side, times any positive number.
        """

    @abstractmethod
    def restricted(self, units: IntArray) -> tuple[Activation, IntArray]:
        """The activation of some units alone, and which pre-activations these read, in their new order."""

    @abstractmethod
    def scale_classes(self, n: int) -> IntArray:
        """``int[n]``: pre-activations of one number must be scaled by one factor, if units are to be, too."""

    @abstractmethod
    def scaled(self, power: IntArray) -> Activation:
        r"""What gives h times 2**p where it reads z times 2**p: :math:`\phi'(z) = 2^p \phi(2^{-p} z)`.

        Arguments:
            power: ``int[n]``, p of each pre-activation, and of the units that read it.

        Raises:
            InexactScaleError: that would round a number.
        """

    @abstractmethod
    def jump(self) -> tuple[int, int] | None:
        """A unit and its piece that differs from the next one where they meet, in rational arithmetic."""

    def is_continuous(self) -> bool:
        """Whether pieces agree exactly where they meet, in rational arithmetic."""
        return self.jump() is None

    @abstractmethod
    def is_convex(self) -> bool:
        """Whether every unit is the maximum of its pieces."""

    @abstractmethod
    def is_uniform(self) -> bool:
        """Whether all units have the same breakpoints, each of its own pre-activation alone."""


def unit_index(pattern: PatternArray) -> IntArray:
    """The unit that each entry of a pattern belongs to, in the pattern's shape."""
    units = np.arange(len(pattern)).reshape(-1, *[1] * (pattern.ndim - 1))
    return np.broadcast_to(units, pattern.shape)
