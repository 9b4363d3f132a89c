"""Laws over families of nasty networks: what is called exact is what the slow twin finds in rational numbers.

Each law is asked of blocks of seeds. A failure names the seed; ``case(seed)`` is the network again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property

import numpy as np
import pytest

import polytope as pt
from polytope.errors import EmptyDomainError
from polytope.regions.found import Engine
from tests.nasty_networks import BOUNDED, Nasty, nasty
from tests.networks import seeds
from tests.rational import Twin, twin_of
from tests.rational_measures import (
    extremes,
)

BLOCK = 20
FEW, MOST = 6, 24  # regions of a network, so that 200 of them take the twin seconds
ENGINES: dict[str, Engine] = {
    "vertices": pt.LayerSplit(cells="vertices"),
    "simplex": pt.LayerSplit(cells="lp", solver="simplex"),
    "highs": pt.LayerSplit(cells="lp", solver="highs"),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a domain, the truth about them, and what the engines find."""

    seed: int
    nasty: Nasty
    twin: Twin

    def __str__(self) -> str:
        what = self.nasty
        return (
            f"seed {self.seed} (d = {what.domain.dim}, {what.numbers}, {what.place}, {', '.join(what.bends)})"
        )

    @cached_property
    def engines(self) -> list[str]:
        """Those that are asked: HiGHS where little is to do."""
        if self.nasty.place not in BOUNDED:
            return []
        return ["vertices", "simplex"] + ["highs"] * (len(self.twin.cells) <= FEW)

    @cached_property
    def numbers(self) -> dict[tuple[int, ...], int]:
        """The twin's regions by pattern."""
        return {cell.pattern: i for i, cell in enumerate(self.twin.cells)}

    @cached_property
    def _complexes(self) -> dict[str, pt.RegionComplex | Exception]:
        return {}

    def complex(self, name: str) -> pt.RegionComplex:
        """What an engine finds, searched for once."""
        if name not in self._complexes:
            try:
                found = pt.enumerate_regions(self.nasty.network, self.nasty.domain, ENGINES[name])
            except Exception as error:
                self._complexes[name] = error
            else:
                self._complexes[name] = found
        known = self._complexes[name]
        if isinstance(known, Exception):
            raise known
        return known

    def order(self, complex: pt.RegionComplex) -> list[int]:
        """The twin's numbers of the regions of a complex."""
        return [self.numbers[tuple(p)] for p in complex.patterns.tolist()]


@cache
def case(seed: int) -> Case:
    """The first network of a seed that has few regions."""
    for attempt in range(100):
        drawn = nasty(seed, attempt)
        twin = twin_of(drawn.network, drawn.domain, MOST)
        if twin is not None:
            return Case(seed, drawn, twin)
    raise AssertionError(f"seed {seed} has no small network")


def patterns(case: Case, engine: str) -> None:
    """All regions are found, once each, and said to be all; without interior there are none."""
    if not case.twin.cells:
        with pytest.raises(EmptyDomainError):
            case.complex(engine)
        return
    complex = case.complex(engine)
    assert complex.complete
    assert sorted(tuple(p) for p in complex.patterns.tolist()) == sorted(case.numbers)


def graph(case: Case, engine: str) -> None:
    """Regions have the facets that there are, and are neighbours where they share one."""
    if engine != "vertices":
        return
    complex = case.complex(engine)
    order = case.order(complex)
    edges = {(min(order[i], order[j]), max(order[i], order[j])) for i, j in complex.adjacency().edges()}
    assert edges == case.twin.edges
    facets = np.diff(complex.facets.offsets).tolist()
    assert facets == [len(case.twin.facets[i]) for i in order]


def output_ranges(case: Case) -> None:
    """Bounds on outputs enclose what they reach."""
    if case.nasty.place not in BOUNDED:
        return
    low, high = pt.output_bounds(case.nasty.network, case.nasty.domain)
    for k in range(case.nasty.network.output_dim):
        least, greatest = extremes(case.twin.cells, k)
        assert Fraction(float(low[k])) <= (least or 0), k
        assert (greatest or 0) <= Fraction(float(high[k])), k


def stops(case: Case, engine: str) -> None:
    """What a budget stops encloses the number of regions, and is not called complete."""
    right = len(case.twin.cells)
    most = max(right // 2, 1)
    part = pt.count_regions(case.nasty.network, case.nasty.domain, ENGINES[engine], max_regions=most)
    assert part.lower <= right <= part.upper
    assert part.complete == (part.lower == part.upper)


ENGINE_LAWS: list[Callable[[Case, str], None]] = [patterns, graph, stops]
MEASURE_LAWS: list[Callable[[Case], None]] = [output_ranges]


@pytest.fixture(scope="module", params=seeds(250, 10))
def block(request: pytest.FixtureRequest) -> list[Case]:
    """Some networks."""
    case.cache_clear()
    return [case(seed) for seed in range(BLOCK * request.param, BLOCK * (request.param + 1))]


def _wrong(case: Case, name: str, law: Callable[..., None], *args: object) -> list[str]:
    try:
        law(case, *args)
    except Exception as error:
        return [f"{case}, {name}: {type(error).__name__}: {str(error)[:500]}"]
    return []


@pytest.mark.parametrize("law", ENGINE_LAWS, ids=lambda law: law.__name__)
def test_engines(block: list[Case], law: Callable[[Case, str], None]) -> None:
    cases = [case for case in block if case.twin.cells or law is patterns]
    wrong = [w for case in cases for engine in case.engines for w in _wrong(case, engine, law, engine)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("law", MEASURE_LAWS, ids=lambda law: law.__name__)
def test_measures(block: list[Case], law: Callable[[Case], None]) -> None:
    wrong = [w for case in block if case.twin.cells for w in _wrong(case, law.__name__, law)]
    assert not wrong, "\n".join(wrong)
