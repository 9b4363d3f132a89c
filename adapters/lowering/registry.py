"""Two tables of operator rules, ONNX and ATen, filled by decorators in ``adapters.ops``.

A rule takes the lowering and the node, and returns the node's outputs. The published list of operators
is generated from these tables (``adapters.lowering.published``).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from adapters.lowering.fitting import whole_number, whole_numbers
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.reasons import refusal
from polytope.errors import NotPiecewiseLinearError, UnsupportedOpError

Outputs = Value | tuple[Value, ...]


@dataclass(frozen=True)
class Node:
    """One operator of a model.

    Arguments:
        op, name: the operator and the node's own name.
        inputs: ONNX operands in order; ``None`` where an optional one is left out.
        attributes: ONNX attributes, or the ATen arguments by the names of their schema.
        opset: version of the ONNX operator set; 0 for ATen.
        n_outputs: how many outputs the model names.
    """

    op: str
    name: str
    inputs: tuple[Value | None, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 0
    n_outputs: int = 1

    def input(self, place: int) -> Value | None:
        """An operand, ``None`` if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def __getitem__(self, place: int) -> Value:
        """An operand that must be there."""
        value = self.input(place)
        if value is None:
            raise UnsupportedOpError(f"It needs an operand in place {place}, and has none.")
        return value

    def constant(self, place: int) -> Array:
        """An operand that must be there and not depend on the input."""
        return fixed(self[place], f"operand {place}")

    def integers(self, place: int) -> list[int]:
        """A constant operand of whole numbers, flat."""
        return whole_numbers(self.constant(place), f"operand {place}")

    def integer(self, place: int) -> int:
        """A constant operand that is one whole number."""
        return whole_number(self.constant(place), f"operand {place}")

    def constant_or_none(self, place: int) -> Array | None:
        """The same for an optional operand."""
        return None if self.input(place) is None else self.constant(place)

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute or argument."""
        value = self.attributes.get(attribute)
        return default if value is None else value


def fixed(value: Any, what: str) -> Array:
    """A value that must not depend on the input, as an array."""
    if isinstance(value, Tensor):
        raise NotPiecewiseLinearError(f"its {what} must be constant, but depends on the network input.")
    return np.asarray(value)


Rule = Callable[[Lowering, Node], Outputs]


@dataclass(frozen=True)
class Entry:
    """One row of the published table."""

    table: str
    op: str
    family: str
    meaning: str
    note: str
    rule: Rule


_TABLES: dict[str, dict[str, Entry]] = {"ONNX": {}, "ATen": {}}


def onnx_op(*names: str, note: str = "") -> Callable[[Rule], Rule]:
    """Register a rule for ONNX operators of the standard domain."""
    return _registers("ONNX", names, note)


def aten_op(*names: str, note: str = "") -> Callable[[Rule], Rule]:
    """Register a rule for ATen operators, all overloads of a name."""
    return _registers("ATen", names, note)


def _registers(table: str, names: tuple[str, ...], note: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            if name in _TABLES[table]:
                raise ValueError(f"Operator {name} of {table} has two rules.")
            meaning = (rule.__doc__ or "").strip().split("\n")[0]
            family = rule.__module__.rpartition(".")[2]
            _TABLES[table][name] = Entry(table, name, family, meaning, note, rule)
        return rule

    return register


@cache
def _loaded() -> dict[str, dict[str, Entry]]:
    """The tables, after every file of ``adapters.ops`` was imported."""
    package = importlib.import_module("adapters.ops")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"adapters.ops.{module.name}")
    return _TABLES


def rule_for(table: str, op: str) -> Rule:
    """The rule of an operator.

    Raises:
        NotPiecewiseLinearError: the operator is smooth, or jumps.
        UnsupportedOpError: it is not supported.
    """
    tables = _loaded()[table]
    entry = tables.get(op) or (tables.get(op.rstrip("_")) if table == "ATen" else None)
    if entry is None:
        raise refusal(table, op)
    return entry.rule


def has_rule(op: str) -> bool:
    """Whether an ONNX operator has a rule."""
    return op in _loaded()["ONNX"]


def entries() -> list[Entry]:
    """All rules, ONNX first, by family and name."""
    rows = [entry for table in _loaded().values() for entry in table.values()]
    return sorted(rows, key=lambda e: (e.table != "ONNX", e.family, e.op))
