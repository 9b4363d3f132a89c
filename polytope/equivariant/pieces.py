r"""Affine pieces up to symmetry, for functions that are symmetric while their units are not.

The group maps the affine map (J, c) of a piece to
:math:`(\rho_{out}(g) J \rho_{in}(g)^{-1}, \rho_{out}(g) c)`, so the pieces that meet a fundamental domain and
their images are all there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.equivariant.certify import EquivarianceCertificate, certify_equivariance
from polytope.equivariant.domains import fundamental_domain, require_invariant
from polytope.equivariant.representations import Representation
from polytope.errors import SymmetryError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.regions.complex import RegionComplex
from polytope.regions.enumerate import enumerate_regions
from polytope.regions.found import Engine
from polytope.regions.merge import distinct


@dataclass(frozen=True, eq=False)
class SymmetricPieces:
    """The affine pieces of an equivariant function.

    Arguments:
        n_pieces: number of distinct affine maps in the whole domain.
        part: the activation regions that meet the fundamental domain.
        certificate: the proof that the function is equivariant.
    """

    n_pieces: int
    part: RegionComplex
    certificate: EquivarianceCertificate


def pieces_up_to_symmetry(
    network: Network,
    rho_in: Representation,
    rho_out: Representation,
    domain: Polyhedron,
    engine: Engine | None = None,
    *,
    tolerance: float = 2.0**-36,
) -> SymmetricPieces:
    """The number of distinct affine maps of a function that is proved to be equivariant.

    Arguments:
        network: f; its units need not follow the group, as ``enumerate_up_to_symmetry`` asks of them.
        rho_in, rho_out: actions of one group on inputs and outputs.
        domain: bounded, and preserved by the group.
        engine: as for ``enumerate_regions``.
        tolerance: largest difference of two equal maps, and largest defect, relative to their largest entry.

    Raises:
        ValueError: dimensions or groups differ, or the group does not preserve the domain.
        SymmetryError: the function is not equivariant; the message says where and by how much.
    """
    require_invariant(domain, rho_in)
    proof = certify_equivariance(network, rho_in, rho_out, domain, max_regions=None)
    F = fundamental_domain(rho_in)
    inner = Polyhedron(np.concatenate([domain.A, F.A]), np.concatenate([domain.b, F.b]))
    part = enumerate_regions(network, inner, engine)
    part.require_complete("The number of pieces")
    J, c = network.affine(part.patterns)
    size = float(max(np.abs(J).max(initial=0.0), np.abs(c).max(initial=0.0)))
    worst = int(proof.max_error.argmax())
    if not proof.max_error[worst] <= tolerance * max(size, np.finfo(float).tiny):
        raise SymmetryError(
            f"The function is not equivariant: element {worst} has a defect of {proof.max_error[worst]:.3g} "
            f"at {proof.witness[worst].tolist()}."
        )
    maps = np.concatenate([J, c[:, :, None]], axis=2)
    inverse = rho_in.matrices[rho_in.group.inverse]
    images = []
    for out, back in zip(rho_out.matrices, inverse, strict=True):
        moved = out @ maps
        moved[:, :, :-1] = moved[:, :, :-1] @ back
        images.append(moved.reshape(len(maps), -1))
    return SymmetricPieces(distinct(np.concatenate(images), tolerance), part, proof)
