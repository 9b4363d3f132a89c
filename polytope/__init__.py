"""The exact geometry of trained piecewise-linear networks: regions, their graph, and what follows.

Names are listed in the order of the data flow. ``load`` and ``from_torch`` are those of ``adapters``.
"""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "load": "adapters.files",
    "from_torch": "adapters.memory",
    "Network": "polytope.ir",
    "Layer": "polytope.ir",
    "mlp": "polytope.ir",
    "stack": "polytope.ir",
    "Polyhedron": "polytope.geometry.polyhedron",
    "Slice": "polytope.geometry.slice",
    "affine_hull": "polytope.geometry.affine_hull",
    "read_input_box": "polytope.properties.vnnlib",
    "read_property": "polytope.properties.vnnlib_property",
    "Property": "polytope.properties.vnnlib_property",
    "LayerSplit": "polytope.engines.layer_split",
    "FacetFlip": "polytope.engines.facet_flip",
    "IntegerProgram": "polytope.engines.integer_program",
    "Sampling": "polytope.engines.sampling",
    "enumerate_regions": "polytope.runs.enumerate",
    "count_regions": "polytope.runs.enumerate",
    "load_complex": "polytope.runs.directories",
    "verify_certificate": "polytope.verify",
    "Proof": "polytope.verify",
    "RegionComplex": "polytope.regions.complex",
    "Region": "polytope.regions.region",
    "RegionCount": "polytope.runs.enumerate",
    "track": "polytope.runs.tracking",
    "Tracked": "polytope.runs.tracking",
    "local_complexity": "polytope.measures.local_complexity.count",
    "LocalComplexity": "polytope.measures.local_complexity.count",
    "exact_local_complexity": "polytope.measures.local_complexity.neighbourhood",
    "ExactComplexity": "polytope.measures.local_complexity.neighbourhood",
    "ComplexityRecorder": "polytope.measures.local_complexity.training",
    "spline_features": "polytope.measures.spline_features",
    "SplineFeatures": "polytope.measures.spline_features",
    "crossings": "polytope.measures.crossings",
    "Crossings": "polytope.measures.crossings",
    "segment_crossings": "polytope.measures.segment_crossings",
    "SegmentCrossings": "polytope.measures.segment_crossings",
    "robustness_radius": "polytope.measures.robustness",
    "Radius": "polytope.measures.robustness",
    "decision_boundary": "polytope.measures.decision_boundary",
    "DecisionBoundary": "polytope.measures.decision_boundary",
    "integrated_gradients": "polytope.measures.attribution",
    "linear_explanation": "polytope.measures.attribution",
    "LinearExplanation": "polytope.measures.attribution",
    "prove_units": "polytope.measures.units",
    "UnitUse": "polytope.measures.units",
    "simplify": "polytope.measures.simplify",
    "Simplified": "polytope.measures.simplify",
    "level_set_topology": "polytope.measures.topology",
    "sublevel_topology": "polytope.measures.topology",
    "decision_topology": "polytope.measures.class_topology",
    "Topology": "polytope.measures.topology",
    "dual_graph": "polytope.measures.topology",
    "DualGraph": "polytope.measures.topology",
    "lipschitz_constant": "polytope.measures.lipschitz",
    "region_lipschitz": "polytope.measures.lipschitz",
    "lipschitz_bounds": "polytope.measures.lipschitz_bounds",
    "LipschitzBounds": "polytope.measures.lipschitz_bounds",
    "output_bounds": "polytope.bounds.output_range",
    "output_range": "polytope.bounds.output_range",
    "OutputRange": "polytope.bounds.output_range",
    "preimage": "polytope.measures.preimages",
    "Preimage": "polytope.measures.preimages",
    "level_set": "polytope.measures.level_sets",
    "class_boundary": "polytope.measures.level_sets",
    "LevelSet": "polytope.measures.level_sets",
    "image": "polytope.measures.images",
    "Image": "polytope.measures.images",
    "spline_deviation": "polytope.ir.deviation",
    "smooth_radius": "polytope.measures.smooth",
    "smooth_lipschitz": "polytope.measures.smooth",
    "check_property": "polytope.properties.decide",
    "check_properties": "polytope.properties.competition",
    "competition_result": "polytope.properties.competition",
    "PropertyCheck": "polytope.properties.decide",
    "equivalent": "polytope.properties.equivalence",
    "Equivalence": "polytope.properties.equivalence",
    "difference_bounds": "polytope.properties.equivalence",
    "DifferenceBounds": "polytope.properties.equivalence",
    "region_bounds": "polytope.measures.counting",
    "RegionBounds": "polytope.measures.counting",
    "max_affine_form": "polytope.measures.spline",
    "MaxAffine": "polytope.measures.spline",
    "power_diagram": "polytope.measures.spline",
    "PowerCells": "polytope.measures.spline",
    "centroids": "polytope.measures.spline",
    "tropical_form": "polytope.measures.tropical",
    "TropicalForm": "polytope.measures.tropical",
    "Signomial": "polytope.measures.signomial",
    "newton_polytope": "polytope.measures.signomial",
    "upper_hull": "polytope.measures.signomial",
    "zonotope": "polytope.measures.signomial",
    "hoffman_constant": "polytope.measures.hoffman",
    "effective_radius": "polytope.measures.hoffman",
    "radius_bound": "polytope.measures.hoffman",
    "region_volumes": "polytope.measures.volumes",
    "Volumes": "polytope.measures.volumes",
    "plot_regions": "polytope.plots.regions",
    "plot_regions_3d": "polytope.plots.solid",
    "plot_decision_boundary": "polytope.plots.regions",
    "plot_image": "polytope.plots.images",
    "plot_dual_graph": "polytope.plots.graph",
    "plot_region_bounds": "polytope.plots.graph",
    "plot_complexity_map": "polytope.plots.complexity",
    "plot_complexity_histogram": "polytope.plots.complexity",
    "plot_complexity_training": "polytope.plots.complexity",
    "plot_spline_features": "polytope.plots.complexity",
    "Exact": "polytope.labelled",
    "Bound": "polytope.labelled",
    "Estimate": "polytope.labelled",
    "Missing": "polytope.labelled",
    "audit": "polytope.report.audit",
    "ModelFile": "polytope.report.asked",
    "Scope": "polytope.report.scope",
    "Data": "polytope.report.asked",
    "Requirements": "polytope.report.asked",
    "AuditBudget": "polytope.report.asked",
    "Audit": "polytope.report.audit",
    "errors": "polytope.errors",
}

if TYPE_CHECKING:
    from adapters.files import load as load
    from adapters.memory import from_torch as from_torch
    from polytope import errors as errors
    from polytope.bounds.output_range import OutputRange as OutputRange
    from polytope.bounds.output_range import output_bounds as output_bounds
    from polytope.bounds.output_range import output_range as output_range
    from polytope.engines.facet_flip import FacetFlip as FacetFlip
    from polytope.engines.integer_program import IntegerProgram as IntegerProgram
    from polytope.engines.layer_split import LayerSplit as LayerSplit
    from polytope.engines.sampling import Sampling as Sampling
    from polytope.geometry.affine_hull import affine_hull as affine_hull
    from polytope.geometry.polyhedron import Polyhedron as Polyhedron
    from polytope.geometry.slice import Slice as Slice
    from polytope.ir import Layer as Layer
    from polytope.ir import Network as Network
    from polytope.ir import mlp as mlp
    from polytope.ir import stack as stack
    from polytope.ir.deviation import spline_deviation as spline_deviation
    from polytope.labelled import Bound as Bound
    from polytope.labelled import Estimate as Estimate
    from polytope.labelled import Exact as Exact
    from polytope.labelled import Missing as Missing
    from polytope.measures.attribution import LinearExplanation as LinearExplanation
    from polytope.measures.attribution import integrated_gradients as integrated_gradients
    from polytope.measures.attribution import linear_explanation as linear_explanation
    from polytope.measures.class_topology import decision_topology as decision_topology
    from polytope.measures.counting import RegionBounds as RegionBounds
    from polytope.measures.counting import region_bounds as region_bounds
    from polytope.measures.crossings import Crossings as Crossings
    from polytope.measures.crossings import crossings as crossings
    from polytope.measures.decision_boundary import DecisionBoundary as DecisionBoundary
    from polytope.measures.decision_boundary import decision_boundary as decision_boundary
    from polytope.measures.hoffman import effective_radius as effective_radius
    from polytope.measures.hoffman import hoffman_constant as hoffman_constant
    from polytope.measures.hoffman import radius_bound as radius_bound
    from polytope.measures.images import Image as Image
    from polytope.measures.images import image as image
    from polytope.measures.level_sets import LevelSet as LevelSet
    from polytope.measures.level_sets import class_boundary as class_boundary
    from polytope.measures.level_sets import level_set as level_set
    from polytope.measures.lipschitz import lipschitz_constant as lipschitz_constant
    from polytope.measures.lipschitz import region_lipschitz as region_lipschitz
    from polytope.measures.lipschitz_bounds import LipschitzBounds as LipschitzBounds
    from polytope.measures.lipschitz_bounds import lipschitz_bounds as lipschitz_bounds
    from polytope.measures.local_complexity.count import LocalComplexity as LocalComplexity
    from polytope.measures.local_complexity.count import local_complexity as local_complexity
    from polytope.measures.local_complexity.neighbourhood import ExactComplexity as ExactComplexity
    from polytope.measures.local_complexity.neighbourhood import (
        exact_local_complexity as exact_local_complexity,
    )
    from polytope.measures.local_complexity.training import ComplexityRecorder as ComplexityRecorder
    from polytope.measures.preimages import Preimage as Preimage
    from polytope.measures.preimages import preimage as preimage
    from polytope.measures.robustness import Radius as Radius
    from polytope.measures.robustness import robustness_radius as robustness_radius
    from polytope.measures.segment_crossings import SegmentCrossings as SegmentCrossings
    from polytope.measures.segment_crossings import segment_crossings as segment_crossings
    from polytope.measures.signomial import Signomial as Signomial
    from polytope.measures.signomial import newton_polytope as newton_polytope
    from polytope.measures.signomial import upper_hull as upper_hull
    from polytope.measures.signomial import zonotope as zonotope
    from polytope.measures.simplify import Simplified as Simplified
    from polytope.measures.simplify import simplify as simplify
    from polytope.measures.smooth import smooth_lipschitz as smooth_lipschitz
    from polytope.measures.smooth import smooth_radius as smooth_radius
    from polytope.measures.spline import MaxAffine as MaxAffine
    from polytope.measures.spline import PowerCells as PowerCells
    from polytope.measures.spline import centroids as centroids
    from polytope.measures.spline import max_affine_form as max_affine_form
    from polytope.measures.spline import power_diagram as power_diagram
    from polytope.measures.spline_features import SplineFeatures as SplineFeatures
    from polytope.measures.spline_features import spline_features as spline_features
    from polytope.measures.topology import DualGraph as DualGraph
    from polytope.measures.topology import Topology as Topology
    from polytope.measures.topology import dual_graph as dual_graph
    from polytope.measures.topology import level_set_topology as level_set_topology
    from polytope.measures.topology import sublevel_topology as sublevel_topology
    from polytope.measures.tropical import TropicalForm as TropicalForm
    from polytope.measures.tropical import tropical_form as tropical_form
    from polytope.measures.units import UnitUse as UnitUse
    from polytope.measures.units import prove_units as prove_units
    from polytope.measures.volumes import Volumes as Volumes
    from polytope.measures.volumes import region_volumes as region_volumes
    from polytope.plots.complexity import plot_complexity_histogram as plot_complexity_histogram
    from polytope.plots.complexity import plot_complexity_map as plot_complexity_map
    from polytope.plots.complexity import plot_complexity_training as plot_complexity_training
    from polytope.plots.complexity import plot_spline_features as plot_spline_features
    from polytope.plots.graph import plot_dual_graph as plot_dual_graph
    from polytope.plots.graph import plot_region_bounds as plot_region_bounds
    from polytope.plots.images import plot_image as plot_image
    from polytope.plots.regions import plot_decision_boundary as plot_decision_boundary
    from polytope.plots.regions import plot_regions as plot_regions
    from polytope.plots.solid import plot_regions_3d as plot_regions_3d
    from polytope.properties.competition import check_properties as check_properties
    from polytope.properties.competition import competition_result as competition_result
    from polytope.properties.decide import PropertyCheck as PropertyCheck
    from polytope.properties.decide import check_property as check_property
    from polytope.properties.equivalence import DifferenceBounds as DifferenceBounds
    from polytope.properties.equivalence import Equivalence as Equivalence
    from polytope.properties.equivalence import difference_bounds as difference_bounds
    from polytope.properties.equivalence import equivalent as equivalent
    from polytope.properties.vnnlib import read_input_box as read_input_box
    from polytope.properties.vnnlib_property import Property as Property
    from polytope.properties.vnnlib_property import read_property as read_property
    from polytope.regions.complex import RegionComplex as RegionComplex
    from polytope.regions.region import Region as Region
    from polytope.report.asked import AuditBudget as AuditBudget
    from polytope.report.asked import Data as Data
    from polytope.report.asked import ModelFile as ModelFile
    from polytope.report.asked import Requirements as Requirements
    from polytope.report.audit import Audit as Audit
    from polytope.report.audit import audit as audit
    from polytope.report.scope import Scope as Scope
    from polytope.runs.directories import load_complex as load_complex
    from polytope.runs.enumerate import RegionCount as RegionCount
    from polytope.runs.enumerate import count_regions as count_regions
    from polytope.runs.enumerate import enumerate_regions as enumerate_regions
    from polytope.runs.tracking import Tracked as Tracked
    from polytope.runs.tracking import track as track
    from polytope.verify import Proof as Proof
    from polytope.verify import verify_certificate as verify_certificate
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
