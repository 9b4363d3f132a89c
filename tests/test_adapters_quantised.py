"""Quantised ONNX models: refused with the reason, or read without their rounding where that is asked for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import polytope as pt
from adapters import from_onnx, load, runtime
from polytope.errors import LoadError, NotPiecewiseLinearError, UnsupportedOpError
from polytope.ir.archive import from_arrays, to_arrays
from tests.command_line import polytope
from tests.onnx_cases import oracle

RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(-100, 101, (4, 8)).astype(np.int8), RNG.integers(-100, 101, (8, 3)).astype(np.int8)
SCALES = {"x": 0.03, "h": 0.04, "w0": 0.01, "w1": 0.02}
ZERO = {"x": 3, "h": -128}  # of h from zero on: the clip is the ReLU, as quantisers write it


def model(**more: np.ndarray) -> onnx.ModelProto:
    """Two matrices in QDQ form, with a ReLU that is nothing but the range of what is rounded."""
    stored = {f"s_{n}": np.float32(s) for n, s in SCALES.items()}
    stored |= {f"z_{n}": np.int8(z) for n, z in ZERO.items()} | {"z_w": np.int8(0)}
    stored |= {"w0": WEIGHTS[0], "w1": WEIGHTS[1]} | more
    made = helper.make_node
    nodes = [
        made("QuantizeLinear", ["x", "s_x", "z_x"], ["x_q"], name="rounded"),
        made("DequantizeLinear", ["x_q", "s_x", "z_x"], ["x_d"]),
        made("DequantizeLinear", ["w0", "s_w0", "z_w"], ["w0_d"]),
        made("MatMul", ["x_d", "w0_d"], ["z"]),
        made("QuantizeLinear", ["z", "s_h", "z_h"], ["h_q"]),
        made("DequantizeLinear", ["h_q", "s_h", "z_h"], ["h_d"]),
        made("DequantizeLinear", ["w1", "s_w1", "z_w"], ["w1_d"]),
        made("MatMul", ["h_d", "w1_d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def clipped(x: np.ndarray, name: str) -> np.ndarray:
    """To the range of the whole numbers."""
    return x.clip(SCALES[name] * (-128 - ZERO[name]), SCALES[name] * (127 - ZERO[name]))


def without_rounding(x: np.ndarray) -> np.ndarray:
    h = clipped(clipped(x, "x") @ (WEIGHTS[0] * SCALES["w0"]), "h")
    return h @ (WEIGHTS[1] * SCALES["w1"])


def test_the_network_has_the_weights_and_ranges_and_no_rounding() -> None:
    with pytest.raises(NotPiecewiseLinearError, match=r"step, not a slope.*dequantised=True"):
        from_onnx(model())
    network = from_onnx(model(), dequantised=True)
    x = (3 * RNG.standard_normal((200, 4))).astype(np.float32)
    want = without_rounding(x)
    np.testing.assert_allclose(network(x), want, atol=2e-4 * np.abs(want).max())  # float32 scales
    rounded = np.array([oracle(model(), row[None]) for row in x])
    first = SCALES["x"] / 2 * np.abs(WEIGHTS[0] * SCALES["w0"]).sum(axis=0).max() + SCALES["h"] / 2
    away = (
        first * np.abs(WEIGHTS[1] * SCALES["w1"]).sum(axis=0).max()
    )  # half a step each, carried to the output
    assert 0 < np.abs(network(x) - rounded).max() <= away * (1 + 1e-4)
    assert runtime(network) is not None
    regions = pt.enumerate_regions(
        network.restrict(pt.Slice.through(*x[:3])), pt.Polyhedron.box([-1, -1], [2, 2])
    )
    assert regions.complete
    assert len(regions) > 20


def test_it_says_what_it_is_wherever_it_goes(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "q.onnx")
    network = load(tmp_path / "q.onnx", dequantised=True)
    assert repr(network).endswith(", dequantised)")
    assert "left out" in network.import_note
    assert network.restrict(pt.Slice.through(*np.eye(4)[:3])).dequantised
    assert from_arrays(to_arrays(network)).dequantised
    found = pt.audit(network, budget=3)
    assert found.report.model.dequantised
    found.write_html(tmp_path / "report.html")
    assert "rounding is a step, not a slope" in (tmp_path / "report.html").read_text()
    refused = polytope("count", tmp_path / "q.onnx", "--box", "-1", "1")
    assert refused.returncode == 3
    assert "--dequantised reads the network" in " ".join(refused.stderr.split())
    told = polytope("count", tmp_path / "q.onnx", "--dequantised", "--box", "-.1", ".1", "--max-regions", "9")
    assert "rounding to whole numbers is left out" in " ".join(told.stderr.split())


def test_what_is_not_rounded_says_nothing() -> None:
    plain = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "plain",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    assert not from_onnx(plain, dequantised=True).dequantised


def test_what_else_is_asked_for_is_refused(tmp_path: Path) -> None:
    several = {"s_x": np.full(4, 0.03, dtype=np.float32), "z_x": np.zeros(4, dtype=np.int8)}
    with pytest.raises(UnsupportedOpError, match=r"'rounded'.*along an axis"):
        from_onnx(model(**several), dequantised=True)
    computed = model()
    computed.graph.node[0].input[1] = "z"
    with pytest.raises(UnsupportedOpError, match=r"'rounded'.*computed"):
        from_onnx(computed, dequantised=True)
    (tmp_path / "m.keras").write_bytes(b"PK")
    with pytest.raises(LoadError, match=r"m\.keras: this format is not read.*model\.export"):
        load(tmp_path / "m.keras")
    np.savez(tmp_path / "a.npz", W0=np.eye(2), b0=np.zeros(2))
    rounded = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    ends = [
        helper.make_tensor_value_info(n, t, [1, 2])
        for n, t in (("x", TensorProto.FLOAT), ("y", TensorProto.UINT8))
    ]
    dynamic = helper.make_model(helper.make_graph([rounded], "dynamic", ends[:1], ends[1:]))
    for asked in (False, True):
        with pytest.raises(NotPiecewiseLinearError, match="Load the model from before it was quantised"):
            from_onnx(dynamic, dequantised=asked)
    with pytest.raises(ValueError, match="dequantised="):
        load(tmp_path / "a.npz", dequantised=True)
