"""What is known of two networks' difference: as one object for machines, and in a sentence."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from polytope.engines.amounts import time_taken
from polytope.properties.equivalence import Equivalence
from polytope.report.property import proved_by


def equivalence_facts(found: Equivalence) -> dict[str, Any]:
    """The fields of the comparison, arrays as lists; an upper bound that is not known is null."""
    facts = asdict(found)
    for name in ("witness", "outputs"):
        facts[name] = None if facts[name] is None else facts[name].tolist()
    more = {"upper": found.upper if isfinite(found.upper) else None, "output": found.output}
    return facts | more | {"classes": None if found.classes is None else list(found.classes)}


def equivalence_verdict(found: Equivalence, where: str, max_seconds: float | None = None) -> str:
    """The answer and what it rests on.

    Arguments:
        found: the comparison.
        where: a phrase that completes "in ...".
        max_seconds: the time that was asked for.
    """
    if found.status == "undecided":
        upper = f"at most {found.upper:.4g}" if isfinite(found.upper) else "without a bound"
        return (
            f"Undecided after {time_taken(found.seconds, max_seconds)}: the largest difference of an output "
            f"in {where} is at least {found.lower:.4g}{_at_output(found)} and {upper}."
        )
    if found.status == "different":
        assert found.witness is not None, "a difference has a witness"
        seen = {
            None: "",
            True: ", confirmed by both runtimes",
            False: ", but the models' own runtimes do not differ that much there",
        }[found.confirmed]
        point = ", ".join(f"{v:.9g}" for v in found.witness.tolist())
        return (
            f"Different: output {found.output} differs by {found.lower:.4g}, more than {found.tolerance:g}"
            f"{seen}, at the input {point}{_classes(found)}."
        )
    assert found.proof is not None, "what holds is proved"
    basis = proved_by(found.proof, found.regions)
    if found.status == "equal":
        return f"Equal: all outputs agree in {where}, proved by {basis}."
    return (
        f"Within {found.tolerance:g}: no output differs by more than {found.upper:.4g} in {where}, "
        f"proved by {basis}."
    )


def _at_output(found: Equivalence) -> str:
    """At which output, where that is known."""
    return "" if found.output is None else f" (output {found.output})"


def _classes(found: Equivalence) -> str:
    """What both networks say there."""
    if found.classes is None:
        return ""
    first, second = found.classes
    if first == second:
        return f", where both say class {first}"
    return f", where the first says class {first} and the second class {second}"
