r"""Monotone piecewise-linear maps of single coordinates: log-determinants that differ between regions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from torch import Tensor, nn

from polytope.errors import FlowError
from polytope.flows.layers.bijection import Bijection, Direction, Moved
from polytope.ir import Diagonal, Layer, Network, Selection, Sparse, relu
from polytope.ir.maps import FloatArray


class MonotoneLinearSpline(Bijection):
    """A continuous increasing piecewise-linear function of each coordinate; starts as the identity.

    One knot at 0 is a leaky ReLU with slopes of its own. Additive couplings preserve volume up to a
    constant; these layers let a piecewise-linear flow stretch some regions more than others.

    Arguments:
        dim: D.
        knots: number K of breakpoints a coordinate, or their places on the base side, ``[K]`` or ``[D, K]``.
        slopes: ``[K + 1]`` or ``[D, K + 1]``, all positive; ones by default.

    Raises:
        ValueError: knots do not ascend, or a slope is not positive: the layer is not invertible.
    """

    def __init__(self, dim: int, knots: int | ArrayLike = 8, slopes: ArrayLike | None = None) -> None:
        super().__init__(dim)
        places = np.linspace(-2, 2, knots) if isinstance(knots, int) else np.asarray(knots, dtype=float)
        places = np.broadcast_to(places, (dim, places.shape[-1])) if places.size else places
        if not places.size or not (np.diff(places, axis=1) > 0).all() or not np.isfinite(places).all():
            raise ValueError("MonotoneLinearSpline: knots must be finite and ascend; at least one is needed.")
        steep = np.ones(places.shape[1] + 1) if slopes is None else np.asarray(slopes, dtype=float)
        if steep.shape[-1] != places.shape[1] + 1 or not (np.isfinite(steep) & (steep > 0)).all():
            raise ValueError(
                f"MonotoneLinearSpline: {places.shape[1] + 1} positive slopes are needed; "
                "with one of 0 the layer is not invertible."
            )
        steep = np.broadcast_to(steep, (dim, steep.shape[-1]))
        self.first = nn.Parameter(torch.tensor(places[:, 0].copy()))
        self.log_gaps = nn.Parameter(torch.tensor(np.log(np.diff(places, axis=1))))
        self.log_slopes = nn.Parameter(torch.tensor(np.log(steep)))
        self.offset = nn.Parameter(torch.tensor(places[:, 0].copy()))

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Knots ``[D, K]`` on the base side and on the data side, and slopes ``[D, K + 1]``."""
        gaps, slopes = self.log_gaps.exp(), self.log_slopes.exp()
        start = torch.zeros_like(self.first)[:, None]
        places = self.first[:, None] + torch.cat([start, gaps.cumsum(dim=1)], dim=1)
        rises = (gaps * slopes[:, 1:-1]).cumsum(dim=1)
        return places, self.offset[:, None] + torch.cat([start, rises], dim=1), slopes

    def forward(self, z: Tensor) -> Moved:
        """Follow the segment that each coordinate is on."""
        places, values, slopes = self._tables()
        return _along(z, places, values, slopes)

    def inverse(self, x: Tensor) -> Moved:
        """The same with the roles of the axes exchanged."""
        places, values, slopes = self._tables()
        return _along(x, values, places, 1 / slopes)

    def network(self, direction: Direction) -> Network:
        """Units with their breakpoints at the knots."""
        tables = (np.asarray(t.detach().cpu().numpy(), dtype=float) for t in self._tables())
        places, values, slopes = tables
        if direction == "inverse":
            with np.errstate(divide="ignore"):
                places, values, slopes = values, places, 1 / slopes
        finite = all(np.isfinite(table).all() for table in (places, values, slopes))
        if not finite or not slopes.min() > 0:
            raise FlowError("MonotoneLinearSpline: a slope is 0 or not finite: the layer is not invertible.")
        return _as_ramps(places, values, slopes)


def _as_ramps(places: FloatArray, values: FloatArray, slopes: FloatArray) -> Network:
    r"""One ramp for each knot, :math:`f(z) = s_0 z + c + \sum_k (s_k - s_{k - 1}) \max(z - t_k, 0)`.

    Units of several pieces would have to meet exactly at their knots, and their tables are rounded.
    """
    dim, knots = places.shape
    of_coordinate = np.repeat(np.arange(dim), knots)
    ramps = Layer((0,), (Selection(of_coordinate, dim),), -places.ravel(), relu())
    units = np.arange(dim * knots)
    turns = csr_array((np.diff(slopes, axis=1).ravel(), (of_coordinate, units)), shape=(dim, dim * knots))
    start = values[:, 0] - slopes[:, 0] * places[:, 0]
    return Network((dim,), (ramps, Layer((1, 0), (Sparse(turns), Diagonal(slopes[:, 0])), start)))


def _along(x: Tensor, places: Tensor, values: Tensor, slopes: Tensor) -> Moved:
    """Values and log-slopes of the piecewise-linear functions at the rows of x."""
    piece = (x[:, :, None] > places).sum(dim=2)
    anchor = (piece - 1).clamp(min=0)
    coordinate = torch.arange(x.shape[1], device=x.device)
    slope = slopes[coordinate, piece]
    y = values[coordinate, anchor] + slope * (x - places[coordinate, anchor])
    return y, slope.log().sum(dim=1)
