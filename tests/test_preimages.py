"""Preimages and level sets: closed forms, whole complexes as twins, samples, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import polytope as pt
from polytope import errors
from polytope.geometry.polyhedron import hull_volume
from tests.networks import NETWORKS, box, diamond, integer, seeded

KINDS = ["relu_3-5-4-2", "residual", "grouped", "hard_tanh_2-5-5-1"]
RELATIVE = 1e-9  # of volumes by Qhull, whose rounding nothing bounds; ours are off by less than 1e-8 of them


def whole_volume(network: pt.Network, domain: pt.Polyhedron, outputs: pt.Polyhedron) -> float:
    """The same from all regions: each is cut by the rows that its affine map makes of the polytope's."""
    total = 0.0
    for region in pt.enumerate_regions(network, domain):
        (A, b), (J, c) = region.halfspaces, region.jacobian
        rows, limits = outputs.A @ J, outputs.b - outputs.A @ c
        if (limits[~rows.any(axis=1)] < 0).any():
            continue
        keep = rows.any(axis=1)
        try:
            part = pt.Polyhedron(np.concatenate([A, rows[keep]]), np.concatenate([b, limits[keep]]))
            total += hull_volume(part.vertices())
        except errors.EmptyDomainError:
            continue
    return total


def around(network: pt.Network, domain: pt.Polyhedron, share: float) -> pt.Polyhedron:
    """A box of outputs in the middle of those that are sampled."""
    low, high = domain.bounds
    y = network(np.random.default_rng(0).uniform(low, high, (2000, domain.dim)))
    return pt.Polyhedron.box(*np.quantile(y, [0.5 - share / 2, 0.5 + share / 2], axis=0))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_the_volume_is_that_from_all_regions(name: str, share: float) -> None:
    network = NETWORKS[name]()
    domain = box(network.input_dim, 1.5)
    outputs = around(network, domain, share)
    found = pt.preimage(network, domain, outputs)
    assert found.complete
    assert found.volume == pytest.approx(whole_volume(network, domain, outputs), rel=RELATIVE)
    assert (found.volume_errors <= 2.0**-8 * found.volumes).all()


@pytest.mark.parametrize(
    "network", [seeded(3, 2, 24, 24, 2), integer(3, 2, 8, 6, 2)], ids=["real", "integer"]
)
def test_parts_hold_what_is_mapped_inside_and_nothing_else(network: pt.Network) -> None:
    domain = box(2, 1.0)
    outputs = around(network, domain, 0.3)
    found = pt.preimage(network, domain, outputs)
    x = np.random.default_rng(1).uniform(-1, 1, (4000, 2))
    y = network(x)
    inside = (found.regions.locate(x) >= 0) & True
    slack = (outputs.b - y @ outputs.A.T).min(axis=1)
    close = np.abs(slack) < 1e-9 * (1 + np.abs(y).max())  # float64 values do not tell the side
    assert (inside == (slack > 0))[~close].all()
    regions = found.regions
    assert outputs.contains(network(regions.interior_points)).all()
    for region in regions:
        J, c = region.jacobian  # of the network itself, not of the rows behind it
        np.testing.assert_allclose(J @ region.interior_point + c, network(region.interior_point[None])[0])
        corners = network(region.vertices())
        assert outputs.contains(corners, tolerance=1e-9).all()
        assert region.volume() == pytest.approx(found.volumes[region.number], rel=1e-8)
    assert len(np.unique(regions.patterns, axis=0)) == len(regions)


def test_cells_that_cannot_meet_it_are_not_entered() -> None:
    """A box in a corner of what 700 regions give, beside the count of all of them."""
    network, domain = seeded(0, 3, 16, 16, 1), box(3, 1.0)
    y = network(np.random.default_rng(0).uniform(-1, 1, (5000, 3)))
    outputs = pt.Polyhedron([[-1.0]], [-float(np.quantile(y, 0.999))])
    found = pt.preimage(network, domain, outputs)
    everything = pt.count_regions(network, domain).lower
    assert found.left_out
    assert 0 < len(found) < everything / 10
    assert found.volume == pytest.approx(whole_volume(network, domain, outputs), rel=RELATIVE)


def test_preimages_by_hand() -> None:
    net, domain = diamond(2), box(2, 2.0)
    ring = pt.preimage(net, domain, pt.Polyhedron.box([-0.5], [0.0]))  # 1/2 <= |x| + |y| <= 1
    assert (len(ring), ring.volume) == (4, 1.5)
    assert ring.volume_errors.max() < 1e-12
    nothing = pt.preimage(net, domain, pt.Polyhedron.box([-3], [-1]))  # meets it in the origin alone
    assert (len(nothing), nothing.volume, nothing.complete) == (0, 0.0, True)
    assert pt.preimage(net, domain, pt.Polyhedron.whole_space(1)).volume == 16.0
    flat = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0]], [0.0])])  # relu(x) is 0 on half of the square
    assert pt.preimage(flat, domain, pt.Polyhedron([[1.0]], [0.0])).volume == 8.0
    seven = pt.mlp([(np.eye(7), np.zeros(7)), (np.ones((1, 7)), [0.0])])
    assert pt.preimage(seven, box(7, 1.0), pt.Polyhedron([[1.0]], [0.0])).volume == 1.0  # where all are <= 0


def test_a_budget_leaves_parts_out_and_says_so() -> None:
    network, domain = seeded(0, 3, 24, 24, 1), box(3, 1.0)
    some = pt.preimage(network, domain, pt.Polyhedron.whole_space(1), max_regions=10)
    assert not some.complete
    assert some.volume < 8
    assert "not all" in repr(some)


def test_preimages_that_are_refused() -> None:
    net, domain = diamond(2), box(2, 2.0)
    with pytest.raises(ValueError, match=r"domain lies in R\^3, the network's input in R\^2"):
        pt.preimage(net, box(3, 1.0), pt.Polyhedron.box([0], [1]))
    with pytest.raises(ValueError, match="outputs has 2 dimensions"):
        pt.preimage(net, domain, pt.Polyhedron.box([0, 0], [1, 1]))
    with pytest.raises(ValueError, match="max_seconds must be positive"):
        pt.preimage(net, domain, pt.Polyhedron.box([0], [1]), max_seconds=0)
    assert pt.preimage(net, pt.Polyhedron.whole_space(2), pt.Polyhedron.box([0], [1])).volume == 6.0
    with pytest.raises(errors.UnboundedDomainError):
        pt.preimage(net, pt.Polyhedron.whole_space(2), pt.Polyhedron([[-1.0]], [0.0]))
    with pytest.raises(errors.EmptyDomainError):
        pt.preimage(net, pt.Polyhedron.box([0, 0], [0, 1]), pt.Polyhedron.box([0], [1]))


@pytest.mark.parametrize(
    ("d", "facets", "area"), [(1, 2, 2.0), (2, 4, 4 * np.sqrt(2)), (3, 8, 4 * np.sqrt(3))]
)
def test_level_sets_of_a_diamond(d: int, facets: int, area: float) -> None:
    for level, radius in ((0.0, 1.0), (0.5, 1.5)):
        found = pt.level_set(diamond(d), box(d, 1.7), level)
        assert (len(found), found.complete) == (facets, True)
        assert found.area == pytest.approx(area * radius ** (d - 1), rel=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_boundaries_of_classes_are_those_of_the_whole_complex(name: str) -> None:
    network = NETWORKS[name]()
    domain = box(network.input_dim, 1.5)
    whole = pt.decision_boundary(pt.enumerate_regions(network, domain))
    pairs = {tuple(pair) for pair in whole.classes.tolist()}
    assert pairs
    for i, j in pairs:
        if network.output_dim == 1:
            found = pt.level_set(network, domain)
        else:
            found = pt.class_boundary(network, domain, i, j)
        same = (whole.classes == (i, j)).all(axis=1)
        assert len(found) == same.sum()
        np.testing.assert_allclose(np.sort(found.areas), np.sort(whole.areas[same]), rtol=1e-9, atol=1e-14)
        for points, pattern in zip(found.points, found.patterns, strict=True):
            middle = points.mean(axis=0)
            values = network(np.concatenate([points, middle[None]]))
            gap = values[:, 0] if network.output_dim == 1 else values[:, i] - values[:, j]
            assert np.abs(gap).max() < 1e-9
            assert pattern.shape == (network.n_units,)


def test_level_sets_leave_cells_out_and_find_the_same() -> None:
    network, domain = seeded(0, 2, 24, 24, 1), box(2, 1.0)
    level = float(np.quantile(network(np.random.default_rng(0).uniform(-1, 1, (5000, 2))), 0.98))
    found = pt.level_set(network, domain, level)
    shifted = pt.mlp([*_layers(network)[:-1], (_layers(network)[-1][0], _layers(network)[-1][1] - level)])
    whole = pt.decision_boundary(pt.enumerate_regions(shifted, domain))
    assert found.left_out
    assert len(found) == len(whole)
    assert found.area == pytest.approx(whole.area, rel=1e-9)


def _layers(network: pt.Network) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(layer.maps[0].to_sparse().toarray(), layer.bias) for layer in network.layers]


def test_a_level_set_along_a_breakpoint_and_one_that_is_only_touched() -> None:
    bends = ([[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0])
    changing = pt.mlp([bends, ([[1.0, -1.0]], [0.0])])  # x
    assert pt.level_set(changing, box(2, 1.0)).areas.tolist() == [2.0]
    touching = pt.mlp([bends, ([[1.0, 1.0]], [0.0])])  # |x|
    assert len(pt.level_set(touching, box(2, 1.0))) == 0
    half = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0]], [0.0])])  # relu(x)
    with pytest.raises(errors.GeometryError, match=r"is 0\.0 all over a region"):
        pt.level_set(half, box(2, 1.0))
    tied = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.0])])
    with pytest.raises(errors.GeometryError, match="classes 0 and 1 tie all over"):
        pt.class_boundary(tied, box(2, 1.0), 0, 1)


@pytest.mark.parametrize(("arguments", "message"), [((0, 0), "two different"), ((0, 3), "two different")])
def test_level_sets_that_are_refused(arguments: tuple[int, int], message: str) -> None:
    network = seeded(0, 2, 4, 3)
    with pytest.raises(ValueError, match=message):
        pt.class_boundary(network, box(2, 1.0), *arguments)
    with pytest.raises(ValueError, match="there is no output 3"):
        pt.level_set(network, box(2, 1.0), output=3)
    with pytest.raises(ValueError, match="finite number"):
        pt.level_set(network, box(2, 1.0), np.nan)
    with pytest.raises(ValueError, match="up to six dimensions"):
        pt.level_set(seeded(0, 7, 4, 1), box(7, 1.0))
