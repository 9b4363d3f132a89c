"""Searches for regions that meet cases: none is lost, whatever the network, the domain and their scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from polytope import Polyhedron
from polytope.core.vertex_cells import explore
from polytope.ir import Dense, Layer, Network, relu
from polytope.ir.maps import FloatArray
from tests.nasty_networks import BOUNDED, nasty
from tests.networks import NETWORKS, seeded, seeds, unit_box_of

Cases = Sequence[Sequence[int]]


def conditioned(network: Network, inside: FloatArray, seed: int, share: float) -> tuple[Network, Cases]:
    """Two cases of two conditions behind a network, each met at a share of some points."""
    rng = np.random.default_rng(seed)
    C = rng.integers(-2, 3, size=(4, network.output_dim)).astype(float)
    y = network(inside) @ C.T
    levels = np.quantile(y, share, axis=0)
    conditions = Layer((len(network.layers),), (Dense(C),), -levels, relu())
    return replace(network, layers=(*network.layers, conditions), output_names=("g",)), [[0, 1], [2, 3]]


def meeting(network: Network, domain: Polyhedron, wanted: Cases, **options: object) -> tuple[set[bytes], int]:
    """Patterns of the regions on which no row of some case is positive; how many regions were returned."""
    found = explore(network, domain, keep="cells", **options)  # type: ignore[arg-type]
    assert found.complete
    off = found.patterns[:, -4:] == 0
    met = np.array([off[:, rows].all(axis=1) for rows in wanted]).any(axis=0)
    return {p.tobytes() for p in found.patterns[met]}, len(found.patterns)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_unit_and_map(name: str) -> None:
    network = NETWORKS[name]()
    domain = Polyhedron.box(*unit_box_of(network))
    if domain.dim > 5:
        domain = Polyhedron.cross_polytope(np.zeros(domain.dim), 0.1)
    inside = np.random.default_rng(0).uniform(*unit_box_of(network), size=(200, network.input_dim))
    for share in (0.02, 0.5):
        whole, cases = conditioned(network, inside, 1, share)
        expected, _ = meeting(whole, domain, cases)
        assert meeting(whole, domain, cases, cases=cases)[0] == expected


@pytest.mark.parametrize("seed", seeds(400, 24))
def test_nasty_networks_and_domains(seed: int) -> None:
    """Degenerate, badly scaled, far away: rounding may keep cells, never lose one."""
    case = nasty(seed, place=BOUNDED[seed % len(BOUNDED)])
    low, high = case.domain.bounds
    inside = np.random.default_rng(seed).uniform(low, high, size=(100, case.network.input_dim))
    whole, cases = conditioned(case.network, inside, seed, (0.0, 0.05, 0.5)[seed % 3])
    expected, _ = meeting(whole, case.domain, cases)
    assert meeting(whole, case.domain, cases, cases=cases)[0] == expected


def test_most_cells_are_left_out() -> None:
    network = seeded(3, 3, 24, 24, 24, 2)
    box = Polyhedron.box([-1] * 3, [1] * 3)
    inside = np.random.default_rng(0).uniform(-1, 1, size=(2_000, 3))
    whole, cases = conditioned(network, inside, 0, 0.01)
    expected, all_regions = meeting(whole, box, cases)
    for workers in (1, 2):
        found, looked_at = meeting(whole, box, cases, cases=cases, workers=workers)
        assert found == expected
        assert len(found) <= looked_at < all_regions / 4


def test_a_search_in_parts_finds_the_same() -> None:
    network = seeded(4, 4, 16, 16, 2)
    box = Polyhedron.box([-1] * 4, [1] * 4)
    inside = np.random.default_rng(0).uniform(-1, 1, size=(2_000, 4))
    whole, cases = conditioned(network, inside, 0, 0.1)
    expected, _ = meeting(whole, box, cases)
    part = explore(whole, box, keep="cells", cases=cases, max_regions=7)
    parts = [part.patterns]
    while part.open_cells:
        part = explore(whole, box, keep="cells", cases=cases, max_regions=50, start=part.open_cells)
        parts.append(part.patterns)
    assert len(parts) > 3
    patterns = np.concatenate(parts)
    off = patterns[:, -4:] == 0
    met = (off[:, :2].all(axis=1)) | (off[:, 2:].all(axis=1))
    assert {p.tobytes() for p in patterns[met]} == expected


def test_a_case_names_rows_of_the_last_layer() -> None:
    network = seeded(0, 2, 4, 2, activation=relu())
    with pytest.raises(ValueError, match="row that the last layer does not have"):
        explore(network, Polyhedron.box([-1, -1], [1, 1]), cases=[[9]])
