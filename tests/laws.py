"""What is called exact, as laws: of a network in a domain, held against the slow twin in rational numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
import pytest

import polytope as pt
from polytope.engines.engine import Engine
from polytope.errors import EmptyDomainError, GeometryError
from polytope.measures.decision_boundary import classified
from tests.random_properties import condition, stated
from tests.rational import Cell, Twin, along, read, regions, rows_of, twin_of
from tests.rational_measures import (
    bounded,
    corners,
    effective_radius,
    extremes,
    half_width,
    inside,
    linear_regions,
    lipschitz,
    meets,
    nerve,
    part,
    radius,
    satisfiable,
    volume,
)
from tests.rational_programs import coordinates, rational, value

ENGINES: dict[str, Engine] = {
    "vertices": pt.LayerSplit(cells="vertices"),
    "simplex": pt.LayerSplit(cells="lp", solver="simplex"),
    "highs": pt.LayerSplit(cells="lp", solver="highs"),
    "distance": pt.FacetFlip(),
    "hops": pt.FacetFlip(order="hops"),
}
PROOFS: tuple[Literal["any", "enumeration"], ...] = ("any", "enumeration")
SHAPES: tuple[Literal["cross-polytope", "box"], ...] = ("cross-polytope", "box")
FEW = 6  # regions that HiGHS is asked for where the dense simplex method is too


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a domain, the truth about them, and what the engines find."""

    name: str
    seed: int
    network: pt.Network
    domain: pt.Polyhedron
    twin: Twin

    @cached_property
    def bounded(self) -> bool:
        """Whether the domain has an interior and is bounded."""
        cells = self.twin.cells
        return bool(cells) and bounded(self.twin.domain, cells[0].point)

    @cached_property
    def engines(self) -> list[str]:
        """Those that are asked: one order of the walk; HiGHS where nothing else is, or little is to do."""
        walk = "hops" if self.seed % 2 else "distance"
        if not self.bounded:
            return ["highs", walk]
        return ["vertices", "simplex", walk] + ["highs"] * (len(self.twin.cells) <= FEW)

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
                found = pt.enumerate_regions(self.network, self.domain, ENGINES[name])
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
    complex = case.complex(engine)
    order = case.order(complex)
    edges = {(min(order[i], order[j]), max(order[i], order[j])) for i, j in complex.adjacency().edges()}
    assert edges == case.twin.edges
    facets = np.diff(complex.facets.offsets).tolist()
    assert facets == [len(case.twin.facets[i]) for i in order]


def merging(case: Case, engine: str) -> None:
    """Regions are joined where their maps are equal, however near others are."""
    complex = case.complex(engine)
    assert (len(set(complex.merged().tolist())), complex.pieces()) == linear_regions(case.twin)


def interior_points(case: Case, engine: str) -> None:
    """Points lie strictly inside, wherever a cube inside is wider than float64 numbers are apart."""
    complex = case.complex(engine)
    for i, x in zip(case.order(complex), complex.interior_points.tolist(), strict=True):
        assert inside(case.twin.cells[i], x) or _thin(case.twin.cells[i]), (i, x)


def _thin(cell: Cell) -> bool:
    """Whether float64 numbers may be too far apart for one in the largest cube."""
    center, half = half_width(cell)
    if half is None:
        return False
    largest = float(max(map(abs, coordinates(center))) + half)
    return 2 * half <= Fraction(float(np.spacing(largest)))


def places(case: Case, engine: str) -> None:
    """Points are located in regions that hold them, also on crossings; points outside the domain in none."""
    complex, cells = case.complex(engine), case.twin.cells
    order, d = case.order(complex), case.domain.dim
    rng = np.random.default_rng([case.seed, 5])
    x = rng.integers(-16, 17, (20, d)) / 8.0
    at = [list(map(float, coordinates(cells[i].point))) for i in rng.integers(0, len(cells), 10)]
    points = [*x.tolist(), *at]
    for p, found in zip(points, complex.locate(points).tolist(), strict=True):
        if found < 0:
            assert not meets(case.twin.domain, p), p
        else:
            assert meets(cells[order[found]].rows, p), p


def forms(case: Case) -> None:
    """Tropical forms are the network, in fractions, without the monomials that are nowhere the greatest."""
    try:
        form = pt.tropical_form(case.network, max_monomials=40)
    except ValueError:  # not convex, or too large
        return
    for cell in case.twin.cells:
        x = np.array(coordinates(cell.point), dtype=object)
        assert form(x[None])[0].tolist() == [value(f, cell.point) for f in cell.outputs]


def shapes(case: Case) -> None:
    """Level and sublevel sets have the components and Euler characteristic of the nerve of their parts."""
    cells = case.twin.cells
    if not case.bounded or case.domain.dim > 3 or case.network.output_dim > 1 or len(cells) > 10:
        return
    complex = case.complex("vertices")
    for level in (0.0, float(value(cells[0].outputs[0], cells[0].point))):
        for ask, signs in ((pt.sublevel_topology, (1,)), (pt.level_set_topology, (1, -1))):
            try:
                found = ask(complex, level)
            except GeometryError:  # vertices that float64 does not tell apart: a limit that is stated
                return
            right = nerve([part(cell, Fraction(level), signs) for cell in cells])
            assert (found.betti[0], found.euler_characteristic) == right, (ask.__name__, level)


def boundary(case: Case) -> None:
    """The decision boundary has a facet wherever neighbours in the complex of the class differ in it."""
    if not case.bounded:
        return
    complex, finer = case.complex("vertices"), twin_of(classified(case.network), case.domain)
    assert finer is not None
    if any(_tied(case.twin.cells[case.numbers[cell.pattern[:-1]]], cell.pattern[-1]) for cell in finer.cells):
        with pytest.raises(GeometryError, match="tie all over"):
            pt.decision_boundary(complex)
        return
    winners = [cell.pattern[-1] for cell in finer.cells]
    changes = [sorted((winners[i], winners[j])) for i, j in finer.edges if winners[i] != winners[j]]
    assert sorted(pt.decision_boundary(complex).classes.tolist()) == sorted(changes)


def _tied(cell: Cell, winner: int) -> bool:
    """Whether another output equals the largest all over a cell; a scalar one, whether it is zero."""
    f = cell.outputs
    return not any(f[0]) if len(f) == 1 else f.count(f[winner]) > 1


def volumes(case: Case) -> None:
    """Volumes lie where they are proved to; those of one region, and its vertices, are rounded once."""
    if case.domain.dim > 4:
        return
    complex = case.complex("vertices" if case.bounded else "highs")
    order, some = case.order(complex), list(complex)
    if not case.bounded:
        ends = [bounded(case.twin.cells[i].rows, case.twin.cells[i].point) for i in order]
        assert [region.is_bounded for region in some] == ends
        order, some = ([v for v, end in zip(part, ends, strict=True) if end] for part in (order, some))
    sizes, errors = complex.proved_volumes() if case.bounded else (None, None)
    for k, (region, i) in enumerate(zip(some, order, strict=True)):
        right = volume(case.twin.facets[i])
        if sizes is not None:
            assert abs(Fraction(sizes[k]) - right) <= Fraction(errors[k]) <= right / 2**8, i
        assert region.volume() == float(right), i
        if case.domain.dim < 4:
            points = {tuple(map(float, x)) for x in corners(case.twin.facets[i])}
            assert {tuple(x) for x in region.vertices().tolist()} == points, i


def slopes(case: Case) -> None:
    """Lipschitz constants are the greatest norms of the maps, and their bounds enclose them."""
    complex = case.complex("vertices" if case.bounded else "highs")
    for p, q in ((1, np.inf), (np.inf, np.inf), (1, 1)):
        right = lipschitz(case.twin.cells, p, q)
        found = pt.lipschitz_constant(complex, p, q)
        assert Fraction(found.lower) <= right <= Fraction(found.upper), (p, q)
        assert float(found) == pytest.approx(float(right), rel=2.0**-30, abs=0), (p, q)
        if case.bounded:
            bounds = pt.lipschitz_bounds(case.network, case.domain, p, q, samples=20)
            assert Fraction(bounds.lower) <= right <= Fraction(bounds.upper), (p, q)


def output_ranges(case: Case) -> None:
    """Bounds on outputs enclose what they reach."""
    if not case.bounded:
        return
    low, high = pt.output_bounds(case.network, case.domain)
    for k in range(case.network.output_dim):
        least, greatest = extremes(case.twin.cells, k)
        assert Fraction(float(low[k])) <= (least or 0), k
        assert (greatest or 0) <= Fraction(float(high[k])), k


def units(case: Case) -> None:
    """Units that are proved fixed are those on one piece; without them the function stays the same."""
    cells, network = case.twin.cells, case.network
    use = pt.prove_units(network, case.domain, samples=10)
    seen = np.array([cell.pattern for cell in cells])
    varying = (seen != seen[0]).any(axis=0)
    assert (use.varying == varying).all()
    assert (use.fixed == ~varying).all()
    assert (use.piece == seen[0])[~varying].all()
    simpler = read(pt.simplify(network, case.domain, use=use).network)
    for cell in cells:
        _, now = along(simpler, cell.point, [0] * network.input_dim)
        room = Fraction(1, 2**40) * _size(case.twin, cell)
        assert all(abs(v - value(f, cell.point)) <= room for (_, v), f in zip(now, cell.outputs, strict=True))


def _size(twin: Twin, cell: Cell) -> Fraction:
    """The largest sum of absolute terms in the layers at a cell's point: what rounding is relative to."""
    sizes = [[abs(v) for v in coordinates(cell.point)]]
    largest = max(sizes[0])
    for layer in twin.layers:
        z = [abs(b) for b in layer.bias]
        for k, matrix in zip(layer.inputs, layer.matrices, strict=True):
            z = [
                v + sum(abs(a) * h for a, h in zip(r, sizes[k], strict=True))
                for v, r in zip(z, matrix, strict=True)
            ]
        if layer.units is not None:
            z = [max(abs(p.slope) * z[p.source] + abs(p.intercept) for p in pieces) for pieces in layer.units]
        sizes.append(z)
        largest = max(largest, *z)
    return largest


def reach(case: Case) -> None:
    """The effective radius is the distance of the farthest linear region from the origin, in the max norm."""
    found = pt.effective_radius(case.complex("vertices" if case.bounded else "highs"))
    right = effective_radius(case.twin)
    assert float(found) == float(right)
    assert Fraction(found.lower) <= right <= Fraction(found.upper)


def distances(case: Case) -> None:
    """Robustness radii are exact: neighbouring numbers that enclose the distance of the nearest tie."""
    rng, cells = np.random.default_rng([case.seed, 2]), case.twin.cells
    x = np.array([float(v) for v in coordinates(cells[rng.integers(len(cells))].point)])
    if not case.domain.contains(x[None])[0]:
        return
    outputs = [v for _, v in along(case.twin.layers, rational(x.tolist()), [0] * len(x))[1]]
    label = outputs.index(max(outputs)) if len(outputs) > 1 else int(outputs[0] > 0)
    tie = sorted(outputs)[-2:].count(max(outputs)) > 1 if len(outputs) > 1 else outputs[0] == 0
    norm = (1, np.inf, 2 if len(x) < 4 else 1)[case.seed % 3]
    right = Fraction(0) if tie else radius(case.twin, x.tolist(), label, norm)
    found = pt.robustness_radius(case.network, x, norm, domain=case.domain)
    assert found.exact, found
    if right is None:
        assert (found.value, found.lower, found.witness) == (np.inf, np.inf, None)
        return
    power = 2 if norm == 2 else 1
    assert Fraction(found.lower) ** power <= right <= Fraction(found.value) ** power, found
    assert found.value in (found.lower, np.nextafter(found.lower, np.inf)), found
    assert found.witness is not None
    away = float(np.linalg.norm(found.witness - x, norm))  # the witness is rounded
    assert away == pytest.approx(found.value, rel=1e-9, abs=2.0**-50 * np.abs(found.witness).max())


def properties(case: Case) -> None:
    """Properties hold or not, where thresholds touch what outputs reach, or miss it by one float64 number."""
    domain, network, d = case.domain, case.network, case.network.input_dim
    if not np.array_equal(domain.A, np.concatenate([np.eye(d), -np.eye(d)])):
        return  # properties are stated over boxes
    rng = np.random.default_rng([case.seed, 3])
    ends = [extremes(case.twin.cells, k) for k in range(network.output_dim)]
    for prove in PROOFS:
        conditions = [condition(rng, ends) for _ in range(int(rng.integers(1, 3)))]
        right = "violated" if satisfiable(case.twin.cells, conditions) else "holds"
        text = stated(domain, network.output_dim, conditions)
        assert pt.check_property(network, text, prove=prove).status == right, text


def complexity(case: Case) -> None:
    """Regions, and units with a crossing, in a neighbourhood are those that there are."""
    rng, network = np.random.default_rng([case.seed, 4]), case.network
    d = network.input_dim
    x = rng.integers(-8, 9, d) / 8.0
    size = float(rng.choice([0.125, 0.5, 2.0]))
    shape = SHAPES[case.seed % 2]
    box, cross = pt.Polyhedron.box(x - size, x + size), pt.Polyhedron.cross_polytope(x, size)
    cells = regions(case.twin.layers, rows_of(box if shape == "box" else cross), d)
    seen = np.array([cell.pattern for cell in cells or ()])
    crossing = np.split((seen != seen[0]).any(axis=0), np.cumsum(network.widths)[:-1])
    found = pt.exact_local_complexity(network, x[None], size, shape=shape)
    assert found.complete.all()
    assert found.regions_lower.tolist() == [len(seen)]
    assert found.units_lower.tolist() == [[int(layer.sum()) for layer in crossing]]


def stops(case: Case, engine: str) -> None:
    """What a budget stops encloses the number of regions, and is not called complete."""
    right = len(case.twin.cells)
    most = max(right // 2, 1)
    part = pt.count_regions(case.network, case.domain, ENGINES[engine], max_regions=most)
    assert part.lower <= right <= part.upper
    assert part.complete == (part.lower == part.upper)


ENGINE_LAWS: list[Callable[[Case, str], None]] = [patterns, graph, merging, interior_points, places, stops]
MEASURE_LAWS: list[Callable[[Case], None]] = [
    volumes,
    slopes,
    output_ranges,
    units,
    reach,
    distances,
    properties,
    complexity,
    forms,
    boundary,
    shapes,
]


def broken(case: Case, law: Callable[..., None], engines: Collection[str] = ENGINES) -> list[str]:
    """What a law says that does not hold, of those engines of which it is asked."""
    if not case.twin.cells and law is not patterns:
        return []
    wrong = []
    for engine in [name for name in case.engines if name in engines] if law in ENGINE_LAWS else [None]:
        try:
            law(case, *([engine] if engine else []))
        except Exception as error:
            wrong.append(f"{case.name}, {engine or law.__name__}: {type(error).__name__}: {str(error)[:500]}")
    return wrong
