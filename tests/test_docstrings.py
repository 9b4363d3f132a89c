"""Docstrings of public names: every argument is named, and arrays say their shapes."""

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import adapters
import polytope as pt
from polytope import discovery, equivariant, flows, infinite
from polytope.engines.engine import Engine

PACKAGES = (pt, adapters, equivariant, flows, infinite, discovery)
ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): ", re.MULTILINE)
ARRAY = re.compile(r"\b(?:ArrayLike|\w*Array|ndarray|NDArray|Tensor)\b")
SHAPE = re.compile(r"\[[^\]]*\]")

Documented = tuple[str, Callable[..., Any], str]  # its name, and all docstrings where its contract may stand


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_argument_is_named_and_arrays_say_their_shapes(package: ModuleType) -> None:
    found = [*_constructors(package), *_callables(package)]
    assert len(found) > len(package.__all__) / 2
    assert [gap for one in found for gap in _gaps(*one)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_results_that_are_arrays_say_their_shapes(package: ModuleType) -> None:
    found = [*_callables(package), *_properties(package)]
    assert [place for place, thing, doc in found if _returns_arrays(thing) and not SHAPE.search(doc)] == []


def test_a_missing_name_and_a_missing_shape_are_found() -> None:
    def scaled(A: pt.Polyhedron, x: np.ndarray, *, factor: float) -> None:
        """Arguments of two kinds."""

    partly = "Arguments:\n    A, x: what is scaled,\n        and what is not.\n\nRaises:\n    factor: [1]\n"
    assert _gaps("f", scaled, partly) == ["f: x has no shape", "f: factor"]
    assert _gaps("f", scaled, "Arguments:\n    A: one.\n    x: points,\n        ``[B, d]``.\n") == [
        "f: factor"
    ]
    assert _gaps("f", scaled, partly + "\nArguments:\n    x: ``[d]``.\n    factor: a number.\n") == []


def _constructors(package: ModuleType) -> Iterator[Documented]:
    """Public classes, whose arguments stand under the class, its ``__init__``, or a base class."""
    for name, home in _classes(package):
        docs = [part.__doc__ for base in home.__mro__ for part in (base, vars(base).get("__init__"))]
        yield name, home, _joined(docs)


def _callables(package: ModuleType) -> Iterator[Documented]:
    """Public functions and methods; a base class or the protocol of engines may hold the contract."""
    for name in package.__all__:
        if inspect.isfunction(function := getattr(package, name)):
            yield name, function, _joined([function.__doc__])
    for name, home in _classes(package):
        for key, value in vars(home).items():
            method = getattr(value, "__func__", value)
            if isinstance(method, FunctionType) and (key == "__call__" or not key.startswith("_")):
                bases = [base for base in (*home.__mro__, Engine) if hasattr(base, key)]
                yield f"{name}.{key}", method, _joined([getattr(base, key).__doc__ for base in bases])


def _properties(package: ModuleType) -> Iterator[Documented]:
    """Public properties of public classes."""
    for name, home in _classes(package):
        for key, value in vars(home).items():
            getter = value.func if isinstance(value, cached_property) else getattr(value, "fget", None)
            if getter is not None and not key.startswith("_"):
                yield f"{name}.{key}", getter, _joined([getter.__doc__])


def _classes(package: ModuleType) -> Iterator[tuple[str, type]]:
    things = ((name, getattr(package, name)) for name in package.__all__)
    return ((name, thing) for name, thing in things if inspect.isclass(thing))


def _joined(docs: list[str | None]) -> str:
    """Docstrings one below the other, each from the left margin."""
    return "\n".join(inspect.cleandoc(doc) + "\n" for doc in docs if doc)


def _gaps(place: str, thing: Callable[..., Any], doc: str) -> list[str]:
    """The parameters that the docstrings do not name, and the arrays without a shape."""
    entries = _entries(doc)
    gaps = []
    for name, parameter in inspect.signature(thing).parameters.items():
        if name in ("self", "cls") or name.startswith("_"):
            continue
        if name not in entries:
            gaps.append(f"{place}: {name}")
        elif ARRAY.search(str(parameter.annotation)) and not SHAPE.search(entries[name]):
            gaps.append(f"{place}: {name} has no shape")
    return gaps


def _returns_arrays(thing: Callable[..., Any]) -> bool:
    return bool(ARRAY.search(str(inspect.signature(thing).return_annotation)))


def _entries(doc: str) -> dict[str, str]:
    """What is said of each name under ``Arguments:``."""
    entries: dict[str, str] = {}
    for section in re.findall(r"^Arguments:\n((?: {4}.*\n|\n)*)", doc, re.MULTILINE):
        _, *parts = ENTRY.split(section)
        for names, text in zip(parts[::2], parts[1::2], strict=True):
            for name in names.split(", "):
                entries[name] = entries.get(name, "") + text
    return entries
