"""The sections of the report on data points, slopes and the conversion; their fields say what checks know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from polytope.labelled import Number
from polytope.report.fields import About, Count, Some

NO_DATA = "it needs data points"


@dataclass(frozen=True)
class DataFacts:
    """The data points."""

    points: Count
    labelled: Some
    right: Annotated[
        Number | None,
        About(
            "points that the largest output classifies as labelled",
            check="accuracy",
            checked="share of data points classified as labelled, 0 to 1",
            share_of="labelled",
            missing="it needs data points with labels",
        ),
    ]


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
    when_loaded: Annotated[
        Number, About("largest |model(x) - network(x)| seen when loading", row="import error")
    ]
    kinds: tuple[Compared, ...]


@dataclass(frozen=True)
class Slopes:
    """Norms of the Jacobians at data points."""

    points: Count
    median: Number
    largest: Annotated[
        Number, About(check="data_slope", checked="largest norm of a Jacobian at a data point")
    ]


@dataclass(frozen=True)
class Lipschitz:
    """How steep the network is."""

    domain: Annotated[
        Number,
        About(
            row="Lipschitz constant", check="lipschitz", checked="Lipschitz constant over the domain, 2-norms"
        ),
    ]
    data_box: Number | None
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
class Density:
    """How many regions there are between and around data points."""

    segments: Annotated[Places | None, About(missing="no segment was looked at")]
    squares: Annotated[Places | None, About(aside=True)]
    side: float


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
    points: Annotated[tuple[PointDistance, ...], About(limits={"minItems": 1})]
    exact: Some
    least: Annotated[
        Number,
        About(
            row="nearest other class",
            check="distance",
            checked="least distance of a data point to another class",
        ),
    ]
    median: Number
