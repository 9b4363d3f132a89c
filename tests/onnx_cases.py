"""ONNX models for tests: nodes, cases of operators, and the oracle."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime

from adapters.check import TOLERANCE
from polytope.ir import Network
from tests.operator_cases import RNG


def oracle(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The runtime without optimisations, all outputs flattened behind each other."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([np.ravel(y) for y in session.run(None, {"x": x})])


def assert_equal_to_oracle(model: onnx.ModelProto, shape: Sequence[int | str], network: Network) -> None:
    full = [1 if isinstance(n, str) else n for n in shape]
    for _ in range(3):
        x = RNG.standard_normal(full).astype(np.float32)
        want = oracle(model, x)
        got = (
            network(x.reshape(-1)) if network.input_dim == x.size else network(x.reshape(len(x), -1)).ravel()
        )
        np.testing.assert_allclose(got, want, atol=TOLERANCE["float32"] * max(1.0, np.abs(want).max()))
