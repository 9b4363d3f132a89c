"""The audit in three sentences."""

from __future__ import annotations

from typing import Any

from polytope.labels import Labelled, in_words
from polytope.report.conversion import NO_RUNTIME


def verdict(report: dict[str, Any]) -> list[str]:
    """What was read and how well, what was counted, and what follows from it."""
    return [_conversion(report), _regions(report), _units(report)]


def _conversion(report: dict[str, Any]) -> str:
    model, conversion = report["model"], report["conversion"]
    name = model["file"]["name"] if model["file"] else "The model"
    size = f"{model['input_dim']['value']:,} inputs, {model['output_dim']['value']:,} outputs"
    what = f"{name} is a piecewise-linear network with {size} and {model['units']['value']:,} units that bend"
    compared = [kind for kind in conversion["kinds"] if kind["largest"]["label"] == "estimate"]
    if compared:
        tried = sum(kind["tried"] for kind in compared)
        largest = max(kind["largest"]["value"] for kind in compared)
        other = sum(kind["other_class"]["value"] for kind in compared)
        classes = f"differs on {other:,}" if other else "never differs"
        return (
            f"{what}; max. output difference to its own runtime {largest:.2g} on {tried:,} inputs; "
            f"the predicted class {classes}."
        )
    error = conversion["when_loaded"]
    if error["label"] == "not computed" and error["reason"] == NO_RUNTIME:
        return f"{what}."
    if error["label"] == "not computed":
        return f"{what}; its conversion was not checked. {_sentence(error['reason'])}"
    return f"{what}; max. output difference {error['value']:.2g} on the inputs tried when loading."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


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
    units = report["redundancy"]["domain"]
    if units is None:
        return "The budget ended before the first region was found, so nothing is known about the units."
    total = units["total"]
    text = (
        f"Of its {total['units']['value']:,} units, {in_words(total['dead'])} are dead there (constant) and "
        f"{in_words(total['always_on'])} are always on (affine)"
    )
    slope = report["lipschitz"]["domain"]
    if slope["label"] != "not computed":
        text += f"; its Lipschitz constant there is {in_words(slope)}"
    if report["distances"]:
        looked = len(report["distances"]["points"])
        least = report["distances"]["least"]
        if least["label"] != "not computed":
            text += f", and the nearest of {looked} data points is {in_words(least)} away from another class"
    return text + "."
