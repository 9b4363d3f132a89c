"""A program of ATen operators, from whatever file or tracer, into layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from adapters.check import TOLERANCE
from adapters.inputs import InputPart
from adapters.lowering.conditions import output
from adapters.lowering.layers import Array, Lowering, Tensor, Value, located
from adapters.lowering.reasons import in_the_middle, is_smooth
from adapters.lowering.registry import Node
from adapters.lowering.tracing import applied
from adapters.ops.aten_kernels import in_whole_numbers
from adapters.pieces import Piece, refuse_other_ways
from adapters.torch.aten_types import is_whole, type_name
from adapters.torch.schema import checked_arguments
from polytope.errors import CorruptFileError, LoadError, NotPiecewiseLinearError, UnsupportedOpError
from polytope.ir import Network


@dataclass(frozen=True)
class Reference:
    """A value of the program, by name."""

    name: str


@dataclass(frozen=True)
class Step:
    """One call: operator, arguments by the names of its schema, and the names of its results.

    Arguments:
        op, overload: "relu", "default" for ``aten::relu``; other namespaces keep their prefix.
        unpacked: whether ``outputs`` names the entries of a list or tuple, rather than the one result.
    """

    op: str
    overload: str
    arguments: Mapping[str, Any]
    outputs: tuple[str, ...]
    unpacked: bool = False

    @property
    def name(self) -> str:
        """What messages call it: its first result, or the operator of one that only asserts."""
        return self.outputs[0] if self.outputs else self.op


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order, with the constants they read.

    Arguments:
        inputs: name and declared sizes of each input; ``None`` for an open size.
        constants: arrays by name.
        declared: sizes of values on the way, as far as they are known.
    """

    inputs: tuple[tuple[str, tuple[int | None, ...]], ...]
    constants: Mapping[str, Array]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    declared: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)

    def cut(self, piece: Piece) -> Program:
        """The program that begins and ends at the named values."""
        known = {n for step in self.steps for n in step.outputs} | {n for n, _ in self.inputs}
        for name in (*piece.start, *piece.until):
            if name not in known:
                shown = [step.name for step in self.steps[-6:] if step.outputs]
                raise CorruptFileError(
                    f"There is no value {name!r} in the program. The last ones are {shown}."
                )
        ended = replace(self, outputs=piece.until or self.outputs)
        return ended._beginning_at(piece.start) if piece.start else ended

    def _beginning_at(self, start: tuple[str, ...]) -> Program:
        """The program with values on the way as its inputs; refused where it needs another input as well."""
        own = dict(self.inputs)
        inputs = tuple((name, own.get(name) or self.declared.get(name, ())) for name in start)
        begun = replace(
            self, inputs=inputs, steps=tuple(s for s in self.steps if not set(s.outputs) & set(start))
        )
        steps = ((f"Node {s.name!r} (op {s.op})", reads(s), s.outputs) for s in needed_steps(begun))
        refuse_other_ways(steps, start, tuple(own))
        return begun


def references(argument: Any) -> Iterator[str]:
    """The names in an argument."""
    if isinstance(argument, Reference):
        yield argument.name
    elif isinstance(argument, list | tuple):
        for entry in argument:
            yield from references(entry)


def reads(step: Step) -> list[str]:
    """The names that a step reads."""
    return [name for argument in step.arguments.values() for name in references(argument)]


def needed_steps(program: Program) -> tuple[Step, ...]:
    """The steps that the outputs depend on, in order."""
    wanted, kept = set(program.outputs), []
    for step in reversed(program.steps):
        if wanted & set(step.outputs):
            kept.append(step)
            wanted.update(reads(step))
    return tuple(reversed(kept))


def resolved(argument: Any, values: Mapping[str, Any]) -> Any:
    """An argument with its references replaced by values."""
    if isinstance(argument, Reference):
        if argument.name not in values:
            raise CorruptFileError(f"A step reads value {argument.name!r}, which nothing defines.")
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return [resolved(entry, values) for entry in argument]
    return argument


def coarsest(program: Program, dtype: str) -> str:
    """The number type that rounds most: the inputs', or one that values are cast to on the way."""
    casts = [s.arguments.get("dtype") for s in program.steps if s.op in _CASTS]
    kinds = [type_name(kind) for kind in casts if kind is not None]
    return max((dtype, *(k for k in kinds if k in TOLERANCE)), key=TOLERANCE.__getitem__)


def trace_program(program: Program, parts: Sequence[InputPart], spacing: float | None = None) -> Network:
    """The network of a program for one sample."""
    t = Lowering(frozen_batch=max(p.frozen for p in parts), spacing=spacing)
    values: dict[str, Any] = dict(program.constants)
    values |= zip((p.name for p in parts), t.input([p.shape for p in parts]), strict=True)
    if not program.outputs:
        raise UnsupportedOpError("It returns no tensor.")
    steps = needed_steps(program)
    uses = Counter(name for step in steps for name in reads(step)) + Counter(program.outputs)
    for step in steps:
        found = _applied(t, program, step, values)
        one: Any = found[0] if len(found) == 1 and not _is_list(step) else found
        for name, value in zip(step.outputs, found if step.unpacked else (one,), strict=False):
            values[name] = t.settled_if_shared(value, uses[name]) if isinstance(value, Tensor) else value
    outputs = [_output(values, name) for name in program.outputs]
    several = len(parts) > 1
    return Network(
        input_shape=(sum(prod(p.shape) for p in parts),) if several else parts[0].per_sample_shape,
        layers=t.finish(outputs),
        input_names=tuple(p.name for p in parts),
        output_names=program.outputs,
        input_parts=tuple((p.name, p.per_sample_shape) for p in parts) if several else (),
    )


def _is_list(step: Step) -> bool:
    """Whether the operator returns a list even if it has one entry."""
    return step.op in ("split", "split_with_sizes", "chunk", "unbind", "tensor_split")


def _output(values: Mapping[str, Any], name: str) -> Value:
    if name not in values:
        raise UnsupportedOpError(f"It returns {name!r}, which is no tensor.")
    value = values[name]
    if isinstance(value, tuple):
        raise CorruptFileError(f"Value {name!r} is a list of tensors; name one of them.")
    return output(value, name)


def _applied(t: Lowering, program: Program, step: Step, values: Mapping[str, Any]) -> tuple[Value, ...]:
    arguments = {name: resolved(value, values) for name, value in step.arguments.items()}
    if step.op == "getitem":
        return (_entry(step, arguments.get("self"), arguments.get("index")),)
    node = Node(step.op, step.name, attributes=_checked(step, arguments), n_outputs=len(step.outputs))
    try:
        counts = is_whole(node.get("dtype")) and step.op not in _CASTS
        rule = in_whole_numbers if counts else None
        return applied(t, "ATen", node, f"Node {node.name!r} (op {step.op})", rule)
    except LoadError as error:
        raise _suggesting(program, step, error, values) from error


def _checked(step: Step, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments, if the operator takes them."""
    try:
        return checked_arguments(step.op, step.overload, arguments)
    except LoadError as error:
        raise located(error, f"Node {step.name!r} (op {step.op})") from error


def _entry(step: Step, several: Any, index: Any) -> Any:
    """One of the results of a step that has several."""
    fits = isinstance(several, list | tuple) and isinstance(index, int)
    if not fits or not -len(several) <= index < len(several):
        raise CorruptFileError(f"Node {step.name!r} reads entry {index!r} of what has no such entry.")
    return several[index]


def _is_finite(value: Tensor) -> bool:
    """Whether a value could be an output."""
    return bool(np.isfinite(value.offset()).all())


def _suggesting(program: Program, step: Step, error: LoadError, values: Mapping[str, Any]) -> LoadError:
    """The error with the cut in front of the node, if nothing but its head follows."""
    if not isinstance(error, NotPiecewiseLinearError | UnsupportedOpError):
        return error
    symbolic = [n for n in reads(step) if isinstance(v := values.get(n), Tensor) and _is_finite(v)]
    steps = needed_steps(program)
    place = next(number for number, other in enumerate(steps) if other is step)
    behind = steps[place + 1 :]
    weighty = any(not is_smooth("ATen", s.op) and s.op not in _HEAD for s in behind)
    if not symbolic or symbolic[0] in {n for n, _ in program.inputs}:
        begun = f" load(path, from_={step.name!r}) begins behind it." if symbolic and weighty else ""
        return type(error)(f"{error}{begun}")
    if weighty:
        return type(error)(f"{error} {in_the_middle(step.op)}")
    place_name = "It is the last node" if not behind else "Only the model's head follows"
    return type(error)(f"{error} {place_name}: load(path, until={symbolic[0]!r}) stops before it.")


_CASTS = ("to", "_to_copy")
_HEAD = (
    "mul",
    "add",
    "sub",
    "div",
    "neg",
    "view",
    "reshape",
    "flatten",
    "squeeze",
    "unsqueeze",
    "cat",
    "getitem",
)
"""Operators that may follow the last weight of a network without being a part of it worth analysing."""
