"""What a TFLite file holds, by name: inputs, outputs, and the tensors between them with their operators."""

from __future__ import annotations

from pathlib import Path

from adapters.onnx.contents import Contents, Written
from adapters.tflite.file import parse


def contents(path: Path) -> Contents:
    """The names in a TFLite file; what is computed of constants alone is left out.

    Raises:
        LoadError: the file cannot be read.
    """
    graph = parse(path.read_bytes())
    tensors = graph.tensors
    constant = {i for i, tensor in enumerate(tensors) if tensor.data is not None or tensor.sparse}
    for operator in graph.operators:
        if {i for i in operator.inputs if i >= 0} <= constant:
            constant |= set(operator.outputs)
    return Contents(
        inputs=tuple((tensors[i].name, _shape(tensors[i].shape)) for i in graph.inputs if i >= 0),
        outputs=tuple(tensors[i].name for i in graph.outputs if i >= 0),
        tensors=tuple(
            Written(tensors[i].name, operator.name)
            for operator in graph.operators
            for i in operator.outputs
            if i >= 0 and i not in constant
        ),
    )


def _shape(sizes: tuple[int | None, ...]) -> tuple[int | str, ...]:
    return tuple("?" if n is None else n for n in sizes)
