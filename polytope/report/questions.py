"""The questions of an audit in their order, each within its share of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from polytope.engines.budget import Progress
from polytope.engines.engine import Engine
from polytope.engines.sampling import Sampling
from polytope.geometry import Polyhedron
from polytope.ir import mlp
from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex
from polytope.report.clock import Clock
from polytope.report.complexity import complexity_facts
from polytope.report.conversion import conversion_facts
from polytope.report.density import density_facts
from polytope.report.html import Picture, window_picture
from polytope.report.property_checks import property_facts
from polytope.report.redundancy import domain_units, redundancy_facts
from polytope.report.regions import adjacency_numbers, coverage, plane_outlines, region_numbers
from polytope.report.slopes import distance_facts, lipschitz_facts
from polytope.report.subject import Subject
from polytope.report.windows import Window, windows
from polytope.runs.enumerate import enumerate_regions

WEIGHTS = {
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

Stage = Callable[[str], None]


def shares(subject: Subject, files: Sequence[Path]) -> dict[str, float]:
    """The weights of the questions; next to nothing for those that have no subject here."""
    idle = set() if subject.points is not None else {"density", "local complexity", "distances"}
    idle |= set() if files else {"properties"}
    return {name: 1e-3 if name in idle else weight for name, weight in WEIGHTS.items()}


class Answers:
    """The questions of an audit, asked one after another, each within its share of the time."""

    def __init__(
        self, subject: Subject, clock: Clock, tell: Stage, radius: float | None, files: Sequence[Path]
    ) -> None:
        self.subject, self.clock, self.tell, self.radius, self.files = subject, clock, tell, radius, files
        self.facts: dict[str, Any] = {}
        self.windows: list[Window] = []
        self.pictures: tuple[Picture, ...] = ()

    def begin(self, question: str) -> None:
        """Go on to a question."""
        if self.clock.spent:
            self.clock.end()
        self.tell(question)
        self.clock.begin(question)

    def ask(self, engine: Engine | None, max_regions: int | None, progress: Progress | None) -> RegionComplex:
        """All answers; returns the complex that they speak about."""
        subject, clock, facts = self.subject, self.clock, self.facts
        self.begin("conversion")
        facts["conversion"] = conversion_facts(subject, clock.seconds)
        self.begin("regions")
        complex = enumerate_regions(
            subject.inside,
            subject.scope.domain,
            engine,
            max_regions=max_regions,
            max_seconds=clock.limit,
            progress=progress,
        )
        sampled = _sampled(complex)
        self.begin("windows")
        self.windows = windows(subject, complex, clock)
        self.pictures = tuple(window_picture(w) for w in self.windows[:1])
        self.begin("linear regions and pieces")
        facts["regions"] = region_numbers(complex, len(sampled) if sampled else 0, clock)
        self.begin("redundancy")
        use = domain_units(subject.inside, complex, sampled)
        facts["redundancy"] = redundancy_facts(subject, use, complex, clock)
        self.begin("adjacency")
        facts["adjacency"] = adjacency_numbers(complex, clock)
        facts["coverage"] = coverage(complex, self._outlines(complex))
        self._about_the_data(complex)
        self.clock.end()
        return complex

    def _outlines(self, complex: RegionComplex) -> list[FloatArray] | None:
        """The outlines of the regions, where the domain is a plane and a window has them, or time is left."""
        known = next((w.polygons for w in self.windows if w.complex is complex), None)
        return plane_outlines(complex, self.clock) if known is None else known

    def _about_the_data(self, complex: RegionComplex) -> None:
        """Slopes, properties, density, complexity, distances."""
        subject, clock, facts = self.subject, self.clock, self.facts
        self.begin("Lipschitz constants")
        facts["lipschitz"] = lipschitz_facts(subject, complex, clock)
        self.begin("properties")
        facts["properties"] = property_facts(subject, self.files, clock)
        radius = subject.radius if self.radius is None else self.radius
        self.begin("density")
        facts["density"] = density_facts(subject, radius, clock)
        self.begin("local complexity")
        facts["local_complexity"] = self._complexity(radius)
        self.begin("distances")
        facts["distances"] = distance_facts(subject, clock)

    def _complexity(self, radius: float) -> dict[str, Any] | None:
        subject, clock = self.subject, self.clock
        if subject.points is None or not subject.network.n_units:
            return None
        if radius <= 0:
            clock.refuse(
                "local complexity", "the data points coincide, so no radius suggests itself; give one"
            )
            return None
        facts = complexity_facts(subject.network, subject.points, subject.labels, radius, clock.left)
        if facts["points"] < facts["points_given"]:
            rest = facts["points_given"] - facts["points"]
            why = f"the first {facts['points']:,} took the time allowed"
            clock.refuse(f"local complexity at the other {rest:,} data points", why)
        return facts | {"radius_chosen_by": "default" if self.radius is None else "user"}


def prepare(subject: Subject) -> None:
    """Load torch, and what the searches compile once per installation, before the time counts."""
    import_module("polytope.batched")
    for d in {min(subject.scope.domain.dim, 7), 2}:
        tiny = mlp([(np.eye(d)[:1], [0.1]), ([[1.0]], [0.0])])
        enumerate_regions(tiny, Polyhedron.box([-1.0] * d, [1.0] * d))


def _sampled(complex: RegionComplex) -> RegionComplex | None:
    """Regions hit by random points, where the search itself was stopped."""
    if complex.complete or not complex.domain.is_bounded:
        return None
    points = int(np.clip(2**21 // max(complex.network.n_units, 1), 64, 4096))
    return enumerate_regions(complex.network, complex.domain, Sampling(points))
