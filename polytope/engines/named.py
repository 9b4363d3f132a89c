"""Engines by their names: ``"auto"``, ``"vertices"``, ``"lp"``, ``"sampling"``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from polytope.engines.engine import Engine
from polytope.engines.layer_split import LayerSplit
from polytope.engines.sampling import Sampling
from polytope.given import described

EngineLike: TypeAlias = Engine | str
"""An engine, or the name of one with its default options."""

ENGINES: Mapping[str, Callable[[], Engine]] = {
    "auto": LayerSplit,
    "vertices": lambda: LayerSplit(cells="vertices"),
    "lp": lambda: LayerSplit(cells="lp"),
    "sampling": Sampling,
}


def as_engine(given: EngineLike | None) -> Engine:
    """An engine itself, or the one of a name; ``LayerSplit()`` where nothing is given.

    Arguments:
        given: an engine, or "auto", "vertices", "lp" or "sampling".

    Raises:
        TypeError: it is neither.
    """
    if given is None:
        return LayerSplit()
    if isinstance(given, str) and given in ENGINES:
        return ENGINES[given]()
    if isinstance(given, type | str) or not hasattr(given, "search"):
        names = ", ".join(f'"{name}"' for name in ENGINES)
        raise TypeError(
            f"engine: an engine is expected, such as LayerSplit() or FacetFlip(start), or one of {names}, "
            f"not {described(given)}."
        )
    return given
