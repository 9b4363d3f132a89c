"""``polytope check``: VNN-LIB properties, decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

import adapters
from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading
from polytope.cli.reading import load
from polytope.cli.results import finish, import_facts, print_json, say
from polytope.cli.terminal import FAILED, USAGE, end, meaning, sentences
from polytope.ir import Network
from polytope.properties.vnnlib_property import Property
from polytope.report.files import property_from

if TYPE_CHECKING:
    from polytope.properties.decide import PropertyCheck

T = TypeVar("T")


@dataclass(frozen=True)
class Deciding:
    """How properties are decided, and where the answers go."""

    enumerate_all: Annotated[
        bool,
        typer.Option("--enumerate", help="Prove by complete enumeration even if bound propagation suffices."),
    ] = False
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads of the search.")] = 1
    max_seconds: options.MaxSeconds = None
    result: Annotated[
        Path | None,
        typer.Option(
            "--result",
            metavar="FILE",
            help="Write sat, unsat, timeout or unknown, and the counterexample, as VNN-COMP wants them; "
            "with several properties a folder, for one file each.",
            show_default=False,
        ),
    ] = None


@grouped
def check(
    model: options.Model,
    stated: Annotated[
        list[Path],
        typer.Argument(
            metavar="PROPERTY...", help="VNN-LIB files, of version 1.0 or 2.0, also .gz.", show_default=False
        ),
    ],
    *,
    deciding: Deciding,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Verify VNN-LIB properties (exit code 1 if violated); counterexamples are replayed in onnxruntime.

    The time limit is for each of them. Of several the others are decided where one is no property of this
    model; the command then ends with exit code 2.
    """
    with sentences(), Console(stderr=True).status("deciding the property"):
        from polytope.report.property import property_facts, property_verdict

        results = _result_files(stated, deciding.result)
        refused: dict[Path, str] = {}
        properties = _each(stated, property_from, refused)
        network = load(model, reading)
        found = _each(
            list(properties),
            lambda file: _decided(network, file, properties[file], deciding, results.get(file)),
            refused,
        )
    if as_json:
        facts = {str(file): property_facts(one) for file, one in found.items()}
        facts |= {str(file): {"status": "refused", "why": why} for file, why in refused.items()}
        only = next(iter(facts.values()))
        print_json((only if len(facts) == 1 else {"properties": facts}) | import_facts(network))
    else:
        for file, one in found.items():
            answer = property_verdict(one, deciding.max_seconds)
            say((f"{file.name}: " if len(stated) > 1 else "") + answer)
    if refused:
        end(USAGE, "\n".join(refused.values()))
    if any(one.status == "violated" for one in found.values()):
        raise typer.Exit(FAILED)
    finish(complete=all(one.status == "holds" for one in found.values()))


def _each(files: list[Path], what: Callable[[Path], T], refused: dict[Path, str]) -> dict[Path, T]:
    """What is made of each file; why not, where a file is at fault and not the only one."""
    done: dict[Path, T] = {}
    for file in files:
        try:
            done[file] = what(file)
        except (ValueError, OSError) as error:
            code, why = meaning(error)
            if code != USAGE or (not refused and len(files) == 1):
                raise
            refused[file] = why
    return done


def _decided(
    network: Network, file: Path, stated: Property, how: Deciding, result: Path | None
) -> PropertyCheck:
    """One property, and its result file."""
    from polytope.properties.competition import competition_result
    from polytope.properties.decide import check_property

    try:
        found = check_property(
            network,
            stated,
            max_seconds=how.max_seconds,
            workers=how.workers,
            prove="enumeration" if how.enumerate_all else "any",
            runtime=adapters.runtime(network),
        )
    except ValueError as error:
        if meaning(error)[0] != USAGE:
            raise
        raise ValueError(f"{file.name}: {error}") from error
    if result is not None:
        text = competition_result(found, stated, max_seconds=how.max_seconds)
        result.write_text(text, encoding="utf-8")
    return found


def _result_files(stated: list[Path], result: Path | None) -> dict[Path, Path]:
    """Where the result of each property goes; the folder of several is made."""
    if result is None:
        return {}
    if len(stated) == 1:
        result.parent.mkdir(parents=True, exist_ok=True)
        return {stated[0]: result}
    names = [file.name.removesuffix(".gz").removesuffix(".vnnlib") + ".txt" for file in stated]
    if len(set(names)) < len(names):
        raise ValueError(
            "Two properties have the same name; check them apart, each with a --result of its own."
        )
    result.mkdir(parents=True, exist_ok=True)
    return {file: result / name for file, name in zip(stated, names, strict=True)}
