r"""The regions of a piecewise-linear flow in base space: on each it is affine, of one log-determinant.

On region r, :math:`g(z) = J_r z + c_r`, so :math:`\log q(g(z)) = \log q_Z(z) - \log |\det J_r|`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Progress
from polytope.errors import FlowError
from polytope.exact.maps import right_maps
from polytope.flows.exact.lowering import checked_piecewise_linear
from polytope.flows.flow import Flow
from polytope.given import DomainLike
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions

TOGETHER = 1 << 22  # numbers of Jacobians held at once


@dataclass(frozen=True, eq=False)
class FlowRegions:
    """The regions of a flow in a domain of its base space.

    Arguments:
        flow: the flow.
        complex: the regions of its network from base to data.
        logdet: ``[R]``, log |det J| of every region: of exact maps rounded once, by float64 determinants.
    """

    flow: Flow
    complex: RegionComplex
    logdet: FloatArray

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.complex)

    def log_density(self, x: ArrayLike) -> FloatArray:
        """The log-density of data points by their regions.

        Arguments:
            x: data points, ``[B, D]`` or ``[B, *shape]``.

        Returns:
            ``[B]``, in nats; NaN outside the domain's image.

        Raises:
            ValueError: points of another shape, or not finite.
            FlowError: a number overflows: the flow is not invertible there in its number type.
        """
        with torch.no_grad():
            z = self.flow.inverse(self.flow.rows(x))[0]
            base = self.flow.base.log_density(z).cpu().numpy()
        region = self.complex.locate(z.cpu().double().numpy())
        out: FloatArray = np.where(region >= 0, base - self.logdet[region], np.nan)
        return out


def flow_regions(
    flow: Flow,
    domain: DomainLike,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> FlowRegions:
    """All regions of a piecewise-linear flow in a domain of base space, with their log-determinants.

    Arguments:
        flow: piecewise linear.
        domain: a polyhedron of the base space, or a box as of ``enumerate_regions``.
        max_regions, max_seconds: budgets; a search that one stops is not complete, and says so.
        progress: called with the numbers of regions found and of open cells.

    Returns:
        The regions, R of them, with ``logdet [R]``.

    Raises:
        NotPiecewiseLinearError: the flow is not piecewise linear.
        ValueError: the domain is of another dimension.

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> found = flows.flow_regions(flows.nice(2, hidden=(4,)), pt.Polyhedron.box([-3, -3], [3, 3]))
        >>> found.complex.complete, bool(abs(found.logdet).max() < 1e-12)
        (True, True)
    """
    network = checked_piecewise_linear(flow, "flow_regions")
    complex = enumerate_regions(
        network, domain, max_regions=max_regions, max_seconds=max_seconds, progress=progress
    )
    return FlowRegions(flow, complex, log_determinants(network, complex.patterns))


def log_determinants(network: Network, patterns: PatternArray) -> FloatArray:
    """Log |det J| of the affine map of every pattern, ``[R]``.

    Raises:
        FlowError: a map is singular.
    """
    together = max(
        1, TOGETHER // (network.input_dim * max(network.input_dim, max(network.widths, default=1)))
    )
    out = np.zeros(len(patterns))
    for i in range(0, len(patterns), together):
        out[i : i + together] = np.linalg.slogdet(right_maps(network, patterns[i : i + together]).J)[1]
    if not np.isfinite(out).all():
        raise FlowError(f"The flow is singular on {int((~np.isfinite(out)).sum())} regions: not invertible.")
    return out
