r"""Preimages: the inputs that a network maps into a polytope of outputs, as polytopes with their volumes.

The rows :math:`A f(x) \le b` become units behind the network, so that the exact search cuts its cells where
one of them changes its sign. Cells on which bounds show that some row is violated throughout are not entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polytope.core.ceiling import Ceiling
from polytope.core.result import Facets, Keep, SearchResult
from polytope.core.vertex_cells import VertexCells, explore, suits_vertices
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.engines.layer_split import LayerSplit
from polytope.exact.cells import ExactCells
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_domain, as_problem
from polytope.ir import Dense, Layer, Network, relu
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.cell_volumes import cell_volumes
from polytope.regions.complex import RegionComplex


@dataclass(frozen=True, eq=False)
class Preimage:
    """The inputs in a domain that a network maps into a polytope of outputs.

    Arguments:
        regions: the parts of the network's regions that belong to it, as regions of the network with one
            more unit for each row of ``outputs``, behind its own, that is off. Of such regions these are
            some, so the complex is a partial one; of the preimage they are all, where ``complete``.
        outputs: the polytope ``A y <= b``.
        volumes: ``[R]``, of the parts, in float64.
        volume_errors: ``[R]``, proved bounds on their errors.
        complete: whether these are all parts of the preimage that have interior.
        left_out: cells that were not entered, since no input in them is in the preimage.
    """

    regions: RegionComplex
    outputs: Polyhedron
    volumes: FloatArray
    volume_errors: FloatArray
    complete: bool
    left_out: int

    def __repr__(self) -> str:
        end = "" if self.complete else ", not all"
        return f"Preimage({len(self):,} parts of regions{end}, volume {self.volume:.6g})"

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def volume(self) -> float:
        """The volume of all parts, off by at most the sum of ``volume_errors`` and its own rounding."""
        return float(self.volumes.sum())


def preimage(
    network: NetworkLike,
    domain: DomainLike,
    outputs: DomainLike,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Preimage:
    r"""The set :math:`\{x \in D : A f(x) \le b\}` as a union of polytopes, one for each region that it meets.

    **Exact** which parts of regions it has, up to parts without interior: where the set only touches a
    region, or the domain, nothing is listed. In bounded domains of up to six dimensions cells that cannot
    meet it are left out of the search; in others all regions are looked at, and volumes are rational, slow.

    Arguments:
        network: the network.
        domain: D, with interior.
        outputs: the polytope, or a box; it may be unbounded.
        max_regions: budget, in regions of the domain that are looked at.
        max_seconds: budget.

    Raises:
        ValueError: the domain or the polytope does not fit the network, or a budget is not positive.
        EmptyDomainError: the domain has no interior.
        UnboundedDomainError: a part of the preimage is unbounded, and has no volume.

    References: Kotha, Brix, Kolter, Dvijotham, Zhang (2023), "Provably Bounding Neural Network Preimages"
        (bounds of such sets), https://arxiv.org/abs/2302.01404

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> found = preimage(net, pt.Polyhedron.box([-2], [2]), pt.Polyhedron.box([0.5], [1]))
        >>> sorted(region.vertices().ravel().tolist() for region in found.regions), found.volume
        ([[-1.0, -0.5], [0.5, 1.0]], 1.0)
    """
    network, domain = as_problem(network, domain)
    outputs = _of_outputs(outputs, network.output_dim)
    budget = Budget(max_regions, max_seconds)
    behind = with_conditions(network, outputs.A, outputs.b)
    k = len(outputs.b)
    found = cells_meeting(behind, domain, [list(range(k))] if k else (), budget, keep="vertices")
    inside = np.flatnonzero((found.patterns[:, network.n_units :] == 0).all(axis=1))
    shown = with_outputs(behind, len(network.layers))
    regions = RegionComplex(shown, domain, _some(found, inside, shown), budget.seconds)
    volumes, errors = _volumes(found, inside, behind, regions)
    left_out = int(found.statistics.get("cells_left_out", 0))
    return Preimage(regions, outputs, volumes, errors, not found.open_bound, left_out)


def _of_outputs(given: DomainLike, k: int) -> Polyhedron:
    """The polytope, or box, of k outputs."""
    outputs = as_domain(given, None if isinstance(given, Polyhedron) else k, "outputs")
    if outputs.dim != k:
        raise ValueError(
            f"preimage: the polytope of outputs has {outputs.dim} dimensions; the network has {k} outputs."
        )
    return outputs


def cells_meeting(
    behind: Network, domain: Polyhedron, cases: Sequence[Sequence[int]], budget: Budget, *, keep: Keep
) -> SearchResult:
    """The cells in which units of the last layer may be off; beyond few dimensions, or unbounded, all cells.

    Arguments:
        behind: a network, and units behind it (``with_conditions``).
        domain: where to look.
        cases: units of the last layer: cells where one of each case is on throughout may be left out.
        budget: of the search.
        keep: what is kept of cells that have vertices.
    """
    if not suits_vertices(domain):
        return LayerSplit().search(behind, domain, budget=budget, keep="cells", progress=None)
    return explore(behind, domain, keep=keep, max_regions=budget.max_regions, limits=budget, cases=cases)


def with_conditions(network: Network, A: FloatArray, b: FloatArray) -> Network:
    """The network with one more layer, the units of which are off where ``A f(x) <= b``."""
    layer = Layer((len(network.layers),), (Dense(A),), -b, relu())
    return replace(network, layers=(*network.layers, layer), output_names=("conditions",))


def with_outputs(network: Network, number: int) -> Network:
    """The network with the values of a layer as its outputs, which are not bent again."""
    width = network.layers[number - 1].width
    last = Layer((number,), (Dense(np.eye(width)),), np.zeros(width))
    return replace(network, layers=(*network.layers, last), output_names=("output",))


def _some(found: SearchResult, which: IntArray, network: Network) -> SearchResult:
    """Some of the regions that a search found, of at most as many as the network can have."""
    ceiling = Ceiling(network, network.input_dim).whole
    facets = found.facets
    if facets is not None:
        facets = _facets_of(facets, which)
    return SearchResult(
        engine=found.engine,
        n_regions=len(which),
        open_bound=max(ceiling - len(which), 1),
        kept_patterns=found.patterns[which],
        interior_points=found.interior_points[which],
        facets=facets,
        statistics=found.statistics,
    )


def _facets_of(facets: Facets, which: IntArray) -> Facets:
    """The facets of some regions, in their order."""
    sizes = np.diff(facets.offsets)[which]
    begins = np.repeat(facets.offsets[which], sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    places = begins + np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    key = None if facets.key is None else facets.key[places]
    return Facets(offsets, facets.unit[places], key=key)


def _volumes(
    found: SearchResult, which: IntArray, network: Network, regions: RegionComplex
) -> tuple[FloatArray, FloatArray]:
    """Volumes of some of the regions that a search found, and bounds on their errors."""
    if isinstance(found, VertexCells) and len(found.vertices.points):
        sizes, errors = cell_volumes(found, ExactCells(network, regions.domain.rows, regions.domain.b))
        return sizes[which], errors[which]
    return regions.proved_volumes()
