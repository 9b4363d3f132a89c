"""ONNX models in runtimes: onnxruntime, or onnx's own reference evaluator where that has no kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from adapters.check import NotRunnableError, pieces
from adapters.inputs import InputPart
from polytope.ir.maps import FloatArray

# A model that is looked at stays on its machine. The variable is read while the library is loaded, ...
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

onnxruntime.disable_telemetry_events()  # ... and older ones ask for this

Run = Callable[[FloatArray], list[NDArray[Any]]]
"""Rows ``[n, d]``, as one batch, to all outputs."""


def in_onnxruntime(model: bytes, parts: Sequence[InputPart], dtype: str) -> Run:
    """The model in onnxruntime."""
    session = session_of(model)
    names = {i.name for i in session.get_inputs()}

    def run(x: FloatArray) -> list[NDArray[Any]]:
        feeds = {p.name: a for p, a in zip(parts, pieces(x, parts, dtype), strict=True) if p.name in names}
        try:
            return [np.asarray(y) for y in session.run(None, feeds, quiet)]
        except Exception as error:  # onnxruntime raises many unrelated kinds
            raise NotRunnableError(f"onnxruntime cannot run it: {_first(error)}") from error

    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4
    return run


def session_of(model: bytes) -> Any:
    """A session of onnxruntime: graph optimisation off, one thread, deterministic, silent."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many unrelated kinds
        raise NotRunnableError(f"onnxruntime refuses it: {_first(error)}") from error


def in_reference(model: bytes, parts: Sequence[InputPart], dtype: str) -> Run:
    """The model in onnx.reference: every operator of every version in numpy; slow."""
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(onnx.load_model_from_string(model))
    except Exception as error:  # it raises many unrelated kinds
        raise NotRunnableError(f"onnx.reference refuses it: {_first(error)}") from error

    def run(x: FloatArray) -> list[NDArray[Any]]:
        feeds = dict(zip((p.name for p in parts), pieces(x, parts, dtype), strict=True))
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(y) for y in evaluator.run(None, feeds)]
        except Exception as error:  # it raises many unrelated kinds
            raise NotRunnableError(f"onnx.reference cannot run it: {_first(error)}") from error

    return run


def complaint(model: onnx.ModelProto) -> str:
    """What onnx's checker and its shape inference find wrong with a model; empty if nothing.

    Outputs may leave their shapes to be found, which old exporters do and the checker does not know.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        for output in inferred.graph.output:
            output.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(inferred)
    except Exception as error:
        return _first(error)
    return ""


def _first(error: Exception) -> str:
    return str(error).split("\n")[0][:300]
