"""The audit in three sentences."""

from __future__ import annotations

from typing import Any

from polytope.report.labels import Labelled, in_words


def verdict(report: dict[str, Any]) -> list[str]:
    """What was read and how well, what was counted, and what lies idle."""
    return [_conversion(report["model"]), _regions(report), _units(report)]


def _conversion(model: dict[str, Any]) -> str:
    name = model["file"]["name"] if model["file"] else "The model"
    size = f"{model['input_dim']['value']:,} inputs, {model['output_dim']['value']:,} outputs"
    what = f"{name} is a piecewise-linear network with {size} and {model['units']['value']:,} units that bend"
    error = model["import_error"]
    if error["label"] == "not computed":
        return f"{what}."
    seen = f"by at most {error['value']:.2g} on the inputs tried"
    return f"{what}; its conversion differs from its own runtime {seen}."


def _regions(report: dict[str, Any]) -> str:
    regions, where = report["regions"], report["domain"]["description"]
    count: Labelled = regions["activation"]
    if report["search"]["complete"]:
        linear = regions["linear"]
        tail = f", which form {in_words(linear)} linear regions" if linear["label"] == "exact" else ""
        return f"In {where} it has exactly {in_words(count)} activation regions{tail}."
    return (
        f"In {where} it has {in_words(count)} activation regions: the search was stopped by its budget, "
        "so this is an interval and not a count."
    )


def _units(report: dict[str, Any]) -> str:
    units = report["units"]
    if units is None:
        return "The budget ended before the first region was found, so nothing is known about the units."
    total = units["total"]
    return (
        f"Of its {total['units']['value']:,} units, {in_words(total['dead'])} are dead there (constant) and "
        f"{in_words(total['always_on'])} are always on (affine)."
    )
