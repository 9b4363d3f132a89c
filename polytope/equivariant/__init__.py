"""Symmetric networks: groups and their actions, proofs of equivariance, and enumeration up to symmetry.

Layers need torch and are loaded when first used; everything else is numpy. All actions are left actions.
"""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "FiniteGroup": "polytope.equivariant.groups.tables",
    "cyclic": "polytope.equivariant.groups.tables",
    "dihedral": "polytope.equivariant.groups.tables",
    "symmetric": "polytope.equivariant.groups.tables",
    "icosahedral": "polytope.equivariant.groups.tables",
    "direct_product": "polytope.equivariant.groups.tables",
    "from_permutations": "polytope.equivariant.groups.tables",
    "generate": "polytope.equivariant.groups.tables",
    "Representation": "polytope.equivariant.groups.representations",
    "trivial": "polytope.equivariant.groups.representations",
    "regular": "polytope.equivariant.groups.representations",
    "permutation": "polytope.equivariant.groups.representations",
    "rotation2d": "polytope.equivariant.groups.representations",
    "rotation3d": "polytope.equivariant.groups.representations",
    "image_grid": "polytope.equivariant.groups.representations",
    "feature_grid": "polytope.equivariant.groups.representations",
    "direct_sum": "polytope.equivariant.groups.representations",
    "tensor_product": "polytope.equivariant.groups.representations",
    "intertwiner_basis": "polytope.equivariant.groups.representations",
    "equivariance_error": "polytope.equivariant.symmetry.defect",
    "certify_equivariance": "polytope.equivariant.symmetry.certify",
    "EquivarianceCertificate": "polytope.equivariant.symmetry.certify",
    "region_equivariance": "polytope.equivariant.symmetry.defect",
    "defect": "polytope.equivariant.symmetry.defect",
    "layerwise_symmetry": "polytope.equivariant.symmetry.layerwise",
    "LayerwiseAction": "polytope.equivariant.symmetry.layerwise",
    "input_symmetry_group": "polytope.equivariant.symmetry.discovery",
    "output_representation": "polytope.equivariant.symmetry.discovery",
    "fundamental_domain": "polytope.equivariant.symmetry.domains",
    "invariant_part": "polytope.equivariant.symmetry.domains",
    "enumerate_up_to_symmetry": "polytope.equivariant.symmetry.symmetric_complex",
    "SymmetricComplex": "polytope.equivariant.symmetry.symmetric_complex",
    "symmetrised": "polytope.equivariant.symmetry.symmetrised",
    "Symmetrised": "polytope.equivariant.symmetry.symmetrised",
    "region_action": "polytope.equivariant.symmetry.orbits",
    "orbits": "polytope.equivariant.symmetry.orbits",
    "Orbits": "polytope.equivariant.symmetry.orbits",
    "burnside_count": "polytope.equivariant.symmetry.orbits",
    "rotation_matrix": "polytope.equivariant.spherical.wigner",
    "euler_angles": "polytope.equivariant.spherical.wigner",
    "WignerD": "polytope.equivariant.spherical.wigner",
    "spherical_harmonics": "polytope.equivariant.spherical.harmonics",
    "group_harmonics": "polytope.equivariant.spherical.harmonics",
    "sphere_action": "polytope.equivariant.spherical.harmonics",
    "group_action": "polytope.equivariant.spherical.harmonics",
    "polar_quadrature": "polytope.equivariant.spherical.harmonics",
    "near_identity": "polytope.equivariant.spherical.harmonics",
    "random_rotations": "polytope.equivariant.spherical.images",
    "spherical_segmentation": "polytope.equivariant.spherical.images",
    "SphericalHarmonicTransform": "polytope.equivariant.spherical.transforms",
    "SO3FourierTransform": "polytope.equivariant.spherical.transforms",
    "S2Conv": "polytope.equivariant.spherical.layers",
    "SO3Conv": "polytope.equivariant.spherical.layers",
    "SO3ToS2": "polytope.equivariant.spherical.layers",
    "SO3Integrate": "polytope.equivariant.spherical.layers",
    "TangentBundle": "polytope.equivariant.gauge.mesh",
    "order_rotation": "polytope.equivariant.gauge.kernels",
    "gauge_transform": "polytope.equivariant.gauge.kernels",
    "kernel_basis": "polytope.equivariant.gauge.kernels",
    "self_basis": "polytope.equivariant.gauge.kernels",
    "GaugeConv": "polytope.equivariant.gauge.layers",
    "RegularNonlinearity": "polytope.equivariant.gauge.layers",
    "LatticeGaugeConv": "polytope.equivariant.gauge.lattice",
    "transform_links": "polytope.equivariant.gauge.lattice",
    "plaquettes": "polytope.equivariant.gauge.lattice",
    "lower": "polytope.equivariant.lowering",
    "pieces_up_to_symmetry": "polytope.equivariant.symmetry.pieces",
    "SymmetricPieces": "polytope.equivariant.symmetry.pieces",
    "LiftingConv2d": "polytope.equivariant.layers",
    "GroupConv2d": "polytope.equivariant.layers",
    "GroupPool": "polytope.equivariant.layers",
    "SetLinear": "polytope.equivariant.layers",
    "DeepSets": "polytope.equivariant.layers",
    "GraphConv": "polytope.equivariant.graphs",
    "graph_automorphisms": "polytope.equivariant.graphs",
}

if TYPE_CHECKING:
    from polytope.equivariant.gauge.kernels import gauge_transform as gauge_transform
    from polytope.equivariant.gauge.kernels import kernel_basis as kernel_basis
    from polytope.equivariant.gauge.kernels import order_rotation as order_rotation
    from polytope.equivariant.gauge.kernels import self_basis as self_basis
    from polytope.equivariant.gauge.lattice import LatticeGaugeConv as LatticeGaugeConv
    from polytope.equivariant.gauge.lattice import plaquettes as plaquettes
    from polytope.equivariant.gauge.lattice import transform_links as transform_links
    from polytope.equivariant.gauge.layers import GaugeConv as GaugeConv
    from polytope.equivariant.gauge.layers import RegularNonlinearity as RegularNonlinearity
    from polytope.equivariant.gauge.mesh import TangentBundle as TangentBundle
    from polytope.equivariant.graphs import GraphConv as GraphConv
    from polytope.equivariant.graphs import graph_automorphisms as graph_automorphisms
    from polytope.equivariant.groups.representations import Representation as Representation
    from polytope.equivariant.groups.representations import direct_sum as direct_sum
    from polytope.equivariant.groups.representations import feature_grid as feature_grid
    from polytope.equivariant.groups.representations import image_grid as image_grid
    from polytope.equivariant.groups.representations import intertwiner_basis as intertwiner_basis
    from polytope.equivariant.groups.representations import permutation as permutation
    from polytope.equivariant.groups.representations import regular as regular
    from polytope.equivariant.groups.representations import rotation2d as rotation2d
    from polytope.equivariant.groups.representations import rotation3d as rotation3d
    from polytope.equivariant.groups.representations import tensor_product as tensor_product
    from polytope.equivariant.groups.representations import trivial as trivial
    from polytope.equivariant.groups.tables import FiniteGroup as FiniteGroup
    from polytope.equivariant.groups.tables import cyclic as cyclic
    from polytope.equivariant.groups.tables import dihedral as dihedral
    from polytope.equivariant.groups.tables import direct_product as direct_product
    from polytope.equivariant.groups.tables import from_permutations as from_permutations
    from polytope.equivariant.groups.tables import generate as generate
    from polytope.equivariant.groups.tables import icosahedral as icosahedral
    from polytope.equivariant.groups.tables import symmetric as symmetric
    from polytope.equivariant.layers import DeepSets as DeepSets
    from polytope.equivariant.layers import GroupConv2d as GroupConv2d
    from polytope.equivariant.layers import GroupPool as GroupPool
    from polytope.equivariant.layers import LiftingConv2d as LiftingConv2d
    from polytope.equivariant.layers import SetLinear as SetLinear
    from polytope.equivariant.lowering import lower as lower
    from polytope.equivariant.spherical.harmonics import group_action as group_action
    from polytope.equivariant.spherical.harmonics import group_harmonics as group_harmonics
    from polytope.equivariant.spherical.harmonics import near_identity as near_identity
    from polytope.equivariant.spherical.harmonics import polar_quadrature as polar_quadrature
    from polytope.equivariant.spherical.harmonics import sphere_action as sphere_action
    from polytope.equivariant.spherical.harmonics import spherical_harmonics as spherical_harmonics
    from polytope.equivariant.spherical.images import random_rotations as random_rotations
    from polytope.equivariant.spherical.images import spherical_segmentation as spherical_segmentation
    from polytope.equivariant.spherical.layers import S2Conv as S2Conv
    from polytope.equivariant.spherical.layers import SO3Conv as SO3Conv
    from polytope.equivariant.spherical.layers import SO3Integrate as SO3Integrate
    from polytope.equivariant.spherical.layers import SO3ToS2 as SO3ToS2
    from polytope.equivariant.spherical.transforms import SO3FourierTransform as SO3FourierTransform
    from polytope.equivariant.spherical.transforms import (
        SphericalHarmonicTransform as SphericalHarmonicTransform,
    )
    from polytope.equivariant.spherical.wigner import WignerD as WignerD
    from polytope.equivariant.spherical.wigner import euler_angles as euler_angles
    from polytope.equivariant.spherical.wigner import rotation_matrix as rotation_matrix
    from polytope.equivariant.symmetry.certify import EquivarianceCertificate as EquivarianceCertificate
    from polytope.equivariant.symmetry.certify import certify_equivariance as certify_equivariance
    from polytope.equivariant.symmetry.defect import defect as defect
    from polytope.equivariant.symmetry.defect import equivariance_error as equivariance_error
    from polytope.equivariant.symmetry.defect import region_equivariance as region_equivariance
    from polytope.equivariant.symmetry.discovery import input_symmetry_group as input_symmetry_group
    from polytope.equivariant.symmetry.discovery import output_representation as output_representation
    from polytope.equivariant.symmetry.domains import fundamental_domain as fundamental_domain
    from polytope.equivariant.symmetry.domains import invariant_part as invariant_part
    from polytope.equivariant.symmetry.layerwise import LayerwiseAction as LayerwiseAction
    from polytope.equivariant.symmetry.layerwise import layerwise_symmetry as layerwise_symmetry
    from polytope.equivariant.symmetry.orbits import Orbits as Orbits
    from polytope.equivariant.symmetry.orbits import burnside_count as burnside_count
    from polytope.equivariant.symmetry.orbits import orbits as orbits
    from polytope.equivariant.symmetry.orbits import region_action as region_action
    from polytope.equivariant.symmetry.pieces import SymmetricPieces as SymmetricPieces
    from polytope.equivariant.symmetry.pieces import pieces_up_to_symmetry as pieces_up_to_symmetry
    from polytope.equivariant.symmetry.symmetric_complex import SymmetricComplex as SymmetricComplex
    from polytope.equivariant.symmetry.symmetric_complex import (
        enumerate_up_to_symmetry as enumerate_up_to_symmetry,
    )
    from polytope.equivariant.symmetry.symmetrised import Symmetrised as Symmetrised
    from polytope.equivariant.symmetry.symmetrised import symmetrised as symmetrised
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
