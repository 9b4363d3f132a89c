"""Networks and domains for cells by their vertices, and the comparison with LP cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from polytope import LayerSplit, Network, Polyhedron, enumerate_regions
from polytope.core.vertex_cells import VertexCells, explore
from polytope.ir import Activation, absolute, clip, hard_tanh, leaky_relu, relu
from tests.networks import integer, seeded

KINDS: list[Activation] = [
    relu(),
    leaky_relu(0.1),
    absolute(),
    hard_tanh(),
    clip(-0.5, np.inf),
    clip(-1, 2),
]


def edges_by_pattern(patterns: np.ndarray, edges: np.ndarray) -> set[frozenset[bytes]]:
    names = [p.tobytes() for p in patterns]
    return {frozenset((names[i], names[j])) for i, j in edges}


def assert_same_as_lp_cells(network: Network, domain: Polyhedron) -> VertexCells:
    found = explore(network, domain, keep="vertices")
    edges = found.pairs()
    reference = enumerate_regions(network, domain, LayerSplit(cells="lp", solver="highs"))
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in reference.patterns}
    assert found.n_regions == len(reference)
    assert explore(network, domain).n_regions == len(reference)
    theirs = np.array(list(reference.adjacency().edges), dtype=int).reshape(-1, 2)
    assert edges_by_pattern(found.patterns, edges) == edges_by_pattern(reference.patterns, theirs)
    assert_same_cells(found, explore(network, domain, keep="cells"))
    return found


def assert_same_cells(one: VertexCells, two: VertexCells) -> None:
    """Patterns, neighbours, and the units and keys of each region's facets."""
    assert edges_by_pattern(one.patterns, one.pairs()) == edges_by_pattern(two.patterns, two.pairs())
    assert facets_by_pattern(one) == facets_by_pattern(two)


def facets_by_pattern(found: VertexCells) -> dict[bytes, list[tuple[int, int]]]:
    facets = list(zip(found.facets.unit.tolist(), found.facets.key.tolist(), strict=True))
    spans = pairwise(found.facets.offsets.tolist())
    return {p.tobytes(): sorted(facets[i:j]) for p, (i, j) in zip(found.patterns, spans, strict=True)}


def random_case(seed: int) -> tuple[Network, Polyhedron]:
    """A small network of any kind, more often than not degenerate, in a box or in a polytope."""
    rng = np.random.default_rng(seed)
    d, depth = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    widths = [d, *(int(rng.integers(2, 6 if d < 4 else 5)) for _ in range(depth)), 1]
    kind = KINDS[int(rng.integers(len(KINDS)))]
    network = (integer if rng.random() < 0.6 else seeded)(seed, *widths, activation=kind)
    if rng.random() < 0.5:
        return network, Polyhedron.box([-1] * d, [1] * d)
    rows = rng.integers(-2, 3, (2 * d, d))
    rows = rows[np.abs(rows).sum(axis=1) > 0]
    A = np.concatenate([np.eye(d), -np.eye(d), rows])
    return network, Polyhedron(A, np.concatenate([np.full(2 * d, 2.0), rng.integers(1, 3, len(rows))]))
