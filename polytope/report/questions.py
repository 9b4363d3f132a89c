"""The questions of an audit in their order, each within its share of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from polytope.engines.budget import LOADING
from polytope.engines.sampling import Sampling
from polytope.labelled import Missing, Number, interval
from polytope.regions.complex import RegionComplex
from polytope.report.asked import AuditBudget, Watch
from polytope.report.clock import INTERRUPTED, Clock
from polytope.report.complexity import complexity_facts
from polytope.report.conversion import conversion_facts, when_loaded
from polytope.report.data_sections import Conversion, Density, Distances, Lipschitz, LocalComplexityFacts
from polytope.report.density import density_facts
from polytope.report.distances import distance_facts
from polytope.report.html import Picture
from polytope.report.network_sections import Adjacency, Redundancy, Regions, Saved
from polytope.report.property_checks import property_facts
from polytope.report.redundancy import domain_units, redundancy_facts
from polytope.report.regions import adjacency_numbers, coverage, plane_outlines, region_numbers, unknown
from polytope.report.scope import Chooser
from polytope.report.sections import PropertyFacts
from polytope.report.slopes import lipschitz_facts
from polytope.report.still import still
from polytope.report.subject import Subject
from polytope.report.windows import Window, windows
from polytope.runs.enumerate import enumerate_regions
from polytope.runs.going_on import gone_on

WEIGHTS = {
    "preparing": 4.0,
    "conversion": 4.0,
    "regions": 28.0,
    "windows": 24.0,
    "linear regions and pieces": 8.0,
    "redundancy": 8.0,
    "adjacency": 8.0,
    "Lipschitz constants": 8.0,
    "properties": 20.0,
    "density": 15.0,
    "local complexity": 10.0,
    "distances": 14.0,
}
"""The questions in the order in which they are asked, and their shares of the budget."""


def shares(subject: Subject, files: Sequence[Path]) -> dict[str, float]:
    """The weights of the questions; next to nothing for those that have no subject here."""
    idle = set() if subject.points is not None else {"density", "local complexity", "distances"}
    idle |= set() if files else {"properties"}
    return {name: 1e-3 if name in idle else weight for name, weight in WEIGHTS.items()}


class Answers:
    """The questions of an audit, asked one after another, each within its share of the time.

    Arguments:
        subject: what they are asked about.
        clock: shares out the time, and keeps what was left out.
        watch: told of each question when it is begun, and of the search.
        radius: of the local complexity; ``None`` for the data's own.
        files: VNN-LIB properties.
    """

    def __init__(
        self, subject: Subject, clock: Clock, watch: Watch, radius: float | None, files: Sequence[Path]
    ) -> None:
        self.subject, self.clock, self.watch, self.files = subject, clock, watch, files
        self.radius, self.chosen_by = _radius(subject, radius)
        self.sampled: RegionComplex | None = None
        self.windows: list[Window] = []
        self.pictures: tuple[Picture, ...] = ()
        self.radii: dict[int, Number] = {}
        self.decided: dict[int, PropertyFacts] = {}

    def begin(self, question: str) -> None:
        """Go on to a question."""
        if self.clock.spent:
            self.clock.end()
        self.watch.stage(question)
        self.clock.begin(question)

    def prepare(self) -> None:
        """Load torch, which some questions need, if there is time for it."""
        self.begin("preparing")
        if self.clock.remaining >= LOADING:
            import_module("polytope.batched")

    def conversion(self) -> Conversion:
        """The network against the file's runtime."""
        self.begin("conversion")
        try:
            return conversion_facts(self.subject, self.clock)
        except KeyboardInterrupt:
            self.clock.interrupt()
            self.clock.refuse("the comparison with the file's runtime", INTERRUPTED)
            return Conversion(self.subject.runtime is not None, when_loaded(self.subject.network), ())

    def search(self, budget: AuditBudget, known: RegionComplex | None = None) -> RegionComplex:
        """The regions of the domain; from the open cells of those that are known on."""
        self.begin("regions")
        subject = self.subject
        of = (subject.inside, subject.scope.domain)
        anew = partial(enumerate_regions, *of) if known is None else partial(gone_on, known)
        limits: dict[str, Any] = {"max_memory": budget.max_memory, "progress": self.watch.regions}
        most, seconds = budget.max_regions, self.clock.limit
        try:
            complex = anew(budget.engine, max_regions=most, max_seconds=seconds, **limits)
        except KeyboardInterrupt:
            self.clock.interrupt()  # a report is about something: the region around a point
            complex = known or enumerate_regions(*of, budget.engine, max_regions=1, **limits)
        if complex.stopped_by:
            why = f"the search was ended by its limit of {complex.stopped_by}"
            self.clock.refuse(f"more than {len(complex):,} activation regions of the domain", why)
        self.sampled = _sampled(complex, self.clock)
        return complex

    def draw(self, complex: RegionComplex) -> None:
        """The windows that the page shows, and a still picture of the first."""
        self.begin("windows")
        ask, clock = self.clock.answered, self.clock
        self.windows = ask("pictures", lambda: windows(self.subject, complex, clock), [])
        for window in [w for w in self.windows[:1] if len(w.complex)]:
            found = ask("the still picture for print", lambda: still(window, clock), None)  # noqa: B023
            self.pictures = () if found is None else (found,)

    def regions(self, complex: RegionComplex) -> Regions:
        """How many regions, linear regions and pieces."""
        self.begin("linear regions and pieces")
        sampled = len(self.sampled) if self.sampled else 0
        least, most = max(complex.lower, sampled), complex.upper
        some = interval(min(least, 1), most)  # regions have a map
        known = Regions(interval(least, most), some, some)
        what = "comparing the affine maps of regions"
        return self.clock.answered(what, lambda: region_numbers(complex, sampled, self.clock), known)

    def redundancy(self, complex: RegionComplex) -> Redundancy:
        """Units that are not needed."""
        self.begin("redundancy")
        ask = self.clock.answered
        use = ask("the use of units", lambda: domain_units(self.subject.inside, complex, self.sampled), None)
        why = Missing("the time allowed for it was used")
        nothing = Redundancy(domain=None, data_box=None, data=None, simplify=Saved("the domain", *(why,) * 6))
        return ask(
            "units that are not needed",
            lambda: redundancy_facts(self.subject, use, complex, self.clock),
            nothing,
        )

    def adjacency(self, complex: RegionComplex) -> Adjacency:
        """How the regions touch."""
        self.begin("adjacency")
        why = Missing("the time allowed for it was used")
        return self.clock.answered(
            "how regions touch", lambda: adjacency_numbers(complex, self.clock), unknown(why, why)
        )

    def coverage(self, complex: RegionComplex) -> Number:
        """Their areas, where the domain is a plane and a window has the outlines, or time is left."""
        known = next((w.polygons for w in self.windows if w.complex is complex), None)

        def share() -> Number:
            return coverage(complex, plane_outlines(complex, self.clock) if known is None else known)

        nothing: Number = Missing("the time allowed for them was used")
        return self.clock.answered("areas", share, nothing)

    def lipschitz(self, complex: RegionComplex) -> Lipschitz:
        """How steep the network is."""
        self.begin("Lipschitz constants")
        nothing = Lipschitz(Missing("the time allowed for it was used"), None, None)
        return self.clock.answered(
            "Lipschitz constants", lambda: lipschitz_facts(self.subject, complex, self.clock), nothing
        )

    def properties(self) -> tuple[PropertyFacts, ...]:
        """What is known of the properties."""
        self.begin("properties")
        known = self.decided
        try:
            rows = property_facts(self.subject, self.files, self.clock, known)
        except KeyboardInterrupt:
            self.clock.interrupt()
            rows = property_facts(self.subject, self.files, self.clock, known)  # the others are undecided
        self.decided = {i: row for i, row in enumerate(rows) if row.status != "undecided"}
        return rows

    def density(self) -> Density | None:
        """Regions between and around data points."""
        self.begin("density")
        if self.subject.points is None:
            what = "accuracy, slopes, density, local complexity and distances at data points"
            self.clock.refuse(what, "no data points were given")
        what = "regions between and around data points"
        return self.clock.answered(what, lambda: density_facts(self.subject, self.radius, self.clock), None)

    def local_complexity(self) -> LocalComplexityFacts | None:
        """Units with a crossing near data points."""
        self.begin("local complexity")
        subject, clock, x = self.subject, self.clock, self.subject.points
        if x is None or not subject.network.n_units:
            return None
        if self.radius <= 0:
            clock.refuse(
                "local complexity", "the data points coincide, so no radius suggests itself; give one"
            )
            return None
        facts = clock.answered(
            "local complexity",
            lambda: complexity_facts(subject.network, x, subject.labels, self.radius, clock.left),
            None,
        )
        if facts is None:
            return None
        if facts.points < facts.points_given:
            rest = facts.points_given - facts.points
            why = f"the first {facts.points:,} took the time allowed"
            clock.refuse(f"local complexity at the other {rest:,} data points", why)
        return replace(facts, radius_chosen_by=self.chosen_by)

    def distances(self) -> Distances | None:
        """How far data points are from another class."""
        self.begin("distances")
        what = "distances to the decision boundary"
        return self.clock.answered(what, lambda: distance_facts(self.subject, self.clock, self.radii), None)


def _radius(subject: Subject, given: float | None) -> tuple[float, Chooser]:
    """The radius of neighbourhoods, and who chose it."""
    return (subject.radius, "default") if given is None else (given, "user")


def _sampled(complex: RegionComplex, clock: Clock) -> RegionComplex | None:
    """Regions hit by random points, where the search itself was stopped, in a quarter of its time."""
    if complex.complete or not complex.domain.is_bounded or (not len(complex) and clock.left <= 0):
        return None
    seconds = None if clock.limit is None else max(clock.seconds / 4, 1e-3)
    points = int(np.clip(2**21 // max(complex.network.n_units, 1), 64, 4096))
    return enumerate_regions(
        complex.network,
        complex.domain,
        Sampling(points),
        max_seconds=seconds,
        max_memory=clock.max_memory,
    )
