"""The audit in three sentences."""

from __future__ import annotations

from polytope.labelled import Estimate, Exact, Missing, ends, in_words, plural
from polytope.report.conversion import NO_RUNTIME
from polytope.report.sections import Report


def verdict(report: Report) -> tuple[str, str, str]:
    """What was read and how well, what was counted, and what follows from it."""
    return _conversion(report), _regions(report), _units(report)


def _conversion(report: Report) -> str:
    model, conversion = report.model, report.conversion
    name = model.file.name if model.file else "The model"
    size = f"{in_words(model.input_dim)} inputs, {in_words(model.output_dim)} outputs"
    what = f"{name} is a piecewise-linear network with {size} and {in_words(model.units)} units"
    found = [(kind.tried, kind.largest, kind.other_class) for kind in conversion.kinds]
    compared = [
        (tried, largest.value, other.value)
        for tried, largest, other in found
        if isinstance(largest, Estimate) and isinstance(other, Estimate)
    ]
    if compared:
        tried, other = (sum(row[i] for row in compared) for i in (0, 2))
        differences, inputs = [row[1] for row in compared], f"{tried:,} inputs"
        if not isinstance(conversion.when_loaded, Missing):
            differences.append(ends(conversion.when_loaded)[1])
            inputs += " and those tried when loading"
        classes = f"differs on {other:,}" if other else "never differs"
        return (
            f"{what}; max. output difference to its own runtime {max(differences):.2g} on {inputs}; "
            f"the predicted class {classes}."
        )
    error = conversion.when_loaded
    if isinstance(error, Missing) and error.reason == NO_RUNTIME:
        return f"{what}."
    if isinstance(error, Missing):
        return f"{what}; its conversion was not checked. {_sentence(error.reason)}"
    return f"{what}; max. output difference {ends(error)[1]:.2g} on the inputs tried when loading."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _regions(report: Report) -> str:
    regions, where = report.regions, report.domain.description
    count = plural(regions.activation, "activation region")
    if report.search.complete:
        linear = regions.linear
        tail = f", which form {plural(linear, 'linear region')}" if isinstance(linear, Exact) else ""
        return f"In {where} it has exactly {count}{tail}."
    return (
        f"In {where} it has {count}: the search was stopped by its budget, "
        "so this is an interval and not a count."
    )


def _units(report: Report) -> str:
    units = report.redundancy.domain
    if units is None:
        return "The budget ended before the first region was found, so nothing is known about the units."
    total = units.total
    text = (
        f"Of its {in_words(total.units)} units, {in_words(total.dead)} are dead there (constant) and "
        f"{in_words(total.always_on)} are always on (affine)"
    )
    slope = report.lipschitz.domain
    if not isinstance(slope, Missing):
        text += f"; its Lipschitz constant there is {in_words(slope)}"
    near = report.distances
    if near and not isinstance(near.least, Missing):
        looked = len(near.points)
        text += f", and the nearest of {looked} data points is {in_words(near.least)} away from another class"
    return text + "."
