"""The sections of the report on the network and its regions; their fields say what tables and checks know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from polytope.labelled import Number
from polytope.report.fields import About, Count, Some


@dataclass(frozen=True)
class File:
    """The model file."""

    name: str
    bytes: Some
    sha256: Annotated[str, About(limits={"pattern": "^[0-9a-f]{64}$"})]


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the network."""

    layer: Count
    reads: Annotated[tuple[Some, ...], About("0 is the input, l the output of layer l")]
    maps: tuple[str, ...]
    outputs: Count
    activation: str | None


@dataclass(frozen=True)
class ModelFacts:
    """What the file holds."""

    file: Annotated[File | None, About("null for a network in memory")]
    piece: Annotated[str, About("which part of the file this is, empty for all of it")]
    splines: Annotated[
        tuple[str, ...], About("smooth activations of the model, for which splines stand in the network")
    ]
    deviation: Annotated[
        Number, About("how far outputs of the model can be from those of its splines, on all inputs")
    ]
    dequantised: Annotated[
        bool, About("whether the model rounds to whole numbers, which is left out in the network")
    ]
    dtype: Annotated[str, About("number type of the file; the analysis is in float64")]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_shape: tuple[int, ...]
    input_dim: Number
    output_dim: Number
    units: Annotated[Number, About("units in the layers with activations: the length of a pattern")]
    layers: tuple[LayerFacts, ...]


@dataclass(frozen=True)
class DomainFacts:
    """Where the audit looked."""

    kind: Literal["box", "polytope", "window"]
    dim: Count
    description: str
    chosen_by: Literal["user", "default"]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


@dataclass(frozen=True)
class Search:
    """What searched, how long, and whether it came to an end."""

    engine: str
    seconds: Number
    complete: Annotated[bool, About("false: a limit stopped the search, regions are missing")]
    stopped_by: Annotated[str | None, About("that limit: regions, seconds, memory or interrupt")]
    statistics: Annotated[dict[str, float], About("what decided how often; depends on the engine")]


@dataclass(frozen=True)
class Regions:
    """How many regions there are."""

    activation: Annotated[
        Number,
        About(
            "sets on which every unit stays on one piece",
            row="activation regions",
            place="the domain",
            check="regions",
            checked="activation regions in the domain",
        ),
    ]
    linear: Annotated[
        Number, About("maximal connected sets with one affine map", row="linear regions", place="the domain")
    ]
    pieces: Annotated[Number, About("distinct affine maps", row="affine pieces", place="the domain")]


@dataclass(frozen=True)
class Degrees:
    """Regions by number of neighbours."""

    label: Literal["exact"]
    regions_with: Annotated[tuple[Some, ...], About("regions with 0, 1, 2, ... neighbours, up to 63")]


@dataclass(frozen=True)
class Adjacency:
    """The dual graph."""

    edges: Annotated[Number, About(row="adjacent pairs", place="the domain")]
    mean_degree: Number
    least_degree: Number
    largest_degree: Number
    components: Number
    diameter: Number
    gap: Annotated[Number, About("second eigenvalue of the normalised Laplacian")]
    degrees: Degrees | None


@dataclass(frozen=True)
class Use:
    """How many units are fixed on one piece."""

    units: Number
    dead: Annotated[
        Number,
        About(
            "constant throughout",
            row="dead units",
            place="the domain",
            check="dead_units",
            checked="share of units that are constant in the domain, 0 to 1",
            share_of="units",
        ),
    ]
    always_on: Annotated[
        Number,
        About(
            "affine throughout",
            row="units always on",
            place="the domain",
            check="always_on",
            checked="share of units that are affine in the domain, 0 to 1",
            share_of="units",
        ),
    ]


@dataclass(frozen=True)
class LayerUse(Use):
    """How many units of a layer are fixed."""

    layer: int


@dataclass(frozen=True)
class UseByLayer:
    """How the units are used somewhere."""

    total: Use
    layers: tuple[LayerUse, ...]


@dataclass(frozen=True)
class UseAtData:
    """Units that the data leaves on one piece."""

    points: Number
    one_piece: Annotated[Number, About("units on one piece at all of these points")]


@dataclass(frozen=True)
class Saved:
    """What simplify removes."""

    where: str
    units_before: Number
    units_after: Number
    removed: Annotated[
        Number,
        About(
            row="units that simplify removes",
            check="removable_units",
            checked="share of units that simplify removes, 0 to 1",
            share_of="units_before",
        ),
    ]
    duplicates: Number
    unread: Number
    difference: Number


@dataclass(frozen=True)
class Redundancy:
    """Units that are not needed."""

    domain: Annotated[
        UseByLayer | None,
        About(
            "null where no region was found; dead: constant in the domain, always_on: affine in the domain",
            missing="no region was found",
        ),
    ]
    data_box: Annotated[
        UseByLayer | None,
        About("the same in the bounding box of the data, where the domain is a window", aside=True),
    ]
    data: UseAtData | None
    simplify: Saved
