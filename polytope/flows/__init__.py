"""Flow-based models: layers, training, and exact geometry of the piecewise-linear ones. Loads torch."""

from polytope.flows.base import BaseName
from polytope.flows.counterfactual import (
    Counterfactual,
    Evaluation,
    Space,
    counterfactual,
    evaluate_counterfactual,
)
from polytope.flows.dimension import Dimension, Method, intrinsic_dimension
from polytope.flows.exact.boundary import PulledBack, pullback_decision_boundary
from polytope.flows.exact.counterfactual import ExactCounterfactual, exact_counterfactual
from polytope.flows.exact.lowering import first_coupling_network, lower
from polytope.flows.exact.mass import Masses, class_mass, region_mass
from polytope.flows.exact.regions import FlowRegions, flow_regions
from polytope.flows.flow import Flow
from polytope.flows.geometry import (
    base_points,
    base_step,
    inverse_induced_metric,
    jacobian,
    jacobian_spectrum,
    natural_step,
    normal_eigenvalue_scaling,
    tangent_normal_split,
)
from polytope.flows.importers.normflows import from_normflows
from polytope.flows.importers.zuko import from_zuko
from polytope.flows.layers.affine import ActNorm, InvertibleConv1x1, LULinear, Permute, Squeeze2d
from polytope.flows.layers.bijection import Bijection, Direction
from polytope.flows.layers.chain import Split2d
from polytope.flows.layers.couplings import AdditiveCoupling, AffineCoupling
from polytope.flows.layers.spline import MonotoneLinearSpline
from polytope.flows.models import glow, multiscale_realnvp, nice, realnvp
from polytope.flows.training import Training, bits_per_dimension, fit

__all__ = [  # noqa: RUF022
    "Flow",
    "Bijection",
    "Direction",
    "BaseName",
    "AdditiveCoupling",
    "AffineCoupling",
    "ActNorm",
    "LULinear",
    "InvertibleConv1x1",
    "MonotoneLinearSpline",
    "Permute",
    "Squeeze2d",
    "Split2d",
    "nice",
    "realnvp",
    "multiscale_realnvp",
    "glow",
    "from_zuko",
    "from_normflows",
    "fit",
    "Training",
    "bits_per_dimension",
    "lower",
    "first_coupling_network",
    "flow_regions",
    "FlowRegions",
    "region_mass",
    "class_mass",
    "Masses",
    "pullback_decision_boundary",
    "PulledBack",
    "base_points",
    "jacobian",
    "inverse_induced_metric",
    "jacobian_spectrum",
    "tangent_normal_split",
    "natural_step",
    "base_step",
    "normal_eigenvalue_scaling",
    "intrinsic_dimension",
    "Dimension",
    "Method",
    "counterfactual",
    "Counterfactual",
    "Space",
    "evaluate_counterfactual",
    "Evaluation",
    "exact_counterfactual",
    "ExactCounterfactual",
]
