"""The report on size and redundancy: dead, always-on and duplicate units, and what `simplify` saves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polytope.engines.sampling import clear_patterns, random_points
from polytope.geometry import Polyhedron
from polytope.ir import LinearMap, Network
from polytope.ir.boundaries import boundaries
from polytope.labelled import Bound, Estimate, Exact, Missing, Number, interval, plural
from polytope.measures.simplify import Simplified, simplify
from polytope.measures.units import UnitUse, prove_units, seen_units, unit_use
from polytope.regions.complex import RegionComplex
from polytope.report.clock import Clock
from polytope.report.network_sections import LayerUse, Redundancy, Saved, Use, UseAtData, UseByLayer
from polytope.report.subject import Subject

LARGEST_MATRICES = 50_000_000
"""Numbers of a network's maps as sparse matrices, up to which it is rebuilt without some units."""


def domain_units(inside: Network, complex: RegionComplex, sampled: RegionComplex | None) -> UnitUse | None:
    """The use of units in the domain; ``None`` where not a single region was found."""
    known = complex if len(complex) else sampled
    if known is None or not len(known):
        return None
    return unit_use(known, sampled.patterns if sampled else None)


def redundancy_facts(
    subject: Subject, use: UnitUse | None, complex: RegionComplex, clock: Clock
) -> Redundancy:
    """How the units are used in the domain, in the data's box and at the data; what `simplify` removes."""
    in_box = _box_use(subject, clock) if subject.scope.window is not None else None
    if in_box is not None and subject.data_box is not None:
        simplified = _simplified(subject.network, subject.data_box, in_box, "the data's box", complex, clock)
    else:
        simplified = _simplified(subject.inside, complex.domain, use, "the domain", complex, clock)
    return Redundancy(
        domain=None if use is None else _per_layer(subject.network, use),
        data_box=None if in_box is None else _per_layer(subject.network, in_box),
        data=_at_data(subject),
        simplify=simplified,
    )


def _box_use(subject: Subject, clock: Clock) -> UnitUse | None:
    """The use of units in the bounding box of the data: intervals, points of the box, and proofs."""
    box = subject.data_box
    if box is None or subject.points is None:
        return None
    if clock.left <= 0:
        clock.refuse("the use of units in the data's box", "the budget was spent")
        return None
    rng = np.random.default_rng(0)
    inner = np.concatenate([*random_points(box, 256, rng)])
    x = subject.points[:256]
    near = x + 1e-3 * (inner[: len(x)] - x)  # off the breakpoints that data with zeros lie on
    patterns, _ = clear_patterns(subject.network, boundaries(subject.network), np.concatenate([near, inner]))
    use = seen_units(subject.network, box, patterns)
    if use.complete or clock.left <= 0:
        return use
    half = None if clock.limit is None else clock.limit / 2
    proved = prove_units(subject.network, box, samples=64, max_seconds=half)
    both = replace(proved, fixed=proved.fixed | use.fixed, varying=proved.varying | use.varying)
    if not both.complete:
        opened = plural(Exact(int((~both.fixed & ~both.varying).sum())), "unit")
        clock.refuse(f"a decision on {opened} in the data's box", "the time allowed was used")
    return both


def _per_layer(network: Network, use: UnitUse) -> UseByLayer:
    """Units by layer, and how many are dead or always on."""
    rows = []
    for number, layer in enumerate(network.layers, start=1):
        if layer.activation:
            units = slice(network.unit_offsets[number - 1], network.unit_offsets[number])
            rows.append(LayerUse(*_use(use, units), layer=number))
    return UseByLayer(Use(*_use(use, slice(0, network.n_units))), tuple(rows))


def _use(use: UnitUse, units: slice) -> tuple[Number, Number, Number]:
    """How many units there are, are dead, are always on."""
    return Exact(units.stop - units.start), interval(*use.dead(units)), interval(*use.always_on(units))


def _at_data(subject: Subject) -> UseAtData | None:
    """Units on one piece at all data points: what the data shows, not a proof."""
    if subject.points is None or not subject.network.n_units:
        return None
    x = subject.points[:4096]
    patterns = [subject.network.pattern(x[i : i + 256]) for i in range(0, len(x), 256)]
    one_piece = np.logical_and.reduce([(p == patterns[0][0]).all(axis=0) for p in patterns])
    return UseAtData(Exact(len(x)), Estimate(int(one_piece.sum()), "on one piece at all of these points"))


def _simplified(
    network: Network,
    domain: Polyhedron,
    use: UnitUse | None,
    where: str,
    complex: RegionComplex,
    clock: Clock,
) -> Saved:
    """What is left without fixed, duplicate and unread units."""
    why = ""
    stored = sum(_entries(linear) for layer in network.layers for linear in layer.maps)
    if use is None:
        why = "no region was found"
    elif stored > LARGEST_MATRICES:
        why = f"the network's maps are {stored:,} numbers as matrices; up to {LARGEST_MATRICES:,} are rebuilt"
    elif clock.left <= 0:
        why = "the budget was spent"
    elif not network.n_units:
        why = "no unit has an activation"
    if not why and use is not None:
        found = simplify(network, domain, use=use, samples=200, max_seconds=clock.limit)
        if found.network is not network:  # time sufficed to rebuild it
            return _saved(where, network, use, found)
        why = "the budget was spent"
    clock.refuse("what simplify would save", why)
    return Saved(where, *(Missing(why),) * 6)


def _entries(linear: LinearMap) -> int:
    """About how many numbers a map is as a sparse matrix, from its middle row."""
    rows = linear.shape[0]
    return rows * int(np.count_nonzero(linear.rows(np.array([rows // 2]))))


def _saved(where: str, network: Network, use: UnitUse, found: Simplified) -> Saved:
    """The numbers of units before and after; bounds where some units stayed open."""
    before, after = network.n_units, found.network.n_units
    note = "" if use.complete else "units that were not decided stay"

    def found_so_far(units: int) -> Number:
        return Exact(units) if use.complete else Bound(units, note=note)

    difference = "largest difference of the outputs at points tried, relative to their terms"
    return Saved(
        where=where,
        units_before=Exact(before),
        units_after=Exact(after, note),
        removed=found_so_far(before - after),
        duplicates=found_so_far(int((found.duplicate >= 0).sum())),
        unread=found_so_far(int(found.unread.sum())),
        difference=Estimate(found.difference, difference),
    )
