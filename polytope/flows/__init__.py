"""Flow-based models: layers, training, and exact geometry of the piecewise-linear ones."""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "Flow": "polytope.flows.flow",
    "Bijection": "polytope.flows.layers.bijection",
    "Direction": "polytope.flows.layers.bijection",
    "BaseName": "polytope.flows.base",
    "AdditiveCoupling": "polytope.flows.layers.couplings",
    "AffineCoupling": "polytope.flows.layers.couplings",
    "ActNorm": "polytope.flows.layers.affine",
    "LULinear": "polytope.flows.layers.affine",
    "InvertibleConv1x1": "polytope.flows.layers.affine",
    "MonotoneLinearSpline": "polytope.flows.layers.spline",
    "Permute": "polytope.flows.layers.affine",
    "Squeeze2d": "polytope.flows.layers.affine",
    "Split2d": "polytope.flows.layers.chain",
    "nice": "polytope.flows.models",
    "realnvp": "polytope.flows.models",
    "multiscale_realnvp": "polytope.flows.models",
    "glow": "polytope.flows.models",
    "wrap": "polytope.flows.layers.wrapped",
    "from_zuko": "polytope.flows.importers.zuko",
    "from_normflows": "polytope.flows.importers.normflows",
    "fit": "polytope.flows.training",
    "fit_to_density": "polytope.flows.training",
    "effective_sample_size": "polytope.flows.samples",
    "SampleSize": "polytope.flows.samples",
    "Training": "polytope.flows.training",
    "bits_per_dimension": "polytope.flows.training",
    "lower": "polytope.flows.exact.lowering",
    "first_coupling_network": "polytope.flows.exact.lowering",
    "flow_regions": "polytope.flows.exact.regions",
    "FlowRegions": "polytope.flows.exact.regions",
    "region_mass": "polytope.flows.exact.mass",
    "class_mass": "polytope.flows.exact.mass",
    "Masses": "polytope.flows.exact.mass",
    "pullback_decision_boundary": "polytope.flows.exact.boundary",
    "PulledBack": "polytope.flows.exact.boundary",
    "base_points": "polytope.flows.geometry",
    "jacobian": "polytope.flows.geometry",
    "inverse_induced_metric": "polytope.flows.geometry",
    "jacobian_spectrum": "polytope.flows.geometry",
    "tangent_normal_split": "polytope.flows.geometry",
    "natural_step": "polytope.flows.geometry",
    "base_step": "polytope.flows.geometry",
    "normal_eigenvalue_scaling": "polytope.flows.geometry",
    "intrinsic_dimension": "polytope.flows.dimension",
    "Dimension": "polytope.flows.dimension",
    "Method": "polytope.flows.dimension",
    "counterfactual": "polytope.flows.latent_search",
    "Counterfactual": "polytope.flows.latent_search",
    "Space": "polytope.flows.latent_search",
    "evaluate_counterfactual": "polytope.flows.latent_search",
    "Evaluation": "polytope.flows.latent_search",
    "exact_counterfactual": "polytope.flows.exact.counterfactual",
    "ExactCounterfactual": "polytope.flows.exact.counterfactual",
    "exact_counterfactuals": "polytope.flows.exact.counterfactuals",
}

if TYPE_CHECKING:
    from polytope.flows.base import BaseName as BaseName
    from polytope.flows.dimension import Dimension as Dimension
    from polytope.flows.dimension import Method as Method
    from polytope.flows.dimension import intrinsic_dimension as intrinsic_dimension
    from polytope.flows.exact.boundary import PulledBack as PulledBack
    from polytope.flows.exact.boundary import pullback_decision_boundary as pullback_decision_boundary
    from polytope.flows.exact.counterfactual import ExactCounterfactual as ExactCounterfactual
    from polytope.flows.exact.counterfactual import exact_counterfactual as exact_counterfactual
    from polytope.flows.exact.counterfactuals import exact_counterfactuals as exact_counterfactuals
    from polytope.flows.exact.lowering import first_coupling_network as first_coupling_network
    from polytope.flows.exact.lowering import lower as lower
    from polytope.flows.exact.mass import Masses as Masses
    from polytope.flows.exact.mass import class_mass as class_mass
    from polytope.flows.exact.mass import region_mass as region_mass
    from polytope.flows.exact.regions import FlowRegions as FlowRegions
    from polytope.flows.exact.regions import flow_regions as flow_regions
    from polytope.flows.flow import Flow as Flow
    from polytope.flows.geometry import base_points as base_points
    from polytope.flows.geometry import base_step as base_step
    from polytope.flows.geometry import inverse_induced_metric as inverse_induced_metric
    from polytope.flows.geometry import jacobian as jacobian
    from polytope.flows.geometry import jacobian_spectrum as jacobian_spectrum
    from polytope.flows.geometry import natural_step as natural_step
    from polytope.flows.geometry import normal_eigenvalue_scaling as normal_eigenvalue_scaling
    from polytope.flows.geometry import tangent_normal_split as tangent_normal_split
    from polytope.flows.importers.normflows import from_normflows as from_normflows
    from polytope.flows.importers.zuko import from_zuko as from_zuko
    from polytope.flows.latent_search import Counterfactual as Counterfactual
    from polytope.flows.latent_search import Evaluation as Evaluation
    from polytope.flows.latent_search import Space as Space
    from polytope.flows.latent_search import counterfactual as counterfactual
    from polytope.flows.latent_search import evaluate_counterfactual as evaluate_counterfactual
    from polytope.flows.layers.affine import ActNorm as ActNorm
    from polytope.flows.layers.affine import InvertibleConv1x1 as InvertibleConv1x1
    from polytope.flows.layers.affine import LULinear as LULinear
    from polytope.flows.layers.affine import Permute as Permute
    from polytope.flows.layers.affine import Squeeze2d as Squeeze2d
    from polytope.flows.layers.bijection import Bijection as Bijection
    from polytope.flows.layers.bijection import Direction as Direction
    from polytope.flows.layers.chain import Split2d as Split2d
    from polytope.flows.layers.couplings import AdditiveCoupling as AdditiveCoupling
    from polytope.flows.layers.couplings import AffineCoupling as AffineCoupling
    from polytope.flows.layers.spline import MonotoneLinearSpline as MonotoneLinearSpline
    from polytope.flows.layers.wrapped import wrap as wrap
    from polytope.flows.models import glow as glow
    from polytope.flows.models import multiscale_realnvp as multiscale_realnvp
    from polytope.flows.models import nice as nice
    from polytope.flows.models import realnvp as realnvp
    from polytope.flows.samples import SampleSize as SampleSize
    from polytope.flows.samples import effective_sample_size as effective_sample_size
    from polytope.flows.training import Training as Training
    from polytope.flows.training import bits_per_dimension as bits_per_dimension
    from polytope.flows.training import fit as fit
    from polytope.flows.training import fit_to_density as fit_to_density
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
