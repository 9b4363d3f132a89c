"""``polytope count``: how many activation regions."""

from __future__ import annotations

import resource
import sys

from rich.console import Console

from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import EngineName, Reading, Where, chosen_engine, chosen_scope, in_bytes
from polytope.cli.reading import load
from polytope.cli.results import by_default, count_facts, count_words, finish, import_facts, print_json, say
from polytope.cli.terminal import sentences, watching
from polytope.runs.enumerate import count_regions


@grouped
def count(
    model: options.Model,
    where: Where,
    *,
    vnnlib: options.Vnnlib = None,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = None,
    max_seconds: options.MaxSeconds = None,
    max_memory: options.MaxMemory = None,
    workers: options.Workers = 1,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Count the activation regions in a domain: exactly, or as an interval if a budget ends the search."""
    with sentences(), watching(Console(stderr=True)) as watch:
        network = load(model, reading)
        scope = chosen_scope(network, where, vnnlib)
        watch.stage("regions")
        found = count_regions(
            scope.restricted(network),
            scope.domain,
            chosen_engine(engine, workers),
            max_regions=max_regions,
            max_seconds=max_seconds,
            max_memory=in_bytes(max_memory),
            progress=watch.regions,
        )
    if as_json:
        facts = count_facts(found) | {
            "engine": found.engine,
            "seconds": round(found.seconds, 6),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            **import_facts(network),
            "domain": scope.description,
            "domain_chosen_by": scope.chosen_by,
            "statistics": {name: float(value) for name, value in found.statistics.items()},
        }
        print_json(facts)
    else:
        say(f"{count_words(found)} in {scope.description}{by_default(scope)}")
    finish(complete=found.complete or engine is EngineName.SAMPLING)


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
