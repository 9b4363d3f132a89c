"""onnxruntime as the oracle: graph optimisation off, one thread, deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnxruntime

from adapters.inputs import InputPart
from polytope.errors import CorruptFileError
from polytope.ir.maps import FloatArray

_KINDS = {"float64": np.float64, "float16": np.float16}


class Session:
    """A model in onnxruntime."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many unrelated kinds
            raise CorruptFileError(
                f"onnxruntime refuses the model, so it cannot be checked: {_first(error)}"
            ) from error

    def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs."""
        names = {i.name for i in self._session.get_inputs()}
        try:
            return list(self._session.run(None, {k: v for k, v in feeds.items() if k in names}))
        except Exception as error:  # onnxruntime raises many unrelated kinds
            raise CorruptFileError(
                f"onnxruntime cannot run the model, so it cannot be checked: {_first(error)}"
            ) from error

    def accepts(self, shapes: Sequence[tuple[int, ...]], dtype: str) -> bool:
        """Whether the model runs on inputs of these shapes."""
        inputs = zip(self._session.get_inputs(), shapes, strict=False)
        try:
            self.run({i.name: np.zeros(shape, dtype=_KINDS.get(dtype, np.float32)) for i, shape in inputs})
        except CorruptFileError:
            return False
        return True

    def rows(self, x: FloatArray, parts: Sequence[InputPart], batch: int, dtype: str) -> FloatArray:
        """The flattened outputs of each row of x, ``[B, out]``, computed ``batch`` rows at a time."""
        found = []
        for start in range(0, len(x), batch):
            block = x[np.arange(start, start + batch) % len(x)]
            found.append(self._block(block, parts, dtype)[: len(x) - start])
        return np.concatenate(found)

    def _block(self, block: FloatArray, parts: Sequence[InputPart], dtype: str) -> FloatArray:
        feeds, place = {}, 0
        for part in parts:
            size = prod(part.shape)
            piece = block[:, place : place + size].astype(_KINDS.get(dtype, np.float32))
            feeds[part.name] = piece.reshape((len(block), *part.shape[1:]) if part.batched else part.shape)
            place += size
        outputs = [np.asarray(y, dtype=float) for y in self.run(feeds)]
        if any(y.size % len(block) for y in outputs):
            raise CorruptFileError(f"The model's outputs do not split into a batch of {len(block)}.")
        return np.concatenate([y.reshape(len(block), -1) for y in outputs], axis=1)


def _first(error: Exception) -> str:
    return str(error).split("\n")[0][:300]
