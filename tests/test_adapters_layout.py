"""What the package promises about itself: imports, the published table, eight lines for an operator."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import adapters
from adapters import from_onnx, supported_ops, supported_ops_markdown
from adapters.lowering.registry import onnx_op

PACKAGE = Path(adapters.__file__).parent


def test_a_file_loads_the_libraries_of_its_format_alone(tmp_path: Path) -> None:
    """In a fresh interpreter: no torch or onnx for arrays, no torch for an ONNX file."""
    np.savez(tmp_path / "net.npz", W0=np.ones((2, 3)), b0=np.zeros(2))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "relu.onnx").write_bytes(made.SerializeToString())
    path = str(tmp_path / "relu.onnx")
    script = (
        f"import sys, adapters; adapters.load({str(tmp_path / 'net.npz')!r});"
        "assert not {'torch', 'onnx', 'onnxruntime'} & set(sys.modules), sorted(sys.modules);"
        f"adapters.load({path!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_table_in_the_repository_is_the_generated_one() -> None:
    written = (PACKAGE / "OPERATORS.md").read_text()
    assert written.endswith(supported_ops_markdown()), "run: python -m adapters.lowering.published"


@pytest.mark.parametrize("name", sorted(r["op"] for r in supported_ops() if r["table"] == "ONNX"))
def test_an_operator_has_one_rule(name: str) -> None:
    with pytest.raises(ValueError, match="two rules"):
        onnx_op(name)(lambda t, node: np.zeros(0))


def test_from_onnx_leaves_the_model_alone() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [x])
    graph.output[0].name = "y"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    before = model.SerializeToString()
    from_onnx(model)
    assert model.SerializeToString() == before
