"""The native core of polytope: one search over cells, with exact signs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Name = tuple[int, int, float]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Path = Sequence[int]

def explore(
    network: object,
    planes: Floats,
    incidence: Integers,
    rec_i: Integers,
    rec_f: Floats,
    *,
    keep: int,
    paths: Sequence[Path],
    most: int,
    seconds: float,
    workers: int,
    cases: Sequence[Sequence[int]],
    exact: Callable[[list[Name], Name, Integers], float],
    reduce: Callable[[dict[str, Any]], int] | None,
    attend: Callable[[int], bool] | None,
) -> dict[str, Any]: ...
def explore_lp(
    network: object,
    low: Sequence[float],
    high: Sequence[float],
    center: Sequence[float],
    faces: Sequence[int],
    *,
    keep: int,
    paths: Sequence[Path],
    most: int,
    seconds: float,
    workers: int,
    floats: bool = True,
    exact: Callable[..., tuple[int, list[float], list[float]]],
    attend: Callable[[int], bool] | None,
) -> dict[str, Any]: ...
def match(keys: NDArray[np.uint64], begin: Integers, places: bool, workers: int) -> tuple[Integers, int]: ...
def volumes(
    vertex_begin: Integers,
    vertices: Floats,
    errors: Floats,
    incidences: NDArray[np.uint64],
    facet_begin: Integers,
) -> tuple[Floats, Floats]: ...
def facet_volumes(
    vertex_begin: Integers,
    vertices: Floats,
    incidences: NDArray[np.uint64],
    facet_begin: Integers,
    wanted: NDArray[np.bool_],
) -> Floats: ...
def propose_facets(
    rows: Floats, wanted: Integers, reach: float
) -> tuple[Integers, Floats, Floats, Floats]: ...
def double_row(network: object, a: int, b: int, pieces: Integers) -> Floats: ...
def unit_form(network: object, unit: int, piece: int) -> Floats: ...
def planar_value(g: Sequence[float], f: Sequence[float], e: Sequence[float]) -> float | None: ...

Reals = NDArray[Any]

def second_layer(
    z1: Reals,
    offsets: Reals,
    usual: NDArray[np.bool_],
    shared: Reals,
    noise: Reals,
    weights: Reals,
    z2: Reals,
    out: Reals,
    crossed: Integers,
) -> None: ...
def next_layer(z: Reals, weights: Reals, bias: Reals, out: Reals, crossed: Integers) -> None: ...
def last_layer(
    z: Reals,
    centre: Reals,
    weights: Reals,
    bias: Reals,
    squares: Reals,
    next_centre: Reals,
    slack: float,
    crossed: Integers,
    next_crossed: Integers,
) -> None: ...
def crossings(z: Reals, crossed: Integers) -> None: ...
