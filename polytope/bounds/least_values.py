"""What is known of the least values of a network's outputs: proved bounds, and points that attain more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import eye_array, vstack

from polytope.bounds.intervals import preactivation_bounds
from polytope.bounds.output_bounds import bounds_at, bounds_over_box, with_outputs
from polytope.core.limits import BudgetSpent
from polytope.engines.sampling import in_parts, random_points
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.algebra import of_matrix
from polytope.ir.layers import Layer
from polytope.ir.looking import Look, look, watched
from polytope.ir.maps import FloatArray, Selection
from polytope.ir.maxima import maxima_first
from polytope.ir.network import Network

SAMPLES = 256
ROUNDS = 30  # of a descent
STEPS = np.append(2.0 ** -np.arange(12), 0.0)[:, None]  # shares of the way to a corner


@dataclass(eq=False)
class LeastValues:
    """Bounds of the least value of each output over a domain, which get better step by step.

    Arguments:
        network: of m outputs.
        domain: a bounded polyhedron with interior.

    Attributes:
        low: ``[m]``, proved: no output is less.
        value: ``[m]``, attained, rounded up; infinite as long as no point was tried.
        at: of each output where that is, ``[d]``, rounded; NaN as long as no point was tried.
    """

    network: Network
    domain: Polyhedron
    low: FloatArray = field(init=False)
    value: FloatArray = field(init=False)
    at: list[FloatArray] = field(init=False)

    def __post_init__(self) -> None:
        m, d = self.network.output_dim, self.network.input_dim
        self.box = self.domain.bounds
        self.low, self.value = np.full(m, -np.inf), np.full(m, np.inf)
        self.at = [np.full(d, np.nan)] * m

    def begin(self, told: Look) -> None:
        """The cheapest of all that may be known first, as far as who watches allows."""
        for step in (self.look_at_the_middle, self.prove, self.sample):
            with suppress(BudgetSpent), watched(told):
                step()

    def look_at_the_middle(self) -> None:
        """The values at a point in the middle of the domain."""
        center = self.domain.inscribed_ball[0]
        if self.domain.contains(center[None])[0]:
            self.value[:] = bounds_at(self.network, center)[1]
            self.at = [center] * len(self.at)

    def prove(self) -> None:
        """Bounds by interval arithmetic, then by all that one pass through the layers can say."""
        *_, (low, _) = preactivation_bounds(with_outputs(self.network), self.box)
        self.low = np.maximum(self.low, low)
        self.low = np.maximum(self.low, bounds_over_box(self.network, self.box)[0])

    def sample(self) -> None:
        """Try random points, and what lies downhill of the best."""
        for drawn in random_points(self.domain, SAMPLES, np.random.default_rng(0)):
            for points in in_parts(self.network, drawn):
                self.try_points(points)

    def try_points(self, points: FloatArray) -> None:
        """Keep points of the domain, and what lies downhill of them, where outputs are smaller than known."""
        inside = points[self.domain.contains(points)]
        if not len(inside):
            return
        values = self.network(inside)
        best = values.argmin(axis=0)
        for k in np.flatnonzero(values.min(axis=0) < self.value).tolist():
            look()
            x = self._downhill(inside[best[k]], k)
            self.keep(k, float(bounds_at(self.network, x)[1][k]), x)

    def keep(self, k: int, value: float, x: FloatArray) -> None:
        """Keep a point, if output k is smaller there than known."""
        if value < self.value[k]:
            self.value[k], self.at[k] = value, x

    def _downhill(self, x: FloatArray, k: int) -> FloatArray:
        """Towards the corner of the box at which the affine function around a point is least, and again."""
        one = Layer((0,), (Selection(np.array([k]), self.network.output_dim),), np.zeros(1))
        output = self.network.then(Network((self.network.output_dim,), (one,)))
        value = output(x)[0]
        for _ in range(ROUNDS):
            slope = output.affine(output.pattern(x))[0][0]
            aim = np.where(slope > 0, self.box[0], np.where(slope < 0, self.box[1], x))
            way = np.clip(x + STEPS * (aim - x), *self.box)
            values = np.where(self.domain.contains(way), output(way)[:, 0], np.inf)
            least = int(values.argmin())
            if not values[least] < value:
                break
            x, value = way[least], values[least]
        return x


def both_signs(network: Network) -> Network:
    """The outputs, and the outputs with the other sign, whose least values are their greatest ones."""
    out = network.output_dim
    signs = of_matrix(vstack([eye_array(out), -eye_array(out)], format="csr"))
    return maxima_first(network).then(Network((out,), (Layer((0,), (signs,), np.zeros(2 * out)),)))
