"""TFLite files for tests, written with the schema's own classes: tensors, operators and their options."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

KINDS = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


@dataclass
class Model:
    """A graph in the making; ``tensor`` and ``operator`` give numbers of tensors."""

    tensors: list[tuple] = field(default_factory=list)
    operators: list[tuple] = field(default_factory=list)

    def tensor(
        self,
        shape: Sequence[int],
        data: np.ndarray | None = None,
        kind: str = "float32",
        scale=(),
        zero=(),
        axis=0,
    ) -> int:
        """One more tensor: constant where it has data."""
        kind = kind if data is None else data.dtype.name
        self.tensors.append((f"t{len(self.tensors)}", list(shape), kind, data, scale, zero, axis))
        return len(self.tensors) - 1

    def constant(self, data: np.ndarray) -> int:
        """Numbers of the file."""
        return self.tensor(data.shape, data)

    def operator(self, name: str, inputs: Sequence[int], shape: Sequence[int], **options) -> int:
        """One more operator; what it gives is of the shape, and quantised where ``to`` says so."""
        to = options.pop("to", {})
        table = options.pop("table", None)
        out = self.tensor(shape, **to)
        self.operators.append((name, list(inputs), [out], table, options))
        return out

    def data(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        b = flatbuffers.Builder(1024)
        buffers = [_buffer(b, None), *(_buffer(b, t[3]) for t in self.tensors)]
        tensors = [_tensor(b, t, number + 1) for number, t in enumerate(self.tensors)]
        names = list(dict.fromkeys(op[0] for op in self.operators))
        operators = [_operator(b, op, names) for op in self.operators]
        ends = [b.CreateNumpyVector(np.array(n, dtype=np.int32)) for n in (inputs, outputs)]
        parts = [_vector(b, entries) for entries in (tensors, operators)]
        graph = _table(b, "SubGraph", Tensors=parts[0], Operators=parts[1], Inputs=ends[0], Outputs=ends[1])
        codes = [_code(b, getattr(tflite.BuiltinOperator, name)) for name in names]
        lists = {"OperatorCodes": codes, "Subgraphs": [graph], "Buffers": buffers}
        made = {key: _vector(b, entries) for key, entries in lists.items()}
        b.Finish(_table(b, "Model", Version=3, **made), file_identifier=b"TFL3")
        return bytes(b.Output())


def _table(b: flatbuffers.Builder, kind: str, **fields) -> int:
    """A table with these fields."""
    module = vars(tflite)
    module[f"{kind}Start"](b)
    for name, value in fields.items():
        module[f"{kind}Add{name}"](b, value)
    return module[f"{kind}End"](b)


def _vector(b: flatbuffers.Builder, entries: Sequence[int]) -> int:
    b.StartVector(4, len(entries), 4)
    for entry in reversed(entries):
        b.PrependUOffsetTRelative(entry)
    return b.EndVector()


def _buffer(b: flatbuffers.Builder, data: np.ndarray | None) -> int:
    if data is None:
        return _table(b, "Buffer")
    return _table(b, "Buffer", Data=b.CreateNumpyVector(np.frombuffer(data.tobytes(), dtype=np.uint8)))


def _tensor(b: flatbuffers.Builder, tensor: tuple, buffer: int) -> int:
    name, shape, kind, _, scale, zero, axis = tensor
    parts = {"Name": b.CreateString(name), "Shape": b.CreateNumpyVector(np.array(shape, dtype=np.int32))}
    if len(scale):
        scales = b.CreateNumpyVector(np.array(scale, dtype=np.float32))
        zeros = b.CreateNumpyVector(np.array(zero, dtype=np.int64))
        parts["Quantization"] = _table(
            b, "QuantizationParameters", Scale=scales, ZeroPoint=zeros, QuantizedDimension=axis
        )
    return _table(b, "Tensor", Type=KINDS[kind], Buffer=buffer, **parts)


def _operator(b: flatbuffers.Builder, operator: tuple, names: list[str]) -> int:
    name, inputs, outputs, table, options = operator
    ends = [b.CreateNumpyVector(np.array(n, dtype=np.int32)) for n in (inputs, outputs)]
    more = {}
    if table:
        made = _table(b, table, **options)
        more = {"BuiltinOptionsType": getattr(tflite.BuiltinOptions, table), "BuiltinOptions": made}
    return _table(b, "Operator", OpcodeIndex=names.index(name), Inputs=ends[0], Outputs=ends[1], **more)


def _code(b: flatbuffers.Builder, number: int) -> int:
    return _table(b, "OperatorCode", BuiltinCode=number, DeprecatedBuiltinCode=min(number, 127))
