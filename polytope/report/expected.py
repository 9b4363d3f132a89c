"""Crossings on segments between data points: exact counts beside what is expected at initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polytope.engines.budget import Budget, BudgetSpent
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.labelled import Estimate, Exact, Missing, Number
from polytope.report.clock import Clock
from polytope.report.data_sections import Crossings, SegmentCrossings

NO_TIME = "the time allowed was used before"


@dataclass(frozen=True, eq=False)
class Counted:
    """A segment whose regions were all counted.

    Arguments:
        number: of the data point where it begins.
        ends: of the part that was looked at, ``[2, d]``.
        regions: on it.
    """

    number: int
    ends: FloatArray
    regions: int


def crossing_facts(network: Network, segments: Sequence[Counted], clock: Clock) -> Crossings | None:
    """The crossings on each segment, and their expected number, in at most half of the time that is left."""
    if not segments:
        return None
    expected = _expected(network, segments, clock)
    rows = tuple(
        SegmentCrossings(segment.number, Exact(segment.regions - 1), number)
        for segment, number in zip(segments, expected, strict=True)
    )
    mean = sum(segment.regions - 1 for segment in segments) / len(segments)
    return Crossings(rows, Exact(mean), _mean(expected))


def _mean(numbers: Sequence[Number]) -> Number:
    """Of estimates; missing where one of them is."""
    values = [number.value for number in numbers if isinstance(number, Estimate)]
    if len(values) < len(numbers):
        return next(number for number in numbers if isinstance(number, Missing))
    return Estimate(sum(values) / len(values), "of infinite width, every layer with torch's initialisation")


def _expected(network: Network, segments: Sequence[Counted], clock: Clock) -> list[Number]:
    """The expected number on each segment, until half of the time that is left is used."""
    reserve = 0.0 if clock.limit is None else max(clock.left, 0.0) / 2

    def told(_: int) -> None:
        if clock.left < reserve or clock.left <= 0:
            raise BudgetSpent

    found: list[Number] = []
    try:
        if not Budget(None, clock.limit).has_time_for_torch():
            raise BudgetSpent
        with watched(told):
            _add_expected(network, segments, found)
    except BudgetSpent:
        left = len(segments) - len(found)
        what = f"crossings expected at initialisation on {left} of {len(segments)} segments"
        found += [Missing(clock.refuse(what, NO_TIME))] * left
    return found


def _add_expected(network: Network, segments: Sequence[Counted], found: list[Number]) -> None:
    """One number after another; of a network that says too little the reason, for all of them."""
    from polytope.infinite import architecture, expected_crossings  # loads torch

    try:
        read = architecture(network)
    except ValueError as error:
        found += [Missing(str(error))] * len(segments)
        return
    for segment in segments:
        try:
            found.append(expected_crossings(read, *segment.ends).total)
        except ValueError as error:
            found.append(Missing(str(error)))
