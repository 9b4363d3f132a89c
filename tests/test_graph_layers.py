"""Convolutions on graphs: what they compute, and that they commute with the automorphisms, proved."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from adapters import from_torch
from polytope import Polyhedron, infinite
from polytope.equivariant import (
    GraphConv,
    SetLinear,
    certify_equivariance,
    enumerate_up_to_symmetry,
    graph_automorphisms,
    input_symmetry_group,
    lower,
    trivial,
)
from polytope.ir.maps import FloatArray


def cycle(n: int) -> FloatArray:
    """The adjacency matrix of a cycle."""
    a = np.roll(np.eye(n), 1, axis=1)
    return a + a.T


GRAPHS = {
    "cycle": (cycle(5), 10),
    "path": (np.eye(4, k=1) + np.eye(4, k=-1), 2),
    "directed": (np.roll(np.eye(4), 1, axis=1), 4),
    "weighted": (np.array([[0, 0.1, 0.3], [0.1, 0, 0.3], [0.3, 0.3, 0.7]]), 2),
    "complete": (1 - np.eye(4), 24),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_automorphisms_are_all_that_leave_the_matrix(name: str) -> None:
    a, order = GRAPHS[name]
    n = len(a)
    kept = [p for p in permutations(range(n)) if (a[np.ix_(p, p)] == a).all()]
    rho = graph_automorphisms(a, 2)
    assert len(rho.group) == len(kept) == order
    assert rho.dim == 2 * n
    found = {tuple((m[::2, ::2].T @ np.arange(n)).astype(int).tolist()) for m in rho.matrices}
    assert found == set(kept)


@pytest.mark.parametrize("name", GRAPHS)
def test_convolutions_are_proved_to_commute(name: str) -> None:
    torch.manual_seed(1)
    a, _ = GRAPHS[name]
    n = len(a)
    model = nn.Sequential(GraphConv(a, 2, 3), nn.ReLU(), GraphConv(a, 3, 1)).double()
    net = lower(model, (n, 2))
    x = np.random.default_rng(0).standard_normal((6, n, 2))
    one, two = model[0], model[2]
    hidden = [torch.as_tensor(x) @ one.own.T + torch.as_tensor(a @ x) @ one.others.T + one.bias]
    hidden.append(
        hidden[0].relu() @ two.own.T + torch.as_tensor(a) @ hidden[0].relu() @ two.others.T + two.bias
    )
    assert np.abs(net(x) - hidden[1].detach().flatten(1).numpy()).max() < 1e-13
    traced = from_torch(model, torch.as_tensor(x[:1]))
    assert np.abs(net(x) - traced(x.reshape(6, *traced.input_shape))).max() < 1e-13
    rho_in, rho_out = graph_automorphisms(a, 2), graph_automorphisms(a)
    proof = certify_equivariance(net, rho_in, rho_out, Polyhedron.box(-1, 1, dim=2 * n))
    assert all(proof.proved)
    assert proof.max_error.max() == 0.0


def test_ones_outside_the_diagonal_are_sets() -> None:
    torch.manual_seed(2)
    sets, graph = SetLinear(2, 3).double(), GraphConv(1 - np.eye(4), 2, 3).double()
    graph.load_state_dict(sets.state_dict(), strict=False)
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    assert torch.equal(sets(x), graph(x))


def test_regions_and_symmetries_of_a_network_on_a_path() -> None:
    """The reflection is found from the trained network, and halves the search."""
    torch.manual_seed(3)
    a = np.eye(3, k=1) + np.eye(3, k=-1)
    net = lower(nn.Sequential(GraphConv(a, 1, 3), nn.ReLU(), GraphConv(a, 3, 1)).double(), (3, 1))
    rho, box = graph_automorphisms(a), Polyhedron.box(-1, 1, dim=3)
    found = enumerate_up_to_symmetry(net, rho, box)
    assert found.exact
    assert found.n_regions == len(found.unfold())
    summed = nn.Sequential(GraphConv(a, 1, 3), nn.ReLU(), GraphConv(a, 3, 1), nn.Flatten(), nn.Linear(3, 1))
    nn.init.ones_(summed[4].weight)
    invariant = lower(summed.double(), (3, 1))
    assert len(input_symmetry_group(invariant)[0]) == 2
    assert all(certify_equivariance(invariant, rho, trivial(rho.group), box).proved)


def test_kernels_of_graph_networks_are_those_of_wide_samples() -> None:
    torch.manual_seed(4)
    a = np.eye(3, k=1) + np.eye(3, k=-1)
    x = np.random.default_rng(5).standard_normal((2, 3, 1))
    model = nn.Sequential(GraphConv(a, 1, 64), nn.ReLU(), nn.Flatten(), nn.Linear(192, 1)).double()
    net = infinite.architecture(model, (3, 1))
    kernel = infinite.kernel(net, x).nngp
    draws = np.stack([drawn(a, x) for _ in range(2000)])
    seen = draws.T @ draws / len(draws)
    assert np.abs(seen - kernel).max() < 0.15 * np.abs(kernel).max()  # five standard errors


def drawn(a: FloatArray, x: FloatArray) -> FloatArray:
    """The outputs of one network of 64 channels at its initialisation."""
    model = nn.Sequential(GraphConv(a, 1, 64), nn.ReLU(), nn.Flatten(), nn.Linear(192, 1)).double()
    with torch.no_grad():
        return model(torch.as_tensor(x))[:, 0].numpy()


@pytest.mark.parametrize("edges", [[[0, 1]], [[0.0, np.nan], [1, 0]], [1.0, 2.0], np.zeros((0, 0))])
def test_no_square_matrix_is_refused(edges: list[list[float]]) -> None:
    for make in (lambda: GraphConv(edges, 1, 1), lambda: graph_automorphisms(edges)):
        with pytest.raises(ValueError, match="edges must be a square matrix of finite numbers"):
            make()


def test_what_are_no_numbers_is_refused() -> None:
    for edges in ("abc", [[0, 1], [1]], csr_array(np.eye(2))):
        with pytest.raises(TypeError, match="edges must be a square matrix of numbers"):
            graph_automorphisms(edges)  # type: ignore[arg-type]
    for features in (0, -1, 1.5):
        with pytest.raises(ValueError, match="features must be a whole number"):
            graph_automorphisms(np.eye(2), features)  # type: ignore[arg-type]


def test_many_automorphisms_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1,000"):
        graph_automorphisms(1 - np.eye(7))
    with pytest.raises(ValueError, match="the graph has 3 vertices, the values 4"):
        lower(GraphConv(np.zeros((3, 3)), 2, 1), (4, 2))
