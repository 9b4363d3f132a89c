"""``polytope plot``: pictures of regions and of what lies on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import (
    Colour,
    EngineName,
    Reading,
    Subject,
    Where,
    chosen_engine,
    chosen_scope,
)
from polytope.cli.reading import load
from polytope.cli.results import by_default, finish, say
from polytope.cli.terminal import sentences, watching
from polytope.runs.enumerate import enumerate_regions

DRAWING = 0.5  # seconds for drawing what a search left incomplete, at least; or a tenth of its own


@grouped
def plot(
    model: options.Model,
    where: Where,
    *,
    out: Annotated[Path, typer.Option("--out", help="The picture: .svg, .png or .pdf.")] = Path(
        "regions.svg"
    ),
    what: Annotated[Subject, typer.Option("--what", help="Plot type.")] = Subject.REGIONS,
    colour: Annotated[
        Colour, typer.Option("--color-by", help="Quantity mapped to colour.")
    ] = Colour.JACOBIAN,
    vnnlib: options.Vnnlib = None,
    radius: options.Radius = None,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = 200_000,
    max_seconds: options.MaxSeconds = 60.0,
    reading: Reading,
) -> None:
    """Draw regions in two or three dimensions, decision boundaries, their graph, bounds, or complexity."""
    complete = True
    with sentences(), watching(Console(stderr=True)) as watch:
        from polytope.cli.drawing import draw_complex, draw_complexity, refuse_dimensions
        from polytope.plots.files import picture_format, write_picture

        picture_format(out)
        network = load(model, reading)
        scope = chosen_scope(network, where, vnnlib)
        refuse_dimensions(what, scope.domain.dim)
        watch.stage("regions")
        if what is Subject.COMPLEXITY:
            figure = draw_complexity(network, scope, radius)
        else:
            plane = what is Subject.REGIONS and scope.domain.dim == 2
            found = enumerate_regions(
                scope.restricted(network),
                scope.domain,
                chosen_engine(engine),
                max_regions=max_regions,
                max_seconds=max_seconds,
                progress=watch.regions,
                keep="vertices" if plane else "cells",  # what is drawn needs its corners
            )
            complete = found.complete
            left = (
                None if max_seconds is None else max(max_seconds - found.seconds, max_seconds / 10, DRAWING)
            )
            figure, whole = draw_complex(what, found, colour, corners=where.window is not None, seconds=left)
            complete &= whole
        write_picture(figure, out)
    say(f"written: {out}, {scope.description}{by_default(scope)}")
    if not complete:
        say(f"not complete: {figure.axes[0].get_title()}")
    finish(complete=complete or engine is EngineName.SAMPLING)
