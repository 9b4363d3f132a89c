"""What an audit is given: a model, data points, requirements, and what it may spend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from polytope.engines.amounts import Bytes, Seconds, in_bytes, in_seconds, whole
from polytope.engines.engine import Engine
from polytope.engines.named import EngineLike, as_engine
from polytope.given import described
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.report.checks import read_check

Runtime = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A network with the file that it was read from.

    Arguments:
        network: the network.
        path: the file, for its name, size and hash.
        runtime: the model's own, ``[B, d]`` to ``[B, out]``, such as ``adapters.runtime(network)``; the
            network is compared with it.
        classes: names of the classes, one for every output; of a network with one output two.
        piece: which part of the file the network is, in words: "from 'x' to 'y'"; all of it by default.
    """

    network: Network
    path: str | Path | None = None
    runtime: Runtime | None = None
    classes: Sequence[str] = ()
    piece: str = ""

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Data:
    """Data points of a model.

    Arguments:
        points: ``[n, d]`` or ``[n, *input_shape]``.
        labels: their classes, whole numbers ``[n]``; or the values that the outputs should have, ``[n]`` or
            ``[n, out]``. Of a network with one output, 0 and 1 (or -1 and 1) are classes, told by its sign.
        radius: of the local complexity around them; by default a twentieth of their median distance.

    Raises:
        ValueError: the radius is not a positive finite number, or a point holds a value that is not finite.
        TypeError: the points are no array of numbers.
    """

    points: ArrayLike
    labels: ArrayLike | None = None
    radius: float | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        expected = f"Data: points are expected, an array [n, d], not {described(self.points)}."
        if self.points is None or isinstance(self.points, str | bytes | PathLike):
            raise TypeError(f"{expected} Of a file: numpy.load(path)['X'].")
        try:
            points = floats(self.points)
        except (TypeError, ValueError) as error:
            raise TypeError(expected) from error
        if not np.isfinite(points).all():
            raise ValueError("Data: points holds a value that is not a finite number; leave such points out.")
        if self.radius is not None and not 0 < self.radius < inf:
            raise ValueError(f"Data: radius must be a positive finite number, not {self.radius}.")


@dataclass(frozen=True)
class Requirements:
    """What must hold of a model.

    Arguments:
        properties: VNN-LIB files to check.
        fail_on: checks such as ``"dead_units>0.1"``; ``Audit.failed`` says which do not pass. A number that
            is missing, or of which a bound leaves the answer open, fails its check.

    Raises:
        ValueError: a check names no metric of the report.
    """

    properties: Sequence[str | Path] = ()
    fail_on: Sequence[str] = ()

    def __post_init__(self) -> None:
        for text in self.fail_on:
            read_check(text)


@dataclass(frozen=True, init=False)
class AuditBudget:
    """What an audit may spend, and the engine that spends it; ``None`` is no limit.

    Arguments:
        max_seconds: for all questions together: seconds, or a text such as "20s" or "5m".
        max_regions: that the search in the domain finds.
        engine: of that search, as in ``enumerate_regions``, or its name.
        max_memory: bytes that the process may have in use, or a text such as "2GB": a question for which they
            do not suffice ends, and is listed. By default what is in use, and half of what is free.

    Raises:
        ValueError: a limit is not positive.
        TypeError: a limit or the engine is of another type.
    """

    max_seconds: float | None
    max_regions: int | None
    engine: Engine | None
    max_memory: int | None

    def __init__(
        self,
        max_seconds: Seconds | None = 60.0,
        max_regions: int | None = 100_000,
        engine: EngineLike | None = None,
        max_memory: Bytes | None = None,
    ) -> None:
        regions = whole(max_regions, "max_regions", "a whole number is expected")
        object.__setattr__(self, "max_seconds", in_seconds(max_seconds))
        object.__setattr__(self, "max_regions", regions)
        object.__setattr__(self, "engine", None if engine is None else as_engine(engine))
        object.__setattr__(self, "max_memory", in_bytes(max_memory))


class Watch(Protocol):
    """Whom an audit tells how far it is."""

    def stage(self, words: str) -> None:
        """A new question is begun."""

    def regions(self, found: int, open_cells: int) -> None:
        """What the search has found: ``regions``, and ``open_cells`` that it still has to search."""


class Silence:
    """Nobody is told."""

    def stage(self, words: str) -> None:
        """Nothing."""

    def regions(self, found: int, open_cells: int) -> None:
        """Nothing."""
