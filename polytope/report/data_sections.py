"""The sections of the report on data points, slopes and the conversion; their fields say what checks know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from polytope.labelled import Number
from polytope.report.fields import About, Count, Some

NO_DATA = "it needs data points"
MOST_WRONG = 100
"""Misclassified points that are listed."""


@dataclass(frozen=True)
class Misclassified:
    """A data point that is not classified as its label says."""

    point: Some
    label: Some
    predicted: Some


@dataclass(frozen=True)
class DataFacts:
    """The data points."""

    points: Count
    labelled: Some
    task: Annotated[
        Literal["classification", "regression", "not known"],
        About("what the labels are: classes, values that the outputs should have, or nothing"),
    ]
    right: Annotated[
        Number | None,
        About(
            "points classified as labelled: by the largest output, or the sign of a single one",
            row="correctly classified",
            place="data points",
            check="accuracy",
            checked="share of data points classified as labelled, 0 to 1",
            share_of="labelled",
            missing="it needs data points with classes",
        ),
    ]
    wrong: Annotated[
        tuple[Misclassified, ...], About("the first 100 of the others", limits={"maxItems": MOST_WRONG})
    ]
    error: Annotated[
        Number | None,
        About(
            "of a regression: root of the mean squared difference of outputs and labels",
            row="root mean squared error",
            place="data points",
            check="rmse",
            checked="root mean squared error at data points whose labels are values",
            missing="it needs data points with values as labels",
        ),
    ]
    names: Annotated[tuple[str, ...], About("of the classes, by number")]


@dataclass(frozen=True)
class Compared:
    """The network against the file's runtime, on one kind of inputs."""

    points: Literal["data", "random", "near a crossing"]
    tried: Some
    largest: Number
    relative: Annotated[Number, About("to the largest output of the same input")]
    other_class: Annotated[
        Number, About("inputs at which the largest output is another (of one output: its sign)")
    ]


@dataclass(frozen=True)
class Conversion:
    """The network against the file's runtime."""

    runtime: Annotated[bool, About("whether the file's own runtime was run")]
    when_loaded: Annotated[Number, About("largest |model(x) - network(x)| seen when loading")]
    kinds: tuple[Compared, ...]


@dataclass(frozen=True)
class Slopes:
    """Norms of the Jacobians at data points."""

    points: Count
    median: Number
    largest: Annotated[
        Number,
        About(
            row="largest slope",
            place="data points",
            check="data_slope",
            checked="largest norm of a Jacobian at a data point",
        ),
    ]


@dataclass(frozen=True)
class Lipschitz:
    """How steep the network is."""

    domain: Annotated[
        Number,
        About(
            row="Lipschitz constant",
            place="the domain",
            check="lipschitz",
            checked="Lipschitz constant over the domain, 2-norms",
        ),
    ]
    data_box: Annotated[Number | None, About(row="Lipschitz constant there", place="the data's box")]
    data: Annotated[Slopes | None, About(missing=NO_DATA)]


@dataclass(frozen=True)
class Places:
    """Regions in places of one kind."""

    share: Annotated[
        float,
        About(
            "of the length or area of each place, the part that was looked at; below 1 where the whole would "
            "take too long",
            limits={"exclusiveMinimum": 0, "maximum": 1},
        ),
    ]
    places: Count
    complete: Some
    mean_size: Annotated[Number, About("length or area in the input space")]
    regions: Annotated[Number, About("mean of activation regions")]
    density: Annotated[
        Number,
        About(
            "regions per unit of length or area",
            check="density",
            checked="regions per unit of length between data points",
        ),
    ]
    densest: Number


@dataclass(frozen=True)
class SegmentCrossings:
    """Crossings on the segment from a data point to the next, or on the part of it that was looked at."""

    point: Annotated[int, About("where it begins", limits={"minimum": 0})]
    crossings: Annotated[Number, About("places where units cross a breakpoint: one less than regions")]
    expected: Annotated[
        Number, About("their expected number at initialisation, where the architecture can be read")
    ]


@dataclass(frozen=True)
class Crossings:
    """Crossings on the segments that were counted to the end, beside what is expected at initialisation."""

    segments: Annotated[tuple[SegmentCrossings, ...], About(limits={"minItems": 1})]
    mean: Annotated[
        Number,
        About(
            "of the segments",
            row="crossings on a segment, mean",
            place="between data points",
        ),
    ]
    expected: Annotated[
        Number,
        About(
            "mean over the same segments, at torch's initialisation in the limit of infinite width; every "
            "dense layer and convolution is taken for one of independent weights"
        ),
    ]


@dataclass(frozen=True)
class Density:
    """How many regions there are between and around data points."""

    segments: Annotated[Places | None, About(missing="no segment was looked at")]
    squares: Annotated[Places | None, About(aside=True)]
    side: float
    crossings: Annotated[
        Crossings | None,
        About("null where no segment was counted to the end", missing="no segment was counted to the end"),
    ]


@dataclass(frozen=True)
class Group:
    """The mean local complexity of some data points."""

    points: int
    total: Number


@dataclass(frozen=True)
class ClassGroup(Group):
    """The mean local complexity of a class."""

    class_: int


@dataclass(frozen=True)
class LocalComplexityFacts:
    """Units with a crossing near data points."""

    radius: Annotated[float, About(limits={"exclusiveMinimum": 0})]
    directions: Count
    points: Count
    points_given: Count
    total: Annotated[
        Number,
        About(
            row="local complexity, mean",
            place="data points",
            check="local_complexity",
            checked="mean local complexity at the data",
        ),
    ]
    layers: tuple[Number, ...]
    classes: tuple[ClassGroup, ...] = ()
    right: Annotated[Group | None, About(aside=True)] = None
    wrong: Annotated[Group | None, About(aside=True)] = None
    radius_chosen_by: Literal["user", "default"] = "user"


@dataclass(frozen=True)
class PointDistance:
    """How far a data point is from another class."""

    point: Some
    class_: Some
    distance: Number


@dataclass(frozen=True)
class Distances:
    """How far data points are from another class."""

    norm: Literal[2]
    points: Annotated[
        tuple[PointDistance, ...],
        About("those with the least margin over its slope, by number", limits={"minItems": 1}),
    ]
    of: Annotated[Count, About("data points that they were chosen from")]
    exact: Some
    least: Annotated[
        Number,
        About(
            row="distance to the decision boundary, least",
            place="data points",
            check="distance",
            checked="least distance of a data point to another class",
        ),
    ]
    median: Number
