"""The .pt2 archives of ``torch.export.save``, read without PyTorch's own reader.

That reader unpickles objects and evaluates expressions from the file; this one reads the graph's JSON
and raw numbers, and nothing else.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from adapters.archive import opened
from adapters.arrays import LARGEST_ARCHIVE, refuse_not_finite
from adapters.inputs import completed_part, given_shapes
from adapters.lowering.layers import Array
from adapters.pieces import Piece
from adapters.torch.aten_program import Program, Reference, Step, coarsest, trace_program
from adapters.torch.aten_types import IN_ARCHIVES
from adapters.torch.json_tree import Tree, parsed
from polytope.errors import (
    CorruptFileError,
    ImportMismatchError,
    UnsafeFileError,
    UnsupportedOpError,
)
from polytope.ir import Network

_KINDS = {
    1: np.uint8,
    2: np.int8,
    3: np.int16,
    4: np.int32,
    5: np.int64,
    6: np.float16,
    7: np.float32,
    8: np.float64,
    12: np.bool_,
}
_NAMES = {6: "float16", 7: "float32", 8: "float64"}
_STRIDED, _MOST_AXES = 7, 32
_PLAIN = ("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string", "as_strings")
_AGAIN = "Export it again with torch.export.save of PyTorch 2.9 or newer."


def network_from_pt2(data: bytes, *, piece: Piece, input_shape: Any) -> Network:
    """The network of a .pt2 archive, compared with PyTorch's kernels run on its graph."""
    program, dtype = read_program(data)
    program = program.cut(piece)
    given = given_shapes(input_shape, [name for name, _ in program.inputs])
    try:
        return _network(program, given, dtype, piece, per_sample=True)
    except ImportMismatchError:
        if not any(shape and (shape[0] or 1) > 1 for _, shape in program.inputs):
            raise
        return _network(program, given, dtype, piece, per_sample=False)


def _network(
    program: Program, given: Mapping[str, Any], dtype: str, piece: Piece, *, per_sample: bool
) -> Network:
    """The network of one sample, or of the whole input where the first axis is no batch."""
    from adapters.check import NotRunnableError, checked, refuse_mixing
    from adapters.torch.runtime import program_model

    parts = [completed_part(n, shape, given.get(n), per_sample=per_sample) for n, shape in program.inputs]
    network, batch = trace_program(program, parts, piece.spacing), max(p.frozen for p in parts)
    model = program_model(program, parts, dtype, batch)
    kind = coarsest(program, dtype)
    try:
        found = checked(network, model, kind, file_dtype=dtype)
    except NotRunnableError as error:
        raise CorruptFileError(f"The archive's program cannot be run: {error}. {_AGAIN}") from error
    if batch > 1 or all(p.free for p in parts if p.batched):
        refuse_mixing(network, model, parts, kind)
    return found


def read_program(data: bytes) -> tuple[Program, str]:
    """The program in an archive, and the number type of its first input."""
    try:
        with opened(data, "a .pt2 file") as archive:
            return _program(archive)
    except CorruptFileError as error:
        raise CorruptFileError(f"{error} {_AGAIN}") from error


def _program(archive: zipfile.ZipFile) -> tuple[Program, str]:
    entries = archive.infolist()
    if sum(e.file_size for e in entries) > LARGEST_ARCHIVE:
        raise UnsafeFileError(f"The archive unpacks to more than {LARGEST_ARCHIVE:,} bytes.")
    models = [e.filename for e in entries if "/models/" in e.filename and e.filename.endswith(".json")]
    if len(models) != 1:
        raise CorruptFileError(f"The archive holds {len(models)} exported programs; one was expected.")
    root, _, file = models[0].partition("/models/")
    name = file.removesuffix(".json")
    module = parsed(_content(archive, models[0]), "The program")["graph_module"]
    graph, signature = module["graph"], module["signature"]
    stored = _stored(archive, f"{root}/data/weights", f"{name}_weights_config.json")
    stored |= _stored(archive, f"{root}/data/constants", f"{name}_constants_config.json")
    constants, inputs = {}, []
    for spec in signature["input_specs"]:
        kind, content = spec.only()
        if kind == "user_input":
            inputs.append(content["arg"]["as_tensor"]["name"].text())
        else:
            wanted = content[f"{kind}_name"].text()
            if wanted not in stored:
                raise CorruptFileError(f"The program reads tensor {wanted!r}, which is not in the archive.")
            constants[content["arg"]["name"].text()] = stored[wanted]
    if not inputs:
        raise UnsupportedOpError("The program has no input: it is a constant, and no function of anything.")
    shapes = graph["tensor_values"]
    sizes = tuple((n, _sizes(shapes[n])) for n in inputs)
    steps = tuple(_step(node) for node in graph["nodes"])
    outputs = [output.only() for output in graph["outputs"]]
    if not all(kind == "as_tensor" for kind, _ in outputs):
        raise UnsupportedOpError("The program returns something beside tensors. Export what returns tensors.")
    names = tuple(content["name"].text() for _, content in outputs)
    declared = {name: _sizes(tensor) for name, tensor in shapes.items()}
    return Program(sizes, constants, steps, names, declared), _NAMES.get(
        shapes[inputs[0]]["dtype"].whole(), "float32"
    )


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    """One entry of the archive."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise CorruptFileError(f"The archive has no entry {name!r}.") from error


def _sizes(tensor: Tree) -> tuple[int | None, ...]:
    """The sizes that a program declares for a tensor; ``None`` for an open one."""
    found = []
    for size in tensor["sizes"]:
        fixed = size.get("as_int")
        found.append(None if fixed is None else fixed.whole())
    if any(n is not None and n < 0 for n in found):
        raise CorruptFileError(f"{tensor.place} has a negative size: {found}.")
    return tuple(found)


def _stored(archive: zipfile.ZipFile, folder: str, config: str) -> dict[str, Array]:
    """Raw tensors of one folder of the archive."""
    if f"{folder}/{config}" not in archive.namelist():
        return {}
    entries = parsed(_content(archive, f"{folder}/{config}"), "The list of tensors")["config"]
    return {name: _array(archive, folder, name, entry) for name, entry in entries.items()}


def _array(archive: zipfile.ZipFile, folder: str, name: str, entry: Tree) -> Array:
    meta, pickled = entry.get("tensor_meta"), entry.get("use_pickle")
    if meta is None or (pickled is not None and pickled.value):
        raise UnsafeFileError(f"Tensor {name!r} is stored as a pickle, which is never unpacked. {_AGAIN}")
    kind, layout = meta["dtype"].whole(), meta.get("layout")
    if kind not in _KINDS or (layout is not None and layout.value != _STRIDED):
        raise UnsupportedOpError(f"Tensor {name!r} is of a number type or layout that is not supported.")
    shape = tuple(s["as_int"].whole() for s in meta["sizes"])
    strides = tuple(s["as_int"].whole() for s in meta["strides"])
    start = meta["storage_offset"]["as_int"].whole()
    data = _content(archive, f"{folder}/{entry['path_name'].text()}")
    width = np.dtype(_KINDS[kind]).itemsize
    if len(data) % width or len(shape) != len(strides) or len(shape) > _MOST_AXES:
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} does not fit its {len(data)} bytes.")
    flat: Array = np.frombuffer(data, dtype=_KINDS[kind])
    last = start + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    size = prod(shape)
    if min([*shape, *strides, start], default=0) < 0 or (size and last >= len(flat)):
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} does not fit its {len(flat)} numbers.")
    if size > max(len(flat), 1):
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} is larger than its {len(flat)} numbers.")
    view = as_strided(flat[start:], shape, [s * width for s in strides]) if size else np.zeros(0)
    array = np.ascontiguousarray(view).reshape(shape)
    refuse_not_finite(array, name, infinite="-")
    return array


def _step(node: Tree) -> Step:
    """One node; arguments are named in the file."""
    target = node["target"].text()
    arguments = {a["name"].text(): _argument(a["arg"]) for a in node["inputs"]}
    names: list[str] = []
    outputs = list(node["outputs"])
    for output in outputs:
        several = output.get("as_tensors")
        names += [_name(output)] if several is None else [v["name"].text() for v in several]
    unpacked = len(outputs) != 1 or outputs[0].get("as_tensors") is not None
    if target.startswith("torch.ops.aten."):
        op, _, overload = target.removeprefix("torch.ops.aten.").partition(".")
        return Step(op, overload or "default", arguments, tuple(names), unpacked)
    if target.startswith("_operator."):
        values = dict(zip("ab", arguments.values(), strict=False))
        return Step(f"sym_{target.removeprefix('_operator.')}", "", values, tuple(names))
    return Step(target.removeprefix("torch.ops."), "default", arguments, tuple(names), unpacked)


def _name(output: Tree) -> str:
    """The name of a result; empty where it is nothing that is read."""
    kind, content = output.only()
    if kind == "as_tensor":
        return content["name"].text()
    named = content.get("as_name") if isinstance(content.value, dict) else None
    return "" if named is None else named.text()


def _argument(argument: Tree) -> Any:
    """An argument as python values and references; the operator's schema says what it must be."""
    kind, content = argument.only()
    if kind in ("as_tensor", "as_optional_tensor"):
        named = content.get("name")
        return _argument(content) if named is None else Reference(named.text())
    if kind in ("as_tensors", "as_optional_tensors"):
        several = [(entry, entry.get("name")) for entry in content]
        return [_argument(entry) if n is None else Reference(n.text()) for entry, n in several]
    if kind == "as_scalar_type":
        if content.whole() not in IN_ARCHIVES:
            raise content.not_a("number of a number type")
        return IN_ARCHIVES[content.whole()]
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return _size(content)
    if kind in ("as_sym_ints", "as_sym_floats"):
        return [_size(entry) for entry in content]
    return content.value if kind in _PLAIN else None


def _size(content: Tree) -> Any:
    """A number, or the name of one."""
    kind, value = content.only()
    return Reference(value.text()) if kind == "as_name" else value.value
