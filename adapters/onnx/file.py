"""An ONNX file's bytes become a model proto with all its data inside, or are refused.

External data is read only from regular files inside the model's own folder; every size is checked
before memory is asked for.
"""

from __future__ import annotations

import stat
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from adapters.arrays import refuse_not_finite
from adapters.lowering.layers import Array
from adapters.onnx.branches import tensors_of
from polytope.errors import CorruptFileError, UnsafeFileError, UnsupportedOpError

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def parse_model(data: bytes, name: str) -> onnx.ModelProto:
    """The proto in a file's bytes."""
    if not data:
        raise CorruptFileError(f"{name} is empty (0 bytes).")
    start = data[:256].lstrip().lower()
    if start.startswith((b"<", b"{", b"[")):
        kind = "HTML or XML" if start.startswith(b"<") else "JSON or text"
        raise CorruptFileError(
            f"{name} is not an ONNX file: it looks like {kind}. Download or export it again."
        )
    try:
        model = onnx.ModelProto()
        model.ParseFromString(data)
    except DecodeError as error:
        raise CorruptFileError(
            f"{name} is truncated or corrupt, or not an ONNX file: it does not parse."
        ) from error
    if not all(isinstance(node.op_type, str) for node in model.graph.node):  # bytes, where it is no UTF-8
        raise CorruptFileError(f"{name} is corrupt: the name of an operator is no text.")
    if not model.graph.node and not model.graph.output:
        raise CorruptFileError(f"{name} holds no graph: it is not an ONNX model.")
    return model


def resolve_external(model: onnx.ModelProto, folder: Path | None) -> None:
    """Read external data into the proto; refuse what does not lie in the model's folder."""
    for tensor in tensors_of(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            tensor.raw_data = _external_bytes(tensor, folder)
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT


def _external_bytes(tensor: onnx.TensorProto, folder: Path | None) -> bytes:
    fields = {entry.key: entry.value for entry in tensor.external_data}
    path = _safe_path(fields.get("location", ""), tensor.name, folder)
    size = path.stat().st_size
    expected = prod(_dims(tensor)) * _bits(tensor) // 8
    try:
        offset, length = int(fields.get("offset", 0)), int(fields.get("length", expected))
    except ValueError as error:
        raise CorruptFileError(
            f"Tensor {tensor.name!r}: its external offset or length is no number."
        ) from error
    if offset < 0 or length != expected or offset + length > size:
        raise CorruptFileError(
            f"Tensor {tensor.name!r}: bytes {offset}..{offset + length} were asked for, "
            f"{expected} bytes are needed, and its external file has {size}."
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _safe_path(location: str, name: str, folder: Path | None) -> Path:
    """The external file, if it is a regular file inside the model's folder."""
    refused = f"Tensor {name!r}: its external data {location[:200]!r}"
    if folder is None:
        raise UnsafeFileError(f"{refused} has no folder: load the model from its file.")
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    outside = (
        posix.is_absolute()
        or windows.is_absolute()
        or windows.drive
        or ".." in (*posix.parts, *windows.parts)
    )
    if not location or "\0" in location or "://" in location or outside:
        raise UnsafeFileError(
            f"{refused} lies outside the model's folder. Only files next to the model are read."
        )
    path = folder / location
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnsafeFileError(
            f"{refused} lies outside the model's folder. Only files next to the model are read."
        )
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CorruptFileError(f"{refused} is missing. Put it next to the model.") from error
    if not stat.S_ISREG(mode):
        raise UnsafeFileError(f"{refused} is not a regular file.")
    return path


def _dims(tensor: onnx.TensorProto) -> tuple[int, ...]:
    dims = tuple(tensor.dims)
    if any(n < 0 for n in dims):
        raise CorruptFileError(f"Tensor {tensor.name!r} has a negative dimension: {list(dims)}.")
    return dims


def _bits(tensor: onnx.TensorProto) -> int:
    if tensor.data_type not in _BITS:
        kinds = onnx.TensorProto.DataType.items()
        name = next((n for n, number in kinds if number == tensor.data_type), str(tensor.data_type))
        raise UnsupportedOpError(
            f"Tensor {tensor.name!r} holds numbers of type {name}, which is not supported."
        )
    return _BITS[tensor.data_type]


def array_of(tensor: onnx.TensorProto, *, infinite: str = "") -> Array:
    """A tensor's numbers; refused where sizes disagree or numbers are not finite (a bound or mask may be)."""
    dims, bits = _dims(tensor), _bits(tensor)
    held = len(tensor.raw_data) * 8 // bits if tensor.HasField("raw_data") else _held(tensor)
    if held != prod(dims) or len(tensor.raw_data) * 8 % bits:
        raise CorruptFileError(f"Tensor {tensor.name!r} of shape {list(dims)} holds {held} numbers.")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptFileError(f"Tensor {tensor.name!r} cannot be read: {error}.") from error
    array = array.astype(np.float32) if tensor.data_type == onnx.TensorProto.BFLOAT16 else array
    refuse_not_finite(array, tensor.name, infinite=infinite)
    return array


def _held(tensor: onnx.TensorProto) -> int:
    return max(len(getattr(tensor, field)) for field in _FIELDS)
