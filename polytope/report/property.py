"""What is known of a property: as one object for machines, and in a sentence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from polytope.engines.amounts import time_taken
from polytope.properties.decide import Proof, PropertyCheck

_BASES: dict[Proof, str] = {
    "bounds": "bounds",
    "branching": "bounds on parts of the inputs and a look at the {regions:,} regions left over",
    "enumeration": "all {regions:,} regions",
}


def proved_by(proof: Proof, regions: int) -> str:
    """What a proof rests on, as in "proved by ..."."""
    return _BASES[proof].format(regions=regions)


def property_facts(found: PropertyCheck) -> dict[str, Any]:
    """The fields of the check, arrays as lists."""
    facts = asdict(found)
    for name in ("witness", "outputs"):
        facts[name] = None if facts[name] is None else facts[name].tolist()
    return facts | {"largest": found.largest, "least": found.least}


def property_verdict(found: PropertyCheck, max_seconds: float | None = None) -> str:
    """The answer and what it rests on.

    Arguments:
        found: the check.
        max_seconds: the time that was asked for.
    """
    if found.status == "undecided":
        return f"Undecided after {time_taken(found.seconds, max_seconds)} and {found.regions:,} regions."
    if found.status == "holds":
        assert found.proof is not None, "what holds is proved"
        basis = proved_by(found.proof, found.regions)
        return f"The property holds: no input satisfies all asserts, proved by {basis}."
    assert found.witness is not None, "a violated property has a counterexample"
    seen = {
        None: "",
        True: ", confirmed by onnxruntime",
        False: ", but onnxruntime's values do not satisfy it",
    }
    point = ", ".join(f"{v:.9g}" for v in found.witness.tolist())
    place = "" if found.outputs is None else _place(found)
    return f"The property is violated{seen[found.confirmed]}, at the input {point}{place}."


def _place(found: PropertyCheck) -> str:
    """Which outputs are the largest and the least at the counterexample, with their values."""
    assert found.outputs is not None, "a counterexample has outputs"
    if found.largest is None:
        return f", where the output is {found.outputs[0]:.4g}"
    greatest, least = (f"{found.outputs[k]:.4g}" for k in (found.largest, found.least))
    return f", where output {found.largest} is the largest ({greatest}) and {found.least} the least ({least})"
