"""Decision boundaries of several classes: hand-worked shapes, and a law in the plane."""

import networkx as nx
import numpy as np
import pytest

import polytope as pt
from polytope.errors import IncompleteComplexError, UnboundedDomainError
from tests.networks import box, diamond, seeded


def classes(network: pt.Network, size: float) -> pt.Topology:
    return pt.decision_topology(pt.enumerate_regions(network, box(network.input_dim, size)))


def in_a_diamond(d: int) -> pt.Network:
    """Class 0 inside ``|x|_1 < 1``; outside, class 1 where the first coordinate is positive, else class 2."""
    split = np.zeros((2, 2 * d))
    split[0, 0], split[1, d] = 1.0, 1.0
    W = np.concatenate([np.eye(d), -np.eye(d)])
    rows = np.concatenate([-np.ones((1, 2 * d)), split])
    return pt.mlp([(W, np.zeros(2 * d)), (rows, [1.0, 0.0, 0.0])])


@pytest.mark.parametrize(
    ("network", "betti"),
    [
        (pt.mlp([([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]], [0.0] * 3)]), (1, 0)),  # three rays from 0
        (pt.mlp([([[0.0], [1.0], [-1.0]], [0.5, 0.0, 0.0])]), (2,)),  # 0 between 1 and -1: two points
        (pt.mlp([([[1.0, 0.0]] * 3, [3.0, 0.0, 1.0])]), (0, 0)),  # one class everywhere
        (in_a_diamond(2), (1, 1)),  # a ring with two rays
        (in_a_diamond(3), (1, 0, 1)),  # a shell with a plane around it
    ],
)
def test_worked_by_hand(network: pt.Network, betti: tuple[int, ...]) -> None:
    found = classes(network, 2.0)
    assert found.betti == betti
    assert found.euler_characteristic == sum((-1) ** k * b for k, b in enumerate(betti))


def test_two_classes_are_a_level_set() -> None:
    network = diamond(2)
    both = network.then(pt.mlp([([[1.0], [0.0]], [0.0, 0.0])]))
    assert classes(network, 2.0).betti == classes(both, 2.0).betti == (1, 1)
    margin = pt.level_set_topology(pt.enumerate_regions(both.margin(0, 1), box(2, 2.0)))
    assert margin.betti == (1, 1)


@pytest.mark.parametrize("seed", range(6))
def test_in_the_plane_it_is_the_graph_of_the_boundary_s_segments(seed: int) -> None:
    """Components, and edges minus vertices plus components, of the facets of ``decision_boundary``."""
    network = seeded(seed, 2, 6, 5, 4)
    regions = pt.enumerate_regions(network, box(2, 2.0))
    graph = nx.MultiGraph()
    for points in pt.decision_boundary(regions).points:
        graph.add_edge(*(tuple(np.round(p, 9) + 0.0) for p in points))
    parts = nx.number_connected_components(graph)
    loops = graph.number_of_edges() - graph.number_of_nodes() + parts
    assert pt.decision_topology(regions).betti == (parts, loops)


def test_what_has_no_shape_is_refused() -> None:
    network = seeded(0, 2, 4, 3)
    with pytest.raises(IncompleteComplexError):
        pt.decision_topology(pt.enumerate_regions(network, box(2, 2.0), max_regions=2))
    with pytest.raises(UnboundedDomainError):
        pt.decision_topology(pt.enumerate_regions(network, pt.Polyhedron.whole_space(2)))
    with pytest.raises(ValueError, match="up to three dimensions"):
        pt.decision_topology(pt.enumerate_regions(seeded(0, 4, 3, 3), box(4, 1.0)))
