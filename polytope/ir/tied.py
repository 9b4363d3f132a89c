"""How the weights of a layer are shared between its sites, and how they are drawn at first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Weights:
    """The axes of a parameter that count channels, and how it is drawn.

    Arguments:
        out: the axis of the outgoing channels.
        into: that of the incoming ones; ``None`` for a bias.
        std: the standard deviation at initialisation, one number or one for each entry of the other axes.
    """

    out: int
    into: int | None
    std: float | FloatArray


@dataclass(frozen=True, eq=False)
class Ties:
    """A layer whose weights are shared: every parameter is free in its channels, and the rest are slots.

    Arguments:
        axis: of the channels in values without the batch axis; where it holds more than channels, these come
            first.
        parameters: by name.
    """

    axis: int
    parameters: Mapping[str, Weights]
