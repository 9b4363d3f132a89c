r"""Linear layers of flows: permutations, ActNorm, LU-factorised matrices, 1x1 convolutions, squeezing.

For images, flattened channel by channel, a layer acts on the channels alike at each of ``positions`` places,
so its log-determinant is that many times the log-determinant of its ``[channels, channels]`` matrix.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import lu
from scipy.sparse import csr_array, eye_array, kron
from torch import Tensor, nn

from polytope.errors import FlowError
from polytope.flows.layers.bijection import Bijection, Direction, Moved
from polytope.ir import Dense, Diagonal, Layer, LinearMap, Network, Selection, Sparse
from polytope.ir.maps import FloatArray


class Permute(Bijection):
    """Coordinates in another order: ``x[i] = z[index[i]]``; the log-determinant is 0.

    Arguments:
        index: a permutation of ``0 .. D - 1``, ``int[D]``.

    Raises:
        ValueError: it is no permutation.
    """

    index: Tensor
    back: Tensor

    def __init__(self, index: ArrayLike) -> None:
        order = np.asarray(index, dtype=np.int64).ravel()
        super().__init__(len(order))
        if not np.array_equal(np.sort(order), np.arange(len(order))):
            raise ValueError(f"Permute: {order.tolist()[:8]} is no permutation; the layer is not invertible.")
        self.register_buffer("index", torch.tensor(order))
        self.register_buffer("back", torch.tensor(np.argsort(order)))

    def forward(self, z: Tensor) -> Moved:
        """``x = z[index]``."""
        return z[:, self.index], z.new_zeros(len(z))

    def inverse(self, x: Tensor) -> Moved:
        """``z[index] = x``."""
        return x[:, self.back], x.new_zeros(len(x))

    def network(self, direction: Direction) -> Network:
        """A selection."""
        order = self.index if direction == "forward" else self.back
        return affine_network(Selection(order.cpu().numpy(), self.dim), np.zeros(self.dim))


class Squeeze2d(Permute):
    """Blocks of 2 x 2 pixels become four channels towards the base; a permutation of the coordinates.

    Arguments:
        shape: ``(channels, height, width)`` on the data side, height and width even.

    Raises:
        ValueError: height or width is odd.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        c, h, w = shape
        if h % 2 or w % 2:
            raise ValueError(f"Squeeze2d: height and width must be even, not {h} x {w}.")
        deep = np.arange(c * h * w).reshape(c, 2, 2, h // 2, w // 2)
        super().__init__(deep.transpose(0, 3, 1, 4, 2).ravel())
        self.shape = shape
        self.base_shape = (4 * c, h // 2, w // 2)


class ActNorm(Bijection):
    r"""``x = z exp(log_scale) + shift`` in each channel; log-determinant: positions times sum of log_scale.

    ``initialise`` makes the first batch have zero mean and unit variance on the base side.

    Arguments:
        channels, positions: D is their product; positions is 1 where the data are no images.

    References: Kingma, Dhariwal (2018), "Glow: Generative Flow with Invertible 1x1 Convolutions",
        https://arxiv.org/abs/1807.03039
    """

    initialised: Tensor

    def __init__(self, channels: int, positions: int = 1) -> None:
        super().__init__(channels * positions)
        self.positions = positions
        self.log_scale = nn.Parameter(torch.zeros(channels, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("initialised", torch.tensor(False))

    def _scaled(self, factors: Tensor) -> Tensor:
        return factors.repeat_interleave(self.positions)

    def forward(self, z: Tensor) -> Moved:
        """Scale, then shift."""
        x = z * self._scaled(self.log_scale.exp()) + self._scaled(self.shift)
        return x, (self.positions * self.log_scale.sum()).expand(len(z))

    def inverse(self, x: Tensor) -> Moved:
        """Shift back, then scale back."""
        z = (x - self._scaled(self.shift)) * self._scaled((-self.log_scale).exp())
        return z, (-self.positions * self.log_scale.sum()).expand(len(x))

    def initialise(self, x: Tensor) -> None:
        """Mean and deviation of every channel, once; a channel that is constant keeps the scale 1."""
        if self.initialised:
            return
        rows = x.detach().reshape(len(x), -1, self.positions).transpose(0, 1).flatten(1)
        deviation = rows.std(dim=1, unbiased=False)
        self.shift.data.copy_(rows.mean(dim=1))
        self.log_scale.data.copy_(torch.where(deviation > 0, deviation, 1.0).log())
        self.initialised.fill_(True)

    def network(self, direction: Direction) -> Network:
        """A diagonal matrix and a bias."""
        scale = np.repeat(_numbers(self.log_scale.exp(), "ActNorm: the scale"), self.positions)
        shift = np.repeat(_numbers(self.shift, "ActNorm: the shift"), self.positions)
        if not scale.min() > 0:
            raise FlowError("ActNorm: a scale is 0: the layer is not invertible.")
        if direction == "forward":
            return affine_network(Diagonal(scale), shift)
        return affine_network(Diagonal(1 / scale), -shift / scale)


class LULinear(Bijection):
    r"""``x = P L (U + diag(sign exp(log_diagonal))) z + bias`` on channels: invertible whatever the weights.

    Arguments:
        channels, positions: D is their product; positions is 1 where the data are no images.
        matrix: ``[channels, channels]``, what to start from; the identity by default.
        bias: ``[channels]``; zeros by default.

    Raises:
        ValueError: the matrix is singular, or of another shape.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(
        self,
        channels: int,
        positions: int = 1,
        *,
        matrix: ArrayLike | None = None,
        bias: ArrayLike | None = None,
    ) -> None:
        super().__init__(channels * positions)
        self.positions = positions
        W = np.eye(channels) if matrix is None else np.asarray(matrix, dtype=float)
        if W.shape != (channels, channels) or not np.isfinite(W).all():
            raise ValueError(f"LULinear: the matrix must be finite, [{channels}, {channels}], not {W.shape}.")
        P, L, U = lu(W)
        pivots = np.abs(U.diagonal())
        if not pivots.min() > 2.0**-50 * pivots.max():
            raise ValueError(f"LULinear: the matrix is singular (pivot {pivots.min():.1e}): not invertible.")
        self.register_buffer("permutation", torch.tensor(P))
        self.register_buffer("sign", torch.tensor(np.sign(U.diagonal())))
        self.lower_entries = nn.Parameter(torch.tensor(np.tril(L, -1)))
        self.upper_entries = nn.Parameter(torch.tensor(np.triu(U, 1)))
        self.log_diagonal = nn.Parameter(torch.tensor(np.log(pivots)))
        start = np.zeros(channels) if bias is None else np.array(bias, dtype=float).reshape(channels)
        self.bias = nn.Parameter(torch.tensor(start))

    def _factors(self) -> tuple[Tensor, Tensor]:
        """L with its ones, and U with its diagonal."""
        L = self.lower_entries.tril(-1) + torch.eye(len(self.bias)).to(self.lower_entries)
        return L, self.upper_entries.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())

    def matrix(self) -> Tensor:
        """The matrix W on the channels.

        Returns:
            ``[channels, channels]``.
        """
        L, U = self._factors()
        return self.permutation @ L @ U

    def forward(self, z: Tensor) -> Moved:
        """``W z + bias`` at every position."""
        columns = z.reshape(len(z), -1, self.positions)
        x = self.matrix() @ columns + self.bias[:, None]
        return x.flatten(1), (self.positions * self.log_diagonal.sum()).expand(len(z))

    def inverse(self, x: Tensor) -> Moved:
        """Two triangular systems at every position."""
        L, U = self._factors()
        columns = x.reshape(len(x), -1, self.positions).transpose(0, 1).flatten(1) - self.bias[:, None]
        half = torch.linalg.solve_triangular(L, self.permutation.T @ columns, upper=False, unitriangular=True)
        z = torch.linalg.solve_triangular(U, half, upper=True)
        rows = z.reshape(-1, len(x), self.positions).transpose(0, 1).flatten(1)
        return rows, (-self.positions * self.log_diagonal.sum()).expand(len(x))

    def network(self, direction: Direction) -> Network:
        """A dense matrix; a sparse one for images."""
        W: FloatArray = _numbers(self.matrix(), "LULinear")
        bias = _numbers(self.bias, "LULinear")
        if direction == "inverse":
            L, U = (_numbers(factor, "LULinear") for factor in self._factors())
            if not np.abs(U.diagonal()).min() > 0:
                raise FlowError("LULinear: a pivot is 0: the layer is not invertible.")
            W = np.asarray(np.linalg.solve(U, np.linalg.solve(L, self.permutation.cpu().numpy().T)))
            bias = -W @ bias
        bias = np.repeat(bias, self.positions)
        if self.positions == 1:
            return affine_network(Dense(np.ascontiguousarray(W)), bias)
        return affine_network(Sparse(csr_array(kron(W, eye_array(self.positions)))), bias)


class InvertibleConv1x1(LULinear):
    """``LULinear`` on the channels of an image, started at a random rotation.

    Arguments:
        shape: ``(channels, height, width)``.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.
    """

    def __init__(self, shape: tuple[int, int, int], rng: np.random.Generator | None = None) -> None:
        draw = np.random.default_rng(0 if rng is None else rng).standard_normal((shape[0], shape[0]))
        super().__init__(shape[0], prod(shape[1:]), matrix=np.linalg.qr(draw)[0])


def gaussian_layer(loc: Tensor, log_scale: Tensor) -> ActNorm:
    """From a standard normal to one with these means and log-deviations, ``[D]``."""
    layer = ActNorm(len(loc))
    layer.shift.data.copy_(loc)
    layer.log_scale.data.copy_(log_scale)
    layer.initialised.fill_(True)
    return layer


def affine_network(linear: LinearMap, bias: FloatArray) -> Network:
    """A network of one affine layer."""
    return Network((linear.shape[1],), (Layer((0,), (linear,), bias),))


def _numbers(values: Tensor, what: str) -> FloatArray:
    """A tensor as a float64 array of finite numbers."""
    array = np.asarray(values.detach().cpu().numpy(), dtype=float)
    if not np.isfinite(array).all():
        raise FlowError(f"{what} holds numbers that are not finite; was training stopped by a NaN?")
    return array
