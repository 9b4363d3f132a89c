"""Symmetric networks: groups and their actions, proofs of equivariance, and enumeration up to symmetry.

Layers need torch and are loaded when first used; everything else is numpy. All actions are left actions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polytope.equivariant.gauge.kernels import gauge_transform, kernel_basis, order_rotation, self_basis
from polytope.equivariant.gauge.mesh import TangentBundle
from polytope.equivariant.groups.representations import (
    Representation,
    direct_sum,
    feature_grid,
    image_grid,
    intertwiner_basis,
    permutation,
    regular,
    rotation2d,
    rotation3d,
    tensor_product,
    trivial,
)
from polytope.equivariant.groups.tables import (
    FiniteGroup,
    cyclic,
    dihedral,
    direct_product,
    from_permutations,
    generate,
    icosahedral,
    symmetric,
)
from polytope.equivariant.spherical.harmonics import (
    group_action,
    group_harmonics,
    near_identity,
    polar_quadrature,
    sphere_action,
    spherical_harmonics,
)
from polytope.equivariant.spherical.images import random_rotations, spherical_segmentation
from polytope.equivariant.spherical.wigner import WignerD, euler_angles, rotation_matrix
from polytope.equivariant.symmetry.certify import (
    EquivarianceCertificate,
    certify_equivariance,
)
from polytope.equivariant.symmetry.defect import (
    defect,
    equivariance_error,
    region_equivariance,
)
from polytope.equivariant.symmetry.discovery import (
    input_symmetry_group,
    output_representation,
)
from polytope.equivariant.symmetry.domains import (
    fundamental_domain,
    invariant_part,
)
from polytope.equivariant.symmetry.layerwise import (
    LayerwiseAction,
    layerwise_symmetry,
)
from polytope.equivariant.symmetry.orbits import (
    Orbits,
    burnside_count,
    orbits,
    region_action,
)
from polytope.equivariant.symmetry.pieces import (
    SymmetricPieces,
    pieces_up_to_symmetry,
)
from polytope.equivariant.symmetry.symmetric_complex import (
    SymmetricComplex,
    enumerate_up_to_symmetry,
)

if TYPE_CHECKING:
    from polytope.equivariant.gauge.lattice import LatticeGaugeConv, plaquettes, transform_links
    from polytope.equivariant.gauge.layers import GaugeConv, RegularNonlinearity
    from polytope.equivariant.layers import (
        DeepSets,
        GroupConv2d,
        GroupPool,
        LiftingConv2d,
        SetLinear,
    )
    from polytope.equivariant.lowering import lower
    from polytope.equivariant.spherical.layers import S2Conv, SO3Conv, SO3Integrate, SO3ToS2
    from polytope.equivariant.spherical.transforms import SO3FourierTransform, SphericalHarmonicTransform

__all__ = [  # noqa: RUF022
    "FiniteGroup",
    "cyclic",
    "dihedral",
    "symmetric",
    "icosahedral",
    "direct_product",
    "from_permutations",
    "generate",
    "Representation",
    "trivial",
    "regular",
    "permutation",
    "rotation2d",
    "rotation3d",
    "image_grid",
    "feature_grid",
    "direct_sum",
    "tensor_product",
    "intertwiner_basis",
    "equivariance_error",
    "certify_equivariance",
    "EquivarianceCertificate",
    "region_equivariance",
    "defect",
    "layerwise_symmetry",
    "LayerwiseAction",
    "input_symmetry_group",
    "output_representation",
    "fundamental_domain",
    "invariant_part",
    "enumerate_up_to_symmetry",
    "SymmetricComplex",
    "region_action",
    "orbits",
    "Orbits",
    "burnside_count",
    "rotation_matrix",
    "euler_angles",
    "WignerD",
    "spherical_harmonics",
    "group_harmonics",
    "sphere_action",
    "group_action",
    "polar_quadrature",
    "near_identity",
    "random_rotations",
    "spherical_segmentation",
    "SphericalHarmonicTransform",
    "SO3FourierTransform",
    "S2Conv",
    "SO3Conv",
    "SO3ToS2",
    "SO3Integrate",
    "TangentBundle",
    "order_rotation",
    "gauge_transform",
    "kernel_basis",
    "self_basis",
    "GaugeConv",
    "RegularNonlinearity",
    "LatticeGaugeConv",
    "transform_links",
    "plaquettes",
    "lower",
    "pieces_up_to_symmetry",
    "SymmetricPieces",
    "LiftingConv2d",
    "GroupConv2d",
    "GroupPool",
    "SetLinear",
    "DeepSets",
]

_LAZY: dict[str, str] = {  # public names whose modules load torch
    "SphericalHarmonicTransform": "polytope.equivariant.spherical.transforms",
    "SO3FourierTransform": "polytope.equivariant.spherical.transforms",
    "S2Conv": "polytope.equivariant.spherical.layers",
    "SO3Conv": "polytope.equivariant.spherical.layers",
    "SO3ToS2": "polytope.equivariant.spherical.layers",
    "SO3Integrate": "polytope.equivariant.spherical.layers",
    "GaugeConv": "polytope.equivariant.gauge.layers",
    "RegularNonlinearity": "polytope.equivariant.gauge.layers",
    "LatticeGaugeConv": "polytope.equivariant.gauge.lattice",
    "transform_links": "polytope.equivariant.gauge.lattice",
    "plaquettes": "polytope.equivariant.gauge.lattice",
    "lower": "polytope.equivariant.lowering",
    "LiftingConv2d": "polytope.equivariant.layers",
    "GroupConv2d": "polytope.equivariant.layers",
    "GroupPool": "polytope.equivariant.layers",
    "SetLinear": "polytope.equivariant.layers",
    "DeepSets": "polytope.equivariant.layers",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'polytope.equivariant' has no attribute {name!r}")
