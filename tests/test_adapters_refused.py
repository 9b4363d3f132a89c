"""Files that must be refused are, with the right kind of error, in time, and without a side effect."""

import json
import time
from pathlib import Path

import pytest

from adapters import load
from polytope.errors import (
    CorruptFileError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)

FOLDER = Path(__file__).parents[1].parent / "shared" / "models" / "refuse"
if not (FOLDER / "MANIFEST.json").exists():
    pytest.skip("the collection of refused files is not here", allow_module_level=True)

REFUSED = {
    "sigmoid_inside_distshift.onnx": (NotPiecewiseLinearError, "Sigmoid"),
    "elu_tf2onnx.onnx": (NotPiecewiseLinearError, "Elu"),
    "layernorm_policy.onnx": (NotPiecewiseLinearError, "LayerNormalization"),
    "sign_bnn_traffic.onnx": (NotPiecewiseLinearError, "discontinuous"),
    "mscn_div_mul.onnx": (NotPiecewiseLinearError, "Mul"),
    "acopf_floor.onnx": (NotPiecewiseLinearError, "Mul"),
    "loop_jax.onnx": (UnsupportedOpError, "Loop"),
    "rnn_knet.onnx": (NotPiecewiseLinearError, "RNN"),
    "custom_op_seetaface.onnx": (UnsupportedOpError, "ShapeIndexPatch"),
    "vae_decoder_gather_sigmoid.onnx": (NotPiecewiseLinearError, "Sigmoid"),
    "lstm_burn.onnx": (NotPiecewiseLinearError, "LSTM"),
    "fixed_batch_17370.onnx": (UnsupportedOpError, "17,370"),
    "ssa_violation_jax.onnx": (CorruptFileError, "written twice"),
    "empty.onnx": (CorruptFileError, "empty"),
    "truncated.onnx": (CorruptFileError, "truncated"),
    "html_page.onnx": (CorruptFileError, "HTML"),
    "json_text.onnx": (CorruptFileError, "text"),
    "nan_weight.onnx": (CorruptFileError, "'W0' holds nan at index"),
    "inf_weight.onnx": (CorruptFileError, "'W1' holds inf at index"),
    "wrong_input_rank.onnx": (CorruptFileError, "[1, 1, 3]"),
    "init_dims_negative.onnx": (CorruptFileError, "negative"),
    "constantofshape_bomb.onnx": (UnsafeFileError, "1,000,000,000,000"),
    "cycle.onnx": (CorruptFileError, "cycle"),
    "dangling_input.onnx": (CorruptFileError, "'nothing'"),
    "duplicate_output.onnx": (CorruptFileError, "written twice"),
    "no_inputs.onnx": (CorruptFileError, "'x'"),
    "opset_99.onnx": (UnsupportedOpError, "99"),
    "relu_other_domain.onnx": (UnsupportedOpError, "evil.corp"),
    "sigmoid_small.onnx": (NotPiecewiseLinearError, "Sigmoid"),
    "thresholdedrelu.onnx": (NotPiecewiseLinearError, "discontinuous"),
    "bn_training_mode.onnx": (NotPiecewiseLinearError, "training mode"),
    "mul_dyn_dyn.onnx": (NotPiecewiseLinearError, "quadratic"),
    "random_const.onnx": (NotPiecewiseLinearError, "at random"),
    "string_input.onnx": (NotPiecewiseLinearError, "STRING"),
    "embedding_int_input.onnx": (NotPiecewiseLinearError, "INT64"),
    "ext_traversal_sibling.onnx": (UnsafeFileError, "outside the model's folder"),
    "ext_url.onnx": (UnsafeFileError, "outside the model's folder"),
    "ext_dev_zero.onnx": (UnsafeFileError, "outside the model's folder"),
    "ext_offset.onnx": (CorruptFileError, "external"),
    "empty.pth": (CorruptFileError, "empty"),
}
ACCEPTED = {
    "unsorted_gemm.onnx": (2, 0),
    "silent_bitflip.onnx": (5, 300),
    "input_dim_huge.onnx": (3, 4),
    "deep_chain_20000.onnx": (2, 2),
    "doubling_dag_60.onnx": (2, 2),
    "path_like_names_ok.onnx": (3, 4),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(name: str) -> None:
    kind, words = REFUSED[name]
    start, before = time.process_time(), sorted(FOLDER.iterdir())
    with pytest.raises(LoadError) as refused:
        load(FOLDER / name)
    assert type(refused.value) is kind
    assert words in str(refused.value)
    assert "\n" not in str(refused.value) or name.endswith((".pth", ".pt"))
    assert time.process_time() - start < 5
    assert sorted(FOLDER.iterdir()) == before


NOTICED = {
    "constant_output.onnx": "does not depend on the input",
    "clip_min_gt_max.onnx": "above its maximum",
}


@pytest.mark.parametrize("name", NOTICED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_constant_networks_load_with_a_warning(name: str) -> None:
    with pytest.warns(UserWarning, match=NOTICED[name]):
        network = load(FOLDER / name)
    assert (network.input_dim, network.n_units) == (3, 0)


@pytest.mark.parametrize("name", ACCEPTED)
def test_harmless_oddities_load(name: str) -> None:
    start = time.process_time()
    network = load(FOLDER / name)
    assert (network.input_dim, network.n_units) == ACCEPTED[name]
    assert time.process_time() - start < 5


def test_every_file_of_the_collection_is_decided() -> None:
    names = {f["file"] for f in json.loads((FOLDER / "MANIFEST.json").read_text())["files"]}
    pickles = {n for n in names if n.endswith((".pt", ".pth"))}  # tests/test_adapters_torch_files.py
    assert names == set(REFUSED) | set(ACCEPTED) | set(NOTICED) | pickles
