"""What is called exact is what the slow twin finds: on families of nasty networks, and on reported ones.

Each law is asked of blocks of seeds: of four in the suite, of 250 where slow tests run too. A failure names
the seed; ``drawn(seed)`` is the network again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.laws import (
    ENGINES,
    Case,
    boundary,
    broken,
    complexity,
    distances,
    forms,
    graph,
    interior_points,
    merging,
    output_ranges,
    patterns,
    places,
    properties,
    reach,
    shapes,
    slopes,
    stops,
    units,
    volumes,
)
from tests.nasty_networks import nasty
from tests.networks import seeds
from tests.rational import twin_of
from tests.reported_networks import REPORTED

BLOCK = 20
MOST = 24  # regions of a network, so that 200 of them take the twin seconds
Law = Callable[..., None]
ALL = tuple(ENGINES)
HOLDS: dict[Law, tuple[str, ...]] = {  # the engines of which a law is asked
    patterns: ALL,
    graph: ALL,
    merging: ALL,
    stops: ALL,
    interior_points: ALL,
    places: ALL,
    volumes: (),
    slopes: (),
    output_ranges: (),
    properties: (),
    units: (),
    reach: (),
    complexity: (),
    distances: (),
    forms: (),
    boundary: (),
    shapes: (),
}
each_law = pytest.mark.parametrize("law", HOLDS, ids=lambda law: law.__name__)


@cache
def drawn(seed: int) -> Case:
    """The first network of a seed that has few regions."""
    for attempt in range(100):
        what = nasty(seed, attempt)
        twin = twin_of(what.network, what.domain, MOST)
        if twin is not None:
            kind = (f"d = {what.domain.dim}", what.numbers, what.place, *what.activations)
            return Case(f"seed {seed} ({', '.join(kind)})", seed, what.network, what.domain, twin)
    raise AssertionError(f"seed {seed} has no small network")


@cache
def reported(name: str) -> Case:
    """A network that is known by name."""
    network, domain = REPORTED[name]()
    twin = twin_of(network, domain)
    assert twin is not None
    return Case(name, len(name), network, domain, twin)


@pytest.fixture(scope="module", params=seeds(250, 4))
def block(request: pytest.FixtureRequest) -> list[Case]:
    """Some networks."""
    drawn.cache_clear()
    return [drawn(seed) for seed in range(BLOCK * request.param, BLOCK * (request.param + 1))]


@each_law
def test_nasty_networks(block: list[Case], law: Law) -> None:
    wrong = [line for case in block for line in broken(case, law, HOLDS[law])]
    assert not wrong, "\n".join(wrong)


SIMILAR = {  # of a family that a milder and a harder one stand for
    "lines 1e-08 from parallel, square",
    "lines 1e-08 from parallel, plane",
    "biases of 1e6",
    "a unit times 1e+12",
    *(name for name in REPORTED if name.startswith("a box of") and name.endswith(", 2")),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SIMILAR else []) for n in REPORTED]
)
def test_reported_networks(name: str) -> None:
    wrong = [line for law in HOLDS for line in broken(reported(name), law, HOLDS[law])]
    assert not wrong, "\n".join(wrong)
