"""The exact geometry of trained piecewise-linear networks: regions, their graph, and what follows.

Names are listed in the order of the data flow. Models come in through ``from adapters import load``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polytope import errors
from polytope.bounds.output_bounds import output_bounds
from polytope.engines.facet_flip import FacetFlip
from polytope.engines.integer_program import IntegerProgram
from polytope.engines.layer_split import LayerSplit
from polytope.engines.sampling import Sampling
from polytope.geometry.affine_hull import affine_hull
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.slice import Slice
from polytope.ir import Layer, Network, mlp, stack
from polytope.labelled import Bound, Estimate, Exact, Missing
from polytope.measures.counting import RegionBounds, region_bounds
from polytope.measures.hoffman import effective_radius, hoffman_constant, radius_bound
from polytope.measures.lipschitz import (
    LipschitzBounds,
    lipschitz_bounds,
    lipschitz_constant,
    region_lipschitz,
)
from polytope.measures.signomial import Signomial, newton_polytope, upper_hull, zonotope
from polytope.measures.spline import MaxAffine, PowerCells, centroids, max_affine_form, power_diagram
from polytope.measures.tropical import TropicalForm, tropical_form
from polytope.measures.volumes import Volumes, region_volumes
from polytope.properties.decide import PropertyCheck, check_property
from polytope.properties.vnnlib import read_input_box
from polytope.properties.vnnlib_property import Property, read_property
from polytope.regions.complex import Region, RegionComplex
from polytope.runs.directories import load_complex
from polytope.runs.enumerate import RegionCount, count_regions, enumerate_regions
from polytope.runs.tracking import Tracked, track
from polytope.verify import Proof, verify_certificate

if TYPE_CHECKING:
    from polytope.measures.attribution import (
        LinearExplanation,
        integrated_gradients,
        linear_explanation,
    )
    from polytope.measures.class_topology import decision_topology
    from polytope.measures.decision_boundary import DecisionBoundary, decision_boundary
    from polytope.measures.local_complexity.count import LocalComplexity, local_complexity
    from polytope.measures.local_complexity.neighbourhood import ExactComplexity, exact_local_complexity
    from polytope.measures.local_complexity.training import ComplexityRecorder
    from polytope.measures.robustness import Radius, robustness_radius
    from polytope.measures.simplify import Simplified, simplify
    from polytope.measures.topology import (
        DualGraph,
        Topology,
        dual_graph,
        level_set_topology,
        sublevel_topology,
    )
    from polytope.measures.units import UnitUse, prove_units
    from polytope.plots.complexity import (
        plot_complexity_histogram,
        plot_complexity_map,
        plot_complexity_training,
    )
    from polytope.plots.graph import plot_dual_graph, plot_region_bounds
    from polytope.plots.regions import plot_decision_boundary, plot_regions
    from polytope.plots.solid import plot_regions_3d
    from polytope.report.asked import AuditBudget, Data, ModelFile, Requirements
    from polytope.report.audit import Audit, audit
    from polytope.report.scope import Scope

__all__ = [  # noqa: RUF022
    "Network",
    "Layer",
    "mlp",
    "stack",
    "Polyhedron",
    "Slice",
    "affine_hull",
    "read_input_box",
    "read_property",
    "Property",
    "LayerSplit",
    "FacetFlip",
    "IntegerProgram",
    "Sampling",
    "enumerate_regions",
    "count_regions",
    "load_complex",
    "verify_certificate",
    "Proof",
    "RegionComplex",
    "Region",
    "RegionCount",
    "track",
    "Tracked",
    "local_complexity",
    "LocalComplexity",
    "exact_local_complexity",
    "ExactComplexity",
    "ComplexityRecorder",
    "robustness_radius",
    "Radius",
    "decision_boundary",
    "DecisionBoundary",
    "integrated_gradients",
    "linear_explanation",
    "LinearExplanation",
    "prove_units",
    "UnitUse",
    "simplify",
    "Simplified",
    "level_set_topology",
    "sublevel_topology",
    "decision_topology",
    "Topology",
    "dual_graph",
    "DualGraph",
    "lipschitz_constant",
    "region_lipschitz",
    "lipschitz_bounds",
    "LipschitzBounds",
    "output_bounds",
    "check_property",
    "PropertyCheck",
    "region_bounds",
    "RegionBounds",
    "max_affine_form",
    "MaxAffine",
    "power_diagram",
    "PowerCells",
    "centroids",
    "tropical_form",
    "TropicalForm",
    "Signomial",
    "newton_polytope",
    "upper_hull",
    "zonotope",
    "hoffman_constant",
    "effective_radius",
    "radius_bound",
    "region_volumes",
    "Volumes",
    "plot_regions",
    "plot_regions_3d",
    "plot_decision_boundary",
    "plot_dual_graph",
    "plot_region_bounds",
    "plot_complexity_map",
    "plot_complexity_histogram",
    "plot_complexity_training",
    "Exact",
    "Bound",
    "Estimate",
    "Missing",
    "audit",
    "ModelFile",
    "Scope",
    "Data",
    "Requirements",
    "AuditBudget",
    "Audit",
    "errors",
]

_LAZY = {  # public names whose modules are loaded when first used
    "local_complexity": "polytope.measures.local_complexity.count",
    "LocalComplexity": "polytope.measures.local_complexity.count",
    "exact_local_complexity": "polytope.measures.local_complexity.neighbourhood",
    "ExactComplexity": "polytope.measures.local_complexity.neighbourhood",
    "ComplexityRecorder": "polytope.measures.local_complexity.training",
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
    "plot_complexity_map": "polytope.plots.complexity",
    "plot_complexity_histogram": "polytope.plots.complexity",
    "plot_complexity_training": "polytope.plots.complexity",
    "plot_regions": "polytope.plots.regions",
    "plot_regions_3d": "polytope.plots.solid",
    "plot_decision_boundary": "polytope.plots.regions",
    "plot_dual_graph": "polytope.plots.graph",
    "plot_region_bounds": "polytope.plots.graph",
    "audit": "polytope.report.audit",
    "Audit": "polytope.report.audit",
    **dict.fromkeys(("AuditBudget", "Data", "ModelFile", "Requirements"), "polytope.report.asked"),
    "Scope": "polytope.report.scope",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'polytope' has no attribute {name!r}")
