"""Integer programming as a third opinion: the patterns of the search tree, network after network."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import IntegerProgram, LayerSplit, Network, Polyhedron, count_regions, enumerate_regions, mlp
from polytope.core.interior_points import point_inside
from polytope.engines.integer_program import _model
from polytope.errors import UnboundedDomainError
from polytope.exact.cells import ExactCells, strictly_inside
from polytope.ir import Activation, absolute, hard_tanh, leaky_relu, relu
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched
from tests.networks import grouped, residual, seeded, seeds, unit_box_of

KINDS: list[Activation] = [relu(), relu(), leaky_relu(0.1), absolute(), hard_tanh()]


def random_network(number: int) -> Network:
    """Small networks of several depths, inputs and activations."""
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    two_pieces = kind.n_pieces(0) == 2  # three make programs of minutes
    depth, d = int(rng.integers(1, 4 if two_pieces else 2)), int(rng.integers(1, 4))
    widths = [d, *rng.integers(2, 5 if two_pieces else 4, depth).tolist(), 1]
    return seeded(number, *widths, activation=kind)


def agree(network: Network, domain: Polyhedron) -> None:
    found = enumerate_regions(network, domain, IntegerProgram())
    tree = enumerate_regions(network, domain, LayerSplit(cells="lp"))
    assert found.statistics["exhausted"]
    assert not found.complete, "floating point proves nothing"
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in tree.patterns}
    assert len(found) == len(tree)
    assert (network.pattern(found.interior_points) == found.patterns).all()


@pytest.mark.parametrize("number", seeds(100, 6))
def test_it_agrees_with_the_search_tree(number: int) -> None:
    network = random_network(number)
    agree(network, Polyhedron.box(*unit_box_of(network)))


@pytest.mark.slow
@pytest.mark.parametrize("network", [residual(8), grouped(10)], ids=["residual", "grouped"])
def test_it_states_skips_and_max_groups(network: Network) -> None:
    agree(network, Polyhedron.cross_polytope([0.1, 0.1], 0.8))


def test_programs_without_an_answer_leave_what_was_found() -> None:
    """Rows of 1e8 beside 1e-10: HiGHS may end in an error; what is found is found, in rationals."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        weights = [
            rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 9, shape) for shape in ((4, 2), (3, 4))
        ]
        network = mlp([(W, rng.standard_normal(len(W))) for W in weights] + [(np.ones((1, 3)), [0.0])])
        box = Polyhedron.box([-3.0, -1.0], [2.0, 1.0])
        found = enumerate_regions(network, box, IntegerProgram())
        tree = enumerate_regions(network, box)
        assert {p.tobytes() for p in found.patterns} <= {p.tobytes() for p in tree.patterns}
        assert len(found) == len(tree) or not found.complete
        exact = ExactCells(network, box.A, box.b)
        for pattern, x in zip(found.patterns, found.interior_points, strict=True):
            assert strictly_inside(exact.rows(pattern), x)


def test_a_region_must_have_an_interior() -> None:
    """Two equal units: HiGHS may find them on different sides of their breakpoint, within its tolerance."""
    exact = ExactCells(mlp([([[1.0], [1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]), -np.eye(1), np.ones(1))
    assert point_inside(exact.rows(np.array([0, 1], dtype=np.int8))) is None
    assert point_inside(exact.rows(np.array([1, 1], dtype=np.int8))) > 0


def test_what_it_cannot_state_is_refused() -> None:
    network = seeded(0, 2, 4, 1)
    with pytest.raises(UnboundedDomainError, match="bounded domain"):
        count_regions(network, Polyhedron.whole_space(2), IntegerProgram())
    with pytest.raises(ValueError, match="more than most_units=3"):
        count_regions(network, Polyhedron.box([0, 0], [1, 1]), IntegerProgram(most_units=3))
    with pytest.raises(ValueError, match="slack"):
        IntegerProgram(slack=0.0)


def test_a_budget_leaves_an_interval() -> None:
    part = count_regions(
        seeded(0, 2, 8, 1), Polyhedron.box([-1, -1], [1, 1]), IntegerProgram(), max_regions=2
    )
    assert (part.lower, part.complete, part.statistics["exhausted"]) == (2, False, 0)
    assert part.upper > 2


def test_a_network_without_units_has_one_region() -> None:
    found = enumerate_regions(seeded(0, 2, 1), Polyhedron.box([0, 0], [1, 1]), IntegerProgram())
    assert found.patterns.shape == (1, 0)


def test_the_program_of_a_box_repeats_no_bounds_and_is_made_in_small_steps() -> None:
    """Rows of a box bound columns; 40 inputs would be 80 rows of 40 entries, and images gigabytes."""
    network = seeded(0, 40, 6, 5, 1)
    box, tables, looks = Polyhedron.box([-1] * 40, [1] * 40), boundaries(network), list[int]()
    with watched(looks.append):
        model = _model(network, box, tables)
    assert len(looks) > 2 * network.n_units
    cut = Polyhedron(np.concatenate([box.A, np.ones((1, 40))]), np.append(box.b, 3.0))
    more = _model(network, cut, tables)
    assert len(more.rows) == len(model.rows) + 1
    assert ([1.0] * 40, 3.0) in [(factors, most) for _, factors, _, most in more.rows]
