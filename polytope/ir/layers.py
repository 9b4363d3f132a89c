r"""Layers :math:`z_l = \sum_k A_{l,k} h_k + b_l`, :math:`h_l = \phi_l(z_l)`, and what passes read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Protocol

import numpy as np

from polytope.ir.activations import Activation, PatternArray
from polytope.ir.convolution import Convolution
from polytope.ir.maps import FloatArray, LinearMap, Transposed
from polytope.ir.matrix import Matrix, compact, longest_row, ones

TINY = 2.0**-60  # numbers below are handled with care


@dataclass(frozen=True, eq=False)
class Layer:
    """One affine step and its activation.

    Arguments:
        inputs: which earlier values it reads; 0 is the network's input, l the output of layer l (from 1).
        maps: one linear map for each input.
        bias: ``[n]``, added to the sum of the maps.
        activation: ``None`` for an affine layer.
    """

    inputs: tuple[int, ...]
    maps: tuple[LinearMap, ...]
    bias: FloatArray
    activation: Activation | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.maps) or not self.maps:
            raise ValueError("Layer: there must be one map for each input, and at least one.")
        if self.bias.ndim != 1 or any(m.shape[0] != len(self.bias) for m in self.maps):
            sizes = [m.shape for m in self.maps]
            raise ValueError(f"Layer: maps of shapes {sizes} and a bias of shape {self.bias.shape} differ.")

    def __repr__(self) -> str:
        kinds = ", ".join(
            f"{type(m).__name__} of value {k}" for k, m in zip(self.inputs, self.maps, strict=True)
        )
        kind = type(self.activation).__name__ if self.activation else "affine"
        return f"Layer({self.width} outputs, {kinds}, {kind})"

    @property
    def width(self) -> int:
        """Number of outputs."""
        return self.activation.n_units(len(self.bias)) if self.activation else len(self.bias)

    @property
    def phi(self) -> Activation:
        """The activation of a layer that has one."""
        assert self.activation is not None, "the layer has an activation"
        return self.activation

    @cached_property
    def absolute_maps(self) -> tuple[LinearMap, ...]:
        """The maps with absolute entries: they bound the size of sums and so their rounding errors."""
        return tuple(linear.absolute() for linear in self.maps)

    @cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """The maps as matrices, sparse ones where that takes less memory."""
        return tuple(compact(linear.to_sparse()) for linear in self.maps)

    @cached_property
    def places(self) -> tuple[Matrix, ...]:
        """Where the matrices are not zero: the same matrices with ones there."""
        return tuple(map(ones, self.matrices))

    @cached_property
    def terms(self) -> int:
        """How many roundings add up in an entry of a product with a map, or with its matrix, at most."""
        return max(
            _entries_in_a_row(linear) + sum(map(_entries_in_a_row, factors))
            for linear, factors in zip(self.maps, self._factors, strict=True)
        )

    @cached_property
    def has_tiny_numbers(self) -> bool:
        """Whether products of its numbers with bounds on rounding errors may underflow to nothing."""
        tables = [self.bias, *(_numbers(factor) for linear in self.maps for factor in linear.chain())]
        return any(((table != 0) & (np.abs(table) < TINY)).any() for table in tables)

    @property
    def copies_input(self) -> bool:
        """Whether the pre-activations are one map of the input: functions of x that are not rounded."""
        return self.inputs == (0,) and not self._factors[0]

    @cached_property
    def _factors(self) -> tuple[tuple[LinearMap, ...], ...]:
        """The factors of the maps that have several."""
        chains = (linear.chain() for linear in self.maps)
        return tuple(chain if len(chain) > 1 else () for chain in chains)

    def preactivation(self, reads: Sequence[FloatArray]) -> FloatArray:
        """``z = sum of maps + bias``, one point in each column.

        Arguments:
            reads: the values that the layer reads, ``[width_k, B]`` each, in the order of ``inputs``.

        Returns:
            ``[n, B]``, the layer's pre-activation at B points.
        """
        z = np.broadcast_to(self.bias[:, None], (len(self.bias), reads[0].shape[1])).copy()
        for linear, h in zip(self.maps, reads, strict=True):
            z += linear.apply(h)
        return z


def _entries_in_a_row(linear: LinearMap) -> int:
    """The most entries that a row of the matrix has; or more, in a product with a convolution.

    No matrix of a convolution is made for that.
    """
    if isinstance(linear, Convolution):
        return linear.longest_row
    if isinstance(linear, Transposed) and isinstance(linear.of, Convolution):
        return linear.of.longest_column
    factors = linear.chain()
    if len(factors) == 1 or not any(map(_is_convolution, factors)):
        return longest_row(linear.to_sparse())
    return min(linear.shape[1], prod(map(_entries_in_a_row, factors)))


def _numbers(linear: LinearMap) -> FloatArray:
    """The numbers that the matrix of a map is made of."""
    inner = linear.of if isinstance(linear, Transposed) else linear
    numbers: FloatArray = inner.kernel if isinstance(inner, Convolution) else inner.to_sparse().data
    return numbers


def _is_convolution(linear: LinearMap) -> bool:
    """Whether a map is a convolution, or the transpose of one."""
    return isinstance(linear.of if isinstance(linear, Transposed) else linear, Convolution)


class Layered(Protocol):
    """What a pass through the layers reads of a network."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In order; the last one's output is the network's."""

    @property
    def input_dim(self) -> int:
        """Number of input coordinates, d."""

    @property
    def output_dim(self) -> int:
        """Number of outputs."""

    @property
    def last_use(self) -> tuple[int, ...]:
        """For each value h_0, h_1, ... the number of the last layer that reads it (its own if none does)."""

    def layer_pattern(self, number: int, pattern: PatternArray) -> PatternArray:
        """The part of a pattern (last axis) that belongs to one layer, counted from 1."""
