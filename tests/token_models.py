"""A small model of tokens, with an embedding, a normalisation and an MLP, and sequences for it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def transformer_like(batch: str | int = "batch") -> onnx.ModelProto:
    """Tokens, an embedding, a normalisation, an MLP with a skip around both, and a softmax."""
    rng = np.random.default_rng(0)
    weights = {
        "E": rng.standard_normal((20, 6)),
        "scale": rng.uniform(0.5, 1.5, 6),
        "A": rng.standard_normal((6, 9)),
        "a": rng.standard_normal(9),
        "B": rng.standard_normal((9, 6)),
    }
    nodes = [
        helper.make_node("Gather", ["E", "tokens"], ["embedded"]),
        helper.make_node("LayerNormalization", ["embedded", "scale"], ["normed"]),
        helper.make_node("MatMul", ["normed", "A"], ["hidden0"]),
        helper.make_node("Add", ["hidden0", "a"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["on"]),
        helper.make_node("MatMul", ["on", "B"], ["mlp"]),
        helper.make_node("Add", ["embedded", "mlp"], ["out"]),
        helper.make_node("Softmax", ["out"], ["p"]),
    ]
    tensors = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, [batch, 3])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [batch, 3, 6])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


TOKENS = np.random.default_rng(1).integers(0, 20, (8, 3))
