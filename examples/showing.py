"""What the scripts of the folders beside this file share: pictures without a screen, and the command line."""

import argparse
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

Figures = dict[str, Any]


def pyplot() -> ModuleType:
    """Matplotlib's pyplot, drawing into files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def shown(value: Any) -> str:
    """A figure as printed: four digits, and more where less than 1 would read as 1."""
    if not isinstance(value, float):
        return str(value)
    digits = 4
    while value < 1 and float(f"{value:.{digits}g}") == 1:
        digits += 1
    return f"{value:.{digits}g}"


def show(
    text: str | None,
    measure: Callable[..., Figures],
    plot: Callable[[Figures, Path], None] | None = None,
    *,
    table: Callable[[Any], str] | None = None,
    options: Iterable[str] = (),
) -> None:
    """Measure, print and draw as the command line asks.

    Arguments:
        text: the experiment's description.
        measure: gives at least ``figures``.
        plot: draws the result into the file ``--out``.
        table: of the result's ``rows``, printed before the figures.
        options: names of arguments of ``measure`` that can be set; the types are those of their annotations.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {name: inspect.signature(measure).parameters[name] for name in options}
    for name, kind in kinds.items():
        if kind.annotation is bool:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            convert = Path if kind.default is None else kind.annotation
            parser.add_argument(f"--{name}", type=convert, default=kind.default)
    if plot:
        parser.add_argument("--out", type=Path)
    given = vars(parser.parse_args())
    result = measure(**{name: given[name] for name in kinds})
    if table:
        print(table(result["rows"]))
    for name, value in result["figures"].items():
        print(f"{name}: {shown(value)}")
    if plot and given["out"]:
        plot(result, given["out"])
