"""What a field of the report says of itself, and the walk through a report's fields.

A section is a frozen dataclass. A field's ``About`` says what the schema, the terminal's table and
``--fail-on`` need to know; they are read off the fields, so a new number is one field and a line of the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from polytope.labelled import Bound, Estimate, Exact, Missing, Number, share, to_json


@dataclass(frozen=True)
class About:
    """What is said of a field.

    Arguments:
        meaning: for the schema.
        limits: more keywords of the schema, such as ``minimum``.
        row: the title of its row in the terminal's table.
        place: where in the input space the row's number holds: part of the row.
        check: the name by which ``--fail-on`` knows it.
        checked: what that is, where it is not the meaning; of a share, 0 to 1.
        share_of: the field beside it that a check divides it by.
        missing: why there is nothing, where the field can be ``None``.
        aside: whether the table and the checks pass the section by: one of the kind is met elsewhere.
    """

    meaning: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    row: str = ""
    place: str = ""
    check: str = ""
    checked: str = ""
    share_of: str = ""
    missing: str = ""
    aside: bool = False


Count = Annotated[int, About(limits={"minimum": 1})]
Some = Annotated[int, About(limits={"minimum": 0})]


@dataclass(frozen=True)
class Leaf:
    """A field that holds no section: where it is met, and what is said of it."""

    path: tuple[str, ...]
    about: About


@cache
def declared(section: type) -> dict[str, tuple[Any, About]]:
    """The types of a section's fields, and what is said of them."""
    hints = get_type_hints(section, include_extras=True)
    return {
        part.name: (hint.__origin__, hint.__metadata__[0])
        if get_origin(hint) is Annotated
        else (hint, About())
        for part in fields(section)
        for hint in (hints[part.name],)
    }


def required(kind: Any) -> tuple[Any, bool]:
    """A type without ``None``, and whether it allowed that."""
    members = get_args(kind)
    if NoneType not in members:
        return kind, False
    left = [member for member in members if member is not NoneType]
    return (left[0] if len(left) == 1 else Number), True


def leaves(section: type, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """The fields of a section and of those in it, in order, but for what stands aside or in lists."""
    for name, (kind, about) in declared(section).items():
        inner, _ = required(kind)
        if about.aside:
            continue
        if isinstance(inner, type) and is_dataclass(inner):
            yield from leaves(inner, (*path, name))
        else:
            yield Leaf((*path, name), about)


def value_at(section: Any, path: Sequence[str]) -> Any:
    """What a field holds; ``None`` where a section on its way is missing."""
    for name in path:
        section = None if section is None else getattr(section, name)
    return section


def number_at(report: object, leaf: Leaf) -> Number:
    """The number of a field as checks see it; missing, with the reason, where a section on its way is."""
    section: Any = None
    found: Any = report
    for name in leaf.path:
        section, found = found, getattr(found, name)
        if found is None:
            kind: type = type(section)
            return Missing(declared(kind)[name][1].missing)
    number: Number = found
    if not leaf.about.share_of or isinstance(number, Missing):
        return number
    of = getattr(section, leaf.about.share_of)
    return share(number, int(of.value if isinstance(of, Exact) else of))


def plain(value: Any) -> Any:
    """A section as JSON knows it: dictionaries, lists, and numbers with their labels."""
    match value:
        case Exact() | Bound() | Estimate() | Missing():
            return to_json(value)
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case tuple() | list():
            return [plain(inner) for inner in value]
    if is_dataclass(value):
        return {written(part.name): plain(getattr(value, part.name)) for part in fields(value)}
    return value


def written(name: str) -> str:
    """The name of a field in JSON: ``class_`` is class there."""
    return name.removesuffix("_")
