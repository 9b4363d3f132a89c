"""The schema of report.json, read off the fields: ``python -m polytope.report.schema`` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from polytope.labelled import Number
from polytope.report.fields import About, declared, required, written
from polytope.report.sections import VERSION, Report

FILE = Path(__file__).parent / "templates" / "report.schema.json"
SIMPLE = {bool: "boolean", int: "integer", float: "number", str: "string"}
NUMBER = {"$ref": "#/$defs/number"}
DESCRIPTION = """\
What `polytope audit` writes as report.json. Every number that the audit found is an object with a label: \
exact (proved, up to the rounding of the last operations), bound (proved to hold, not the number itself), \
estimate (measured or sampled), not computed (with the reason). The version grows when a field changes its \
meaning or goes away."""


def schema() -> dict[str, Any]:
    """The whole schema."""
    sections: dict[str, Any] = {}
    whole = _section(Report, sections)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"polytope audit, version {VERSION}",
        "description": DESCRIPTION,
        **whole,
        "$defs": {"number": {"oneOf": _numbers()}, **sections},
    }


def _numbers() -> list[dict[str, Any]]:
    """The objects that numbers are written as."""
    number, text = {"type": "number"}, {"type": "string"}
    bound = {
        "lower": number,
        "upper": {"type": ["number", "null"]},
        "log10_upper": number,
        "note": text,
    }
    large = "upper is null where no bound is known, or where it is above 1e300 and log10_upper says it"
    return [
        _object({"label": {"enum": ["exact", "estimate"]}, "value": number, "note": text}, {"note"}),
        {"description": large, **_object({"label": {"const": "bound"}, **bound}, {"log10_upper", "note"})},
        _object({"label": {"const": "not computed"}, "reason": text}, set()),
    ]


def _object(properties: Mapping[str, Any], optional: set[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def _section(kind: type, sections: dict[str, Any]) -> dict[str, Any]:
    """An object with the fields of a section; sections in it are defined by their names."""
    return _object(
        {written(name): _field(inner, about, sections) for name, (inner, about) in declared(kind).items()},
        set(),
    )


def _field(kind: Any, about: About, sections: dict[str, Any]) -> dict[str, Any]:
    """What is allowed in a field, and what it means."""
    inner, optional = required(kind)
    allowed = _kind(inner, sections) | dict(about.limits)
    if optional:
        allowed = {"anyOf": [allowed, {"type": "null"}]}
    return allowed | ({"description": about.meaning} if about.meaning else {})


def _kind(kind: Any, sections: dict[str, Any]) -> dict[str, Any]:
    if kind == Number:
        return NUMBER
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _field(kind.__origin__, kind.__metadata__[0], sections)
    if origin is Literal:
        return {"const": members[0]} if len(members) == 1 else {"enum": list(members)}
    if origin is tuple:
        return {"type": "array", "items": _kind(members[0], sections)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _kind(members[1], sections)}
    if is_dataclass(kind):
        assert isinstance(kind, type), "a field's type is a class"
        if kind.__name__ not in sections:
            sections[kind.__name__] = _section(kind, sections)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return {"type": SIMPLE[kind]}


if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
