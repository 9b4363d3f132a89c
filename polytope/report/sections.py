"""The report: its sections, and what became of properties, checks and the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from polytope.labelled import Number
from polytope.report.data_sections import (
    NO_DATA,
    Conversion,
    DataFacts,
    Density,
    Distances,
    Lipschitz,
    LocalComplexityFacts,
)
from polytope.report.fields import About, Some
from polytope.report.network_sections import Adjacency, DomainFacts, ModelFacts, Redundancy, Regions, Search

VERSION: Final = 5
MOST_COORDINATES = 32
"""Coordinates of a counterexample that are written."""


@dataclass(frozen=True)
class PropertyFacts:
    """What is known of a VNN-LIB property."""

    file: str
    status: Literal["violated", "holds", "undecided", "not checked"]
    label: Literal["exact", "not computed"]
    why: str
    counterexample: Annotated[
        tuple[float, ...] | None, About("the first 32 coordinates", limits={"maxItems": MOST_COORDINATES})
    ]
    outputs: Annotated[tuple[float, ...] | None, About(limits={"maxItems": MOST_COORDINATES})]
    confirmed: Annotated[bool | None, About("by the file's runtime")]
    regions: Some


@dataclass(frozen=True)
class Spent:
    """What a question was allowed and took."""

    question: str
    allowed: float | None
    used: float


@dataclass(frozen=True)
class BudgetFacts:
    """The limits of the audit."""

    max_regions: int | None
    max_seconds: float | None
    questions: Annotated[tuple[Spent, ...], About("seconds by question")]


@dataclass(frozen=True)
class LeftOut:
    """What was not done."""

    what: str
    why: str


@dataclass(frozen=True)
class Outcome:
    """What became of a check."""

    check: str
    metric: Number
    result: Literal["passes", "fails", "undecided"]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that an audit found."""

    schema: Literal["polytope-audit"] = "polytope-audit"
    schema_version: Literal[5] = VERSION
    created: Annotated[str, About("UTC, ISO 8601")]
    verdict: Annotated[
        tuple[str, ...], About("sentences: properties, model, data, regions, units", limits={"minItems": 3})
    ] = ()
    checks: Annotated[
        tuple[Outcome, ...],
        About(
            "what --fail-on asked for; undecided (the metric is missing, or is a bound that leaves the "
            "answer open) counts as failed"
        ),
    ] = ()
    model: ModelFacts
    domain: DomainFacts
    data: Annotated[DataFacts | None, About(missing="it needs data points with labels")]
    search: Search
    conversion: Conversion
    regions: Regions
    coverage: Annotated[Number, About("in planes: area of the regions over the area of the domain")]
    adjacency: Adjacency
    redundancy: Redundancy
    lipschitz: Annotated[Lipschitz, About("2-norms; over the domain lengths are those of the input space")]
    density: Annotated[
        Density | None,
        About(
            "on segments between successive data points, or a piece of each, and in squares around them",
            missing=NO_DATA,
        ),
    ]
    local_complexity: Annotated[
        LocalComplexityFacts | None,
        About(
            "means over data points of the number of units with a crossing nearby; null without data",
            missing=NO_DATA,
        ),
    ]
    distances: Annotated[
        Distances | None,
        About(
            "of data points from the decision boundary, in the whole input space",
            missing=NO_DATA,
        ),
    ]
    properties: tuple[PropertyFacts, ...]
    budget: BudgetFacts
    not_done: tuple[LeftOut, ...]
    environment: dict[str, str]
    command: str | None = None
