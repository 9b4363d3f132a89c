r"""Affine pieces up to symmetry, for functions that are symmetric while their units are not.

The group maps the affine map (J, c) of a piece to
:math:`(\rho_{out}(g) J \rho_{in}(g)^{-1}, \rho_{out}(g) c)`, so the pieces that meet a fundamental domain and
their images are all there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.engines.engine import Engine
from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.certify import EquivarianceCertificate, certify_equivariance
from polytope.equivariant.symmetry.domains import fundamental_domain, require_invariant
from polytope.errors import SymmetryError
from polytope.exact.residues import Residues, enough_primes
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_domain, as_network
from polytope.ir.components import connected_components
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


@dataclass(frozen=True, eq=False)
class SymmetricPieces:
    """The affine pieces of an equivariant function.

    Arguments:
        n_pieces: number of distinct affine maps in the whole domain.
        exact: whether maps were compared in exact arithmetic, and the function proved to be equivariant
            without a defect; otherwise maps and function count as equal up to the tolerance.
        part: the activation regions that meet the fundamental domain.
        certificate: the proof that the function is equivariant.
    """

    n_pieces: int
    exact: bool
    part: RegionComplex
    certificate: EquivarianceCertificate


def pieces_up_to_symmetry(
    network: NetworkLike,
    rho_in: Representation,
    rho_out: Representation,
    domain: DomainLike,
    engine: Engine | None = None,
    *,
    tolerance: float = 2.0**-36,
) -> SymmetricPieces:
    """The number of distinct affine maps of a function that is proved to be equivariant.

    Where the group permutes coordinates up to signs and the defect is 0, maps and their images are compared
    in exact arithmetic. Other matrices are rounded, and so are images; a function with a defect has more maps
    than images of those in a fundamental domain.

    Arguments:
        network: f; its units need not follow the group, as ``enumerate_up_to_symmetry`` asks of them.
        rho_in, rho_out: actions of one group on inputs and outputs.
        domain: bounded, and preserved by the group.
        engine: as for ``enumerate_regions``.
        tolerance: largest defect of the function, and largest difference of two equal maps where the result
            is not exact, relative to the largest entry.

    Returns:
        The number, whether it is exact, and the regions and the certificate that it rests on.

    Raises:
        ValueError: dimensions or groups differ, or the group does not preserve the domain.
        SymmetryError: the function is not equivariant; the message says where and by how much.
    """
    network = as_network(network)
    domain = as_domain(domain, network.input_dim)
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
    signed = rho_in.is_signed_permutation and rho_out.is_signed_permutation
    exact = signed and not proof.max_error.any()
    if exact:
        count = len(np.unique(_residue_images(part, rho_in, rho_out), axis=0))
    else:
        count = _nearly_distinct(
            _images(np.concatenate([J, c[:, :, None]], axis=2), rho_in, rho_out), tolerance
        )
    return SymmetricPieces(count, exact, part, proof)


def _images(maps: FloatArray, rho_in: Representation, rho_out: Representation) -> FloatArray:
    """The images of maps ``(J, c) [R, out, d + 1]`` under all elements, ``[G * R, out * (d + 1)]``."""
    inverse = rho_in.matrices[rho_in.group.inverse]
    images = []
    for out, back in zip(rho_out.matrices, inverse, strict=True):
        moved = out @ maps
        moved[:, :, :-1] = moved[:, :, :-1] @ back
        images.append(moved.reshape(len(maps), -1))
    return np.concatenate(images)


def _residue_images(part: RegionComplex, rho_in: Representation, rho_out: Representation) -> IntArray:
    """The images of the regions' maps modulo enough primes, under coordinates exchanged up to signs."""
    moduli = [Residues(part.network, p) for p in enough_primes(part.network)]
    every = np.eye(part.network.output_dim)
    rows = [_images(m.rows(part.patterns, every).astype(float), rho_in, rho_out) % m.prime for m in moduli]
    return np.concatenate(rows, axis=1).astype(np.int64)


def _nearly_distinct(maps: FloatArray, tolerance: float) -> int:
    """The number of different maps, up to ``tolerance`` times the largest entry of each."""
    if not len(maps):
        return 0
    maps = np.unique(maps, axis=0)
    size = np.abs(maps).max(axis=1)
    direction = np.random.default_rng(0).standard_normal(maps.shape[1])
    # equal maps have equal sizes, so equal shadows after scaling: only neighbours in this order can agree
    shadow = maps @ direction / np.where(size > 0, size, 1.0)
    width = 2 * tolerance * float(np.abs(direction).sum())
    order = np.argsort(shadow)
    pairs = [np.zeros((0, 2), np.int64)]
    for step in range(1, len(maps)):
        near = np.flatnonzero(shadow[order[step:]] - shadow[order[:-step]] <= width)
        if not len(near):
            break
        pairs.append(np.stack([order[near], order[near + step]], axis=1))
    a, b = np.concatenate(pairs).T
    same = np.abs(maps[a] - maps[b]).max(axis=1, initial=0.0) <= tolerance * np.maximum(size[a], size[b])
    return connected_components(np.stack([a[same], b[same]], axis=1), len(maps))[0]
