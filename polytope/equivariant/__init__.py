"""Symmetric networks: groups and their actions, proofs of equivariance, and enumeration up to symmetry.

Layers need torch and are loaded when first used; everything else is numpy. All actions are left actions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polytope.equivariant.domains import (
    fundamental_domain,
    invariant_part,
)
from polytope.equivariant.groups import (
    FiniteGroup,
    cyclic,
    dihedral,
    direct_product,
    from_permutations,
    generate,
    icosahedral,
    symmetric,
)
from polytope.equivariant.layerwise import (
    LayerwiseAction,
    layerwise_symmetry,
)
from polytope.equivariant.orbits import (
    Orbits,
    burnside_count,
    orbits,
    region_action,
)
from polytope.equivariant.representations import (
    Representation,
    direct_sum,
    image_grid,
    intertwiner_basis,
    permutation,
    regular,
    rotation2d,
    rotation3d,
    trivial,
)
from polytope.equivariant.symmetric_complex import (
    SymmetricComplex,
    enumerate_up_to_symmetry,
)

if TYPE_CHECKING:
    pass

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
    "direct_sum",
    "intertwiner_basis",
    "layerwise_symmetry",
    "LayerwiseAction",
    "fundamental_domain",
    "invariant_part",
    "enumerate_up_to_symmetry",
    "SymmetricComplex",
    "region_action",
    "orbits",
    "Orbits",
    "burnside_count",
]

_LAZY: dict[str, str] = {  # public names whose modules load torch
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'polytope.equivariant' has no attribute {name!r}")
