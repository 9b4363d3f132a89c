"""Networks of infinite width: their kernels, their training, and how often units cross on average.

All of it needs torch, which is loaded when a name is first used.
"""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "architecture": "polytope.infinite.architectures",
    "Architecture": "polytope.infinite.steps",
    "Step": "polytope.infinite.operations",
    "Linear": "polytope.infinite.operations",
    "Average": "polytope.infinite.operations",
    "Sum": "polytope.infinite.operations",
    "Bend": "polytope.infinite.activations",
    "relu": "polytope.infinite.activations",
    "leaky_relu": "polytope.infinite.activations",
    "absolute": "polytope.infinite.activations",
    "hard_tanh": "polytope.infinite.activations",
    "piecewise": "polytope.infinite.activations",
    "dense": "polytope.infinite.steps",
    "chain": "polytope.infinite.steps",
    "mlp": "polytope.infinite.steps",
    "kernel": "polytope.infinite.kernels",
    "Kernels": "polytope.infinite.kernels",
    "variances": "polytope.infinite.kernels",
    "ensemble": "polytope.infinite.dynamics",
    "posterior": "polytope.infinite.dynamics",
    "Ensemble": "polytope.infinite.dynamics",
    "orbit": "polytope.infinite.symmetry",
    "group_average": "polytope.infinite.symmetry",
    "draw": "polytope.infinite.finite",
    "empirical_kernels": "polytope.infinite.finite",
    "expected_crossings": "polytope.infinite.crossings",
    "expected_crossing_length": "polytope.infinite.crossings",
    "Expected": "polytope.infinite.crossings",
}

if TYPE_CHECKING:
    from polytope.infinite.activations import Bend as Bend
    from polytope.infinite.activations import absolute as absolute
    from polytope.infinite.activations import hard_tanh as hard_tanh
    from polytope.infinite.activations import leaky_relu as leaky_relu
    from polytope.infinite.activations import piecewise as piecewise
    from polytope.infinite.activations import relu as relu
    from polytope.infinite.architectures import architecture as architecture
    from polytope.infinite.crossings import Expected as Expected
    from polytope.infinite.crossings import expected_crossing_length as expected_crossing_length
    from polytope.infinite.crossings import expected_crossings as expected_crossings
    from polytope.infinite.dynamics import Ensemble as Ensemble
    from polytope.infinite.dynamics import ensemble as ensemble
    from polytope.infinite.dynamics import posterior as posterior
    from polytope.infinite.finite import draw as draw
    from polytope.infinite.finite import empirical_kernels as empirical_kernels
    from polytope.infinite.kernels import Kernels as Kernels
    from polytope.infinite.kernels import kernel as kernel
    from polytope.infinite.kernels import variances as variances
    from polytope.infinite.operations import Average as Average
    from polytope.infinite.operations import Linear as Linear
    from polytope.infinite.operations import Step as Step
    from polytope.infinite.operations import Sum as Sum
    from polytope.infinite.steps import Architecture as Architecture
    from polytope.infinite.steps import chain as chain
    from polytope.infinite.steps import dense as dense
    from polytope.infinite.steps import mlp as mlp
    from polytope.infinite.symmetry import group_average as group_average
    from polytope.infinite.symmetry import orbit as orbit
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
