"""Pipelines of classical learners in ONNX: what is affine is read, and everything else is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from adapters import from_onnx, load
from polytope.errors import CorruptFileError, LoadError, NotPiecewiseLinearError
from tests.command_line import answer, polytope

ML = "ai.onnx.ml"
RNG = np.random.default_rng(0)
W, B = RNG.standard_normal((3, 4)), RNG.standard_normal(3)
SCALER = {"offset": [1.0, 2.0, 3.0, 4.0], "scale": [0.5, 1.0, 2.0, 4.0]}


def ml(op: str, reads: str, *writes: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, [reads], list(writes), domain=ML, **attributes)


def classifier(transform: str, reads: str = "x") -> onnx.NodeProto:
    return ml(
        *("LinearClassifier", reads, "label", "scores"),
        coefficients=W.ravel().tolist(),
        intercepts=B.tolist(),
        classlabels_ints=[0, 1, 2],
        post_transform=transform,
    )


def model_of(nodes: list[onnx.NodeProto], *outputs: str) -> onnx.ModelProto:
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 4])
    graph = helper.make_graph(nodes, "case", [shape], [onnx.ValueInfoProto(name=o) for o in outputs])
    sets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def outcome(model: onnx.ModelProto, x: np.ndarray) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, {"x": x.astype(np.float32)})
    return found


@pytest.mark.parametrize("scale", [SCALER, {"offset": [1.0], "scale": [2.0]}])
def test_a_scaler_and_a_regressor(scale: dict[str, list[float]]) -> None:
    nodes = [
        ml("Scaler", "x", "scaled", **scale),
        ml(
            "LinearRegressor",
            "scaled",
            "y",
            coefficients=W.ravel().tolist(),
            intercepts=B.tolist(),
            targets=3,
        ),
    ]
    model, x = model_of(nodes, "y"), RNG.standard_normal((20, 4))
    network = from_onnx(model)
    assert network.import_note == "compared with onnxruntime"
    np.testing.assert_allclose(network(x), outcome(model, x)[0], rtol=1e-4, atol=1e-4)  # float32


def test_the_scores_of_a_classifier_and_not_its_labels() -> None:
    nodes = [ml("Scaler", "x", "scaled", **SCALER), classifier("NONE", "scaled")]
    model, x = model_of(nodes, "label", "scores"), RNG.standard_normal((20, 4))
    with pytest.raises(NotPiecewiseLinearError, match="whole numbers that jump"):
        from_onnx(model)
    network = from_onnx(model, until="scores")
    label, scores = outcome(model, x)
    np.testing.assert_allclose(network(x), scores, rtol=1e-4, atol=1e-4)
    assert network(x).argmax(axis=1).tolist() == label.tolist()


@pytest.mark.parametrize(("transform", "op"), [("SOFTMAX", "Softmax"), ("LOGISTIC", "Sigmoid")])
def test_a_classifier_with_probabilities_is_cut_at_its_scores(
    transform: str, op: str, tmp_path: Path
) -> None:
    """A ZipMap behind them only names them; the cut that the refusal names can be used."""
    named = ml("ZipMap", "scores", "probabilities", classlabels_int64s=[0, 1, 2])
    model, x = model_of([classifier(transform), named], "probabilities"), RNG.standard_normal((20, 4))
    with pytest.raises(NotPiecewiseLinearError, match=rf"op {op}.*until='scores_scores'"):
        from_onnx(model)
    logits = from_onnx(model, until="scores_scores")(x)
    rows = [[row[k] for k in range(3)] for row in outcome(model, x)[0]]
    expected = (
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        if op == "Softmax"
        else 1 / (1 + np.exp(-logits))
    )
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)
    file = tmp_path / "classifier.onnx"
    onnx.save(model, file)
    refused = polytope("count", file)
    assert refused.returncode == 3
    assert "--until scores_scores" in refused.stderr
    assert answer("count", file, "--until", "scores_scores")["regions"] == 1


def test_a_zipmap_of_scores_is_left_out() -> None:
    named = ml("ZipMap", "scores", "named", classlabels_int64s=[0, 1, 2])
    network = from_onnx(model_of([classifier("NONE"), named], "named"))
    x = RNG.standard_normal((5, 4))
    np.testing.assert_allclose(network(x), x @ W.T + B, rtol=1e-6)  # coefficients are float32
    assert network.output_names == ("scores",)


def test_what_is_not_affine_is_refused_by_name(tmp_path: Path) -> None:
    for op, reason in (
        ("TreeEnsembleRegressor", "decision trees is piecewise constant"),
        ("TreeEnsembleClassifier", "decision trees is piecewise constant"),
        ("Normalizer", "not piecewise linear"),
        ("LabelEncoder", "labels, which jump"),
        ("SVMRegressor", "not piecewise linear"),
        ("Imputer", "not supported"),
    ):
        with pytest.raises(LoadError, match=reason):
            from_onnx(model_of([ml(op, "x", "y")], "y"))
    broken = ml("Scaler", "x", "y", offset=[1.0, 2.0], scale=[1.0])
    with pytest.raises(CorruptFileError, match="2 numbers for 4 features"):
        from_onnx(model_of([broken], "y"))
    few = ml("LinearRegressor", "x", "y", coefficients=[1.0, 2.0])
    with pytest.raises(CorruptFileError, match="2 coefficients for 1 x 4"):
        from_onnx(model_of([few], "y"))


def test_info_lists_tensors_and_says_what_is_refused(tmp_path: Path) -> None:
    named = ml("ZipMap", "scores", "probabilities", classlabels_int64s=[0, 1, 2])
    file = tmp_path / "classifier.onnx"
    onnx.save(
        model_of(
            [ml("Scaler", "x", "scaled", **SCALER), classifier("SOFTMAX", "scaled"), named], "probabilities"
        ),
        file,
    )
    refused = polytope("info", file)
    assert refused.returncode == 3
    assert "input    x b x 4" in refused.stdout
    assert "scores_scores  (ai.onnx.ml.LinearClassifier)" in refused.stdout
    assert "scores  (Softmax)  refused: not piecewise linear" in refused.stdout
    assert "--until scores_scores" in refused.stderr
    found = answer("info", file, "--until", "scores_scores")
    assert (found["read"], found["units"], found["output_dim"]) == (True, 0, 3)
    np.savez(tmp_path / "abs.npz", W0=[[1.0], [-1.0]], b0=[0.0, 0.0], W1=[[1.0, 1.0]], b1=[0.0])
    assert load(tmp_path / "abs.npz").n_units == 2
    done = polytope("info", tmp_path / "abs.npz")
    assert done.returncode == 0
    assert "read     1 input, 1 output (" in done.stdout
    assert "compared with the formula that the format stands for" in done.stdout
    assert "compared compared" not in done.stdout
    assert "units    2 in a layer of 2" in done.stdout
    assert polytope("info", tmp_path / "nothing.onnx").returncode == 3
