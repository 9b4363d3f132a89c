"""The next checkpoint: its complex is the one found from scratch, and what changed is told by patterns."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from polytope import FacetFlip, LayerSplit, Network, Polyhedron, enumerate_regions, mlp, track
from polytope.engines.engine import Engine
from polytope.errors import IncompleteComplexError
from tests.networks import NETWORKS, unit_box_of

Weights = list[tuple[np.ndarray, np.ndarray]]


def weights(*widths: int) -> Weights:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((n, m)), rng.standard_normal(n)) for m, n in pairwise(widths)]


def stepped(given: Weights, layers: range, size: float = 0.1) -> Network:
    """The network after a random step of some layers."""
    rng = np.random.default_rng(1)
    return mlp(
        [
            (W + size * rng.standard_normal(W.shape), b + size * rng.standard_normal(b.shape))
            if i in layers
            else (W, b)
            for i, (W, b) in enumerate(given)
        ]
    )


def names(patterns: np.ndarray) -> set[bytes]:
    return {p.tobytes() for p in patterns}


@pytest.mark.parametrize("engine", [None, LayerSplit(cells="lp"), FacetFlip()], ids=repr)
@pytest.mark.parametrize("changed", [range(3), range(1, 3), range(2, 3), range(0)], ids=repr)
def test_it_is_the_search_from_scratch(changed: range, engine: Engine | None) -> None:
    """Whatever changed: the same patterns and neighbours, and the three parts add up."""
    given = weights(2, 6, 5, 2)
    box = Polyhedron.box([-1, -1], [1, 1])
    before = enumerate_regions(mlp(given), box, engine)
    after = stepped(given, changed)
    expected = enumerate_regions(after, box, engine)
    found = track(before, after, engine)
    assert found.searched == (changed not in (range(2, 3), range(0)))
    assert found.regions.complete
    assert names(found.regions.patterns) == names(expected.patterns)
    assert found.regions.adjacency().number_of_edges() == expected.adjacency().number_of_edges()
    assert (found.regions.locate(expected.interior_points) >= 0).all()
    assert np.allclose(found.regions[0].jacobian[0], after.jacobian(found.regions[0].interior_point))
    kept = names(before.patterns) & names(expected.patterns)
    assert names(before.patterns[found.stayed[:, 0]]) == kept
    assert names(found.regions.patterns[found.stayed[:, 1]]) == kept
    assert names(found.regions.patterns[found.born]) == names(expected.patterns) - kept
    assert names(before.patterns[found.died]) == names(before.patterns) - kept


@pytest.mark.parametrize("name", NETWORKS)
def test_an_unchanged_network_is_not_searched(name: str) -> None:
    """For every kind of layer and activation: equal checkpoints are noticed, and so is one changed number."""
    one, same = NETWORKS[name](), NETWORKS[name]()
    regions = enumerate_regions(one, Polyhedron.box(*unit_box_of(one)), max_regions=200)
    tracked = track(regions, same, max_regions=200)
    assert tracked.searched == (not regions.complete)
    if regions.complete:
        assert len(tracked.stayed) == len(regions)
    first = same.layers[0]
    first.bias[0] += 0.125
    assert track(regions, same, max_regions=200).searched or not any(la.activation for la in same.layers)


def test_two_breakpoints_on_a_line() -> None:
    """Breakpoints at 0 and 1, then at 0 and -2: both units on stays, and so does neither."""
    before, after = (mlp([([[1.0], [1.0]], [0.0, b]), ([[1.0, 1.0]], [0.0])]) for b in (-1.0, 2.0))
    tracked = track(enumerate_regions(before, Polyhedron.box([-3], [3])), after)
    assert tracked.previous.patterns[tracked.died].tolist() == [[1, 0]]
    assert tracked.regions.patterns[tracked.born].tolist() == [[0, 1]]
    assert len(tracked.stayed) == 2


def test_parts_of_a_complex_tell_only_what_is_sure() -> None:
    given = weights(2, 6, 5, 2)
    box = Polyhedron.box([-1, -1], [1, 1])
    whole, part = enumerate_regions(mlp(given), box), enumerate_regions(mlp(given), box, max_regions=3)
    assert not part.complete
    later = stepped(given, range(3))
    with pytest.raises(IncompleteComplexError, match="born"):
        _ = track(part, later).born
    cut_short = track(whole, later, max_regions=3)
    assert not cut_short.regions.complete
    assert len(cut_short.stayed) + len(cut_short.born) == len(cut_short.regions)
    with pytest.raises(IncompleteComplexError, match="died"):
        _ = cut_short.died


def test_a_stored_complex_is_tracked(tmp_path: Path) -> None:
    given = weights(2, 6, 5, 2)
    stored = enumerate_regions(mlp(given), Polyhedron.box([-1, -1], [1, 1]), directory=tmp_path)
    same = track(stored, stepped(given, range(2, 3)))
    assert not same.searched
    assert (len(same.stayed), len(same.born), len(same.died)) == (len(stored), 0, 0)


def test_other_architectures_are_refused() -> None:
    regions = enumerate_regions(mlp(weights(2, 6, 5, 2)), Polyhedron.box([-1, -1], [1, 1]))
    for widths in ((2, 5, 6, 2), (3, 6, 5, 2), (2, 6, 2)):
        with pytest.raises(ValueError, match="cannot be compared"):
            track(regions, mlp(weights(*widths)))
