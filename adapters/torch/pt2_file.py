"""The .pt2 archives of ``torch.export.save``, read without PyTorch's own reader.

That reader unpickles objects and evaluates expressions from the file; this one reads the graph's JSON
and raw numbers, and nothing else.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from adapters.archive import opened
from adapters.arrays import LARGEST_ARCHIVE, refuse_not_finite
from adapters.inputs import completed_part, given_shapes
from adapters.lowering.layers import Array
from adapters.torch.aten_program import Program, Reference, Step, coarsest, trace_program
from adapters.torch.aten_types import IN_ARCHIVES
from polytope.errors import (
    CorruptFileError,
    ImportMismatchError,
    LoadError,
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
_AGAIN = "Export it again with torch.export.save of PyTorch 2.9 or newer."


def network_from_pt2(data: bytes, *, until: str | Sequence[str] | None, input_shape: Any) -> Network:
    """The network of a .pt2 archive, compared with PyTorch's kernels run on its graph."""
    program, dtype = read_program(data)
    names = None if until is None else [until] if isinstance(until, str) else list(until)
    program = program.cut(names)
    given = given_shapes(input_shape, [name for name, _ in program.inputs])
    try:
        try:
            return _network(program, given, dtype, per_sample=True)
        except ImportMismatchError:
            if not any(shape and (shape[0] or 1) > 1 for _, shape in program.inputs):
                raise
            return _network(program, given, dtype, per_sample=False)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CorruptFileError(f"The archive's program does not fit together ({error}). {_AGAIN}") from error


def _network(program: Program, given: Mapping[str, Any], dtype: str, *, per_sample: bool) -> Network:
    """The network of one sample, or of the whole input where the first axis is no batch."""
    from adapters.check import NotRunnableError, checked, refuse_mixing
    from adapters.torch.runtime import program_model

    parts = [completed_part(n, shape, given.get(n), per_sample=per_sample) for n, shape in program.inputs]
    network, batch = trace_program(program, parts), max(p.frozen for p in parts)
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
    except LoadError:
        raise
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise CorruptFileError(f"The archive is not a .pt2 file of a known kind. {_AGAIN}") from error


def _program(archive: zipfile.ZipFile) -> tuple[Program, str]:
    entries = archive.infolist()
    if sum(e.file_size for e in entries) > LARGEST_ARCHIVE:
        raise UnsafeFileError(f"The archive unpacks to more than {LARGEST_ARCHIVE:,} bytes.")
    models = [e.filename for e in entries if "/models/" in e.filename and e.filename.endswith(".json")]
    if len(models) != 1:
        raise CorruptFileError(
            f"The archive holds {len(models)} exported programs; one was expected. {_AGAIN}"
        )
    root, _, file = models[0].partition("/models/")
    name = file.removesuffix(".json")
    module = json.loads(archive.read(models[0]))["graph_module"]
    graph, signature = module["graph"], module["signature"]
    stored = _stored(archive, f"{root}/data/weights", f"{name}_weights_config.json")
    stored |= _stored(archive, f"{root}/data/constants", f"{name}_constants_config.json")
    constants, inputs = {}, []
    for spec in signature["input_specs"]:
        kind, content = next(iter(spec.items()))
        if kind == "user_input":
            inputs.append(content["arg"]["as_tensor"]["name"])
        else:
            constants[content["arg"]["name"]] = stored[content[f"{kind}_name"]]
    shapes = graph["tensor_values"]
    sizes = tuple((n, tuple(s.get("as_int") for s in shapes[n]["sizes"])) for n in inputs)
    steps = tuple(_step(node) for node in graph["nodes"])
    if not all("as_tensor" in o for o in graph["outputs"]):
        raise UnsupportedOpError("The program returns something beside tensors. Export what returns tensors.")
    outputs = tuple(o["as_tensor"]["name"] for o in graph["outputs"])
    return Program(sizes, constants, steps, outputs), _NAMES.get(shapes[inputs[0]]["dtype"], "float32")


def _stored(archive: zipfile.ZipFile, folder: str, config: str) -> dict[str, Array]:
    """Raw tensors of one folder of the archive."""
    if f"{folder}/{config}" not in archive.namelist():
        return {}
    entries = json.loads(archive.read(f"{folder}/{config}"))["config"]
    return {name: _array(archive, folder, name, entry) for name, entry in entries.items()}


def _array(archive: zipfile.ZipFile, folder: str, name: str, entry: Mapping[str, Any]) -> Array:
    if entry.get("use_pickle") or entry.get("tensor_meta") is None:
        raise UnsafeFileError(f"Tensor {name!r} is stored as a pickle, which is never unpacked. {_AGAIN}")
    meta = entry["tensor_meta"]
    if meta["dtype"] not in _KINDS or meta.get("layout", 7) != 7:
        raise UnsupportedOpError(f"Tensor {name!r} is of a number type or layout that has no rule.")
    shape = tuple(int(s["as_int"]) for s in meta["sizes"])
    strides = tuple(int(s["as_int"]) for s in meta["strides"])
    start = int(meta["storage_offset"]["as_int"])
    flat: Array = np.frombuffer(archive.read(f"{folder}/{entry['path_name']}"), dtype=_KINDS[meta["dtype"]])
    last = start + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    size = int(np.prod(shape, dtype=object))
    if min([*shape, *strides, start], default=0) < 0 or (size and last >= len(flat)):
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} does not fit its {len(flat)} numbers.")
    if size > max(len(flat), 1):
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} is larger than its {len(flat)} numbers.")
    view = as_strided(flat[start:], shape, [s * flat.itemsize for s in strides]) if size else np.zeros(shape)
    array = np.ascontiguousarray(view).reshape(shape)
    refuse_not_finite(array, name, infinite="-")
    return array


def _step(node: Mapping[str, Any]) -> Step:
    """One node; arguments are named in the file."""
    target = str(node["target"])
    arguments = {a["name"]: _argument(a["arg"]) for a in node["inputs"]}
    names: list[str] = []
    for output in node["outputs"]:
        names += [v["name"] for v in output["as_tensors"]] if "as_tensors" in output else [_name(output)]
    unpacked = len(node["outputs"]) != 1 or "as_tensors" in node["outputs"][0]
    if target.startswith("torch.ops.aten."):
        op, _, overload = target.removeprefix("torch.ops.aten.").partition(".")
        return Step(op, overload or "default", arguments, tuple(names), unpacked)
    if target.startswith("_operator."):
        values = dict(zip("ab", arguments.values(), strict=False))
        return Step(f"sym_{target.removeprefix('_operator.')}", "", values, tuple(names))
    return Step(target.removeprefix("torch.ops."), "default", arguments, tuple(names), unpacked)


def _name(output: Mapping[str, Any]) -> str:
    kind, content = next(iter(output.items()))
    return str(content["name"] if kind == "as_tensor" else content.get("as_name", "") if content else "")


def _argument(argument: Mapping[str, Any]) -> Any:
    """An argument as python values and references."""
    kind, content = next(iter(argument.items()))
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_optional_tensor"):
        return Reference(content["name"]) if "name" in content else _argument(content)
    if kind in ("as_tensors", "as_optional_tensors"):
        return [_argument(v) if "name" not in v else Reference(v["name"]) for v in content]
    if kind == "as_scalar_type":
        return IN_ARCHIVES[content]
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return Reference(content["as_name"]) if "as_name" in content else next(iter(content.values()))
    if kind in ("as_sym_ints", "as_sym_floats"):
        return [Reference(v["as_name"]) if "as_name" in v else next(iter(v.values())) for v in content]
    if kind in (
        "as_int",
        "as_ints",
        "as_float",
        "as_floats",
        "as_bool",
        "as_bools",
        "as_string",
        "as_strings",
    ):
        return content
    return None
