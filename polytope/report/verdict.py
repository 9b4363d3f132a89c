"""The audit in sentences: what was decided first, then the model, its data, its regions and its units."""

from __future__ import annotations

from collections.abc import Sequence
from re import sub

from polytope.labelled import Estimate, Exact, Missing, ends, in_words, plural
from polytope.report.conversion import NO_RUNTIME
from polytope.report.network_sections import Use
from polytope.report.sections import MOST_COORDINATES, PropertyFacts, Report

COORDINATES = 6
"""Coordinates of a counterexample that a sentence holds."""


def verdict(report: Report) -> tuple[str, ...]:
    """Properties, what was read and how well, what was counted, and what follows from it."""
    sentences = [*_properties(report), _conversion(report)]
    sentences += [_data(report), _regions(report), _units(report), _near_data(report)]
    return tuple(sentence for sentence in sentences if sentence)


def _properties(report: Report) -> list[str]:
    """A sentence for every property: the violated ones first, those that hold last."""
    order = ("violated", "undecided", "not checked", "holds")
    return [_property(row) for row in sorted(report.properties, key=lambda row: order.index(row.status))]


def _property(row: PropertyFacts) -> str:
    if row.status == "holds":
        return f"The property {row.file} holds: it is proved that no input satisfies all of its asserts."
    if row.status != "violated":
        return f"The property {row.file} is {row.status.replace('checked', 'decided')}: {row.why}."
    seen = {
        None: "",
        True: ", as the file's own runtime confirms",
        False: ", but the file's own runtime does not confirm it",
    }[row.confirmed]
    point = row.counterexample or ()
    more = ", ..." if len(point) > COORDINATES else ""
    return (
        f"The property {row.file} is violated{seen}: at the input "
        f"({', '.join(f'{v:.6g}' for v in point[:COORDINATES])}{more}){_there(row.outputs or ())}."
    )


def _there(outputs: Sequence[float]) -> str:
    """Which of a counterexample's outputs, where all are kept, is the largest and which the least."""
    if not 1 < len(outputs) < MOST_COORDINATES:
        return f", where the output is {outputs[0]:.4g}" if len(outputs) == 1 else ""
    most, least = (pick(range(len(outputs)), key=lambda k: outputs[k]) for pick in (max, min))
    ends = f"({outputs[most]:.4g})", f"({outputs[least]:.4g})"
    return f", where output {most} is the largest {ends[0]} and output {least} the least {ends[1]}"


def _conversion(report: Report) -> str:
    model, conversion = report.model, report.conversion
    name = " ".join(filter(None, (model.file.name if model.file else "The model", model.piece)))
    size = f"{plural(model.input_dim, 'input')}, {plural(model.output_dim, 'output')}"
    has = f"{size} and {plural(model.units, 'unit')}"
    what = f"{name} is a piecewise-linear network with {has}"
    if model.splines:
        what = (
            f"{name} is smooth ({'; '.join(model.splines)}): all that follows is said of the network of "
            f"splines that stands for it, with {has}, whose outputs are within "
            f"{ends(model.deviation)[1]:.2g} of the model's"
        )
    if model.dequantised:
        what = (
            f"{name} is quantised: rounding is a step, not a slope, so that all that follows is said of the "
            f"network of the same weights without rounding, with {has}"
        )
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
        text = f"{what}; max. output difference to its own runtime {max(differences):.2g} on {inputs}"
        classes = _classes(report, int(other))
        return f"{text}; {classes}." if classes else f"{text}."
    error = conversion.when_loaded
    if isinstance(error, Missing) and error.reason == NO_RUNTIME:
        return f"{what}."
    if isinstance(error, Missing):
        return f"{what}; its conversion was not checked. {_sentence(error.reason)}"
    return f"{what}; max. output difference {ends(error)[1]:.2g} on the inputs tried when loading."


def _classes(report: Report, other: int) -> str:
    """Whether the two agree in the class, where the outputs tell classes apart."""
    if not classifies(report):
        return ""
    word = "predicted class" if report.data and report.data.task == "classification" else "largest output"
    return f"the {word} differs on {other:,}" if other else f"the {word} never differs"


def classifies(report: Report) -> bool:
    """Whether outputs are compared with each other, or their signs have a meaning."""
    if report.data and report.data.task != "not known":
        return report.data.task == "classification"
    return ends(report.model.output_dim)[0] > 1


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _data(report: Report) -> str:
    """How well the labels are met."""
    data = report.data
    if data is None:
        return ""
    if data.right is not None:
        right = int(ends(data.right)[0])
        missed = data.labelled - right
        text = f"It classifies {right:,} of {data.labelled:,} data points as labelled"
        if missed:
            first = ", ".join(str(row.point) for row in data.wrong[:COORDINATES])
            more = f" and {missed - COORDINATES:,} more" if missed > COORDINATES else ""
            text += f"; misclassified: {first}{more}"
        return text + "."
    if data.error is not None:
        return f"At {data.points:,} data points its root mean squared error is {in_words(data.error)}."
    return ""


def _regions(report: Report) -> str:
    regions, where = report.regions, report.domain.description
    where += "," if ", " in sub(r"\[[^]]*\]", "", where) else ""  # it ends with an apposition
    count = plural(regions.activation, "activation region")
    if report.search.complete:
        linear = regions.linear
        verb = "forms" if ends(regions.activation)[1] == 1 else "form"
        tail = f", which {verb} {plural(linear, 'linear region')}" if isinstance(linear, Exact) else ""
        return f"In {where} it has exactly {count}{tail}."
    return (
        f"In {where} it has {count}: the search was stopped by {_limit(report)}, "
        "so this is an interval and not a count."
    )


def _limit(report: Report) -> str:
    """The limit that stopped the search, in words."""
    stopped, most = report.search.stopped_by, report.budget.max_regions
    if stopped == "regions" and most is not None:
        return f"its limit of {plural(Exact(most), 'region')}"
    return {"memory": "its limit of memory", "interrupt": "the keyboard"}.get(stopped or "", "its budget")


def _units(report: Report) -> str:
    """What is known of the units in the domain."""
    units, slope = report.redundancy.domain, report.lipschitz.domain
    place = f"In this {report.domain.kind}"
    if units is None:
        return f"{place} nothing is known about the units: the budget ended too early."
    text = f"{place} {_use(units.total)}"
    if not isinstance(slope, Missing):
        text += f"; its Lipschitz constant there is {in_words(slope)}"
    return text + "."


def _use(total: Use) -> str:
    dead, on = (f"{in_words(number)} {_are(ends(number)[1])}" for number in (total.dead, total.always_on))
    return f"{dead} dead (constant) and {on} always on (affine) of its {plural(total.units, 'unit')}"


def _are(n: float) -> str:
    return "is" if n == 1 else "are"


def _near_data(report: Report) -> str:
    """What is known of the box of the data, where that is not the domain, and at the points themselves."""
    found, box = [], report.redundancy.data_box
    if box is not None:
        found.append(f"in the data's box {_use(box.total)}")
    if report.lipschitz.data_box and not isinstance(report.lipschitz.data_box, Missing):
        found.append(f"the Lipschitz constant in that box is {in_words(report.lipschitz.data_box)}")
    if (slopes := report.lipschitz.data) is not None:
        median, most = in_words(slopes.median), in_words(slopes.largest)
        found.append(f"slopes at {slopes.points:,} data points are {median} in the median, {most} at most")
    near = report.distances
    if near and not isinstance(near.least, Missing):
        nearest = min(near.points, key=lambda row: ends(row.distance)[1])
        to = "another class" if classifies(report) else "the other sign of the output"
        many, where = f"of the {len(near.points)} data points looked at", "(2-norm, whole input space)"
        if ends(near.least) == ends(nearest.distance):
            text = (
                f"the nearest {many}, point {nearest.point}, is {in_words(near.least)} away from {to} {where}"
            )
        else:
            own = f"that of point {nearest.point} {in_words(nearest.distance)}"
            text = f"the least distance {many} to {to} is {in_words(near.least)}, {own} {where}"
        found.append(text)
    return _sentence("; ".join(found)) if found else ""
