"""TFLite files: operators mean what torch means by them; what is quantised, sparse or broken is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as f

import polytope as pt
from adapters import load
from adapters.lowering.registry import has_rule
from polytope.errors import CorruptFileError, LoadError, NotPiecewiseLinearError, UnsupportedOpError
from tests.command_line import polytope
from tests.tflite_files import Model

RNG = np.random.default_rng(0)
RELU, RELU6, SAME, VALID = 1, 3, 0, 1


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def saved(folder: Path, model: Model, inputs: list[int], outputs: list[int]) -> Path:
    path = folder / "m.tflite"
    path.write_bytes(model.data(inputs, outputs))
    return path


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def channels_last(y: torch.Tensor) -> np.ndarray:
    return np.moveaxis(y.numpy(), 1, -1)


def small_network() -> tuple[Model, int, int, np.ndarray, np.ndarray]:
    """An image of 5 x 6 through a convolution, a depthwise one, a maximum, and a matrix."""
    m, kernel, single, matrix = Model(), numbers(4, 3, 3, 2), numbers(1, 3, 3, 4), numbers(3, 8)
    x = m.tensor([1, 5, 6, 2])
    h = m.operator(
        *("CONV_2D", [x, m.constant(kernel), m.constant(numbers(4))], [1, 3, 3, 4]),
        table="Conv2DOptions",
        Padding=SAME,
        StrideW=2,
        StrideH=2,
        FusedActivationFunction=RELU,
    )
    h = m.operator(
        *("DEPTHWISE_CONV_2D", [h, m.constant(single), m.constant(numbers(4))], [1, 3, 3, 4]),
        table="DepthwiseConv2DOptions",
        Padding=SAME,
        StrideW=1,
        StrideH=1,
        DepthMultiplier=1,
        FusedActivationFunction=RELU6,
    )
    h = m.operator(
        *("MAX_POOL_2D", [h], [1, 2, 1, 4]),
        table="Pool2DOptions",
        Padding=VALID,
        StrideW=2,
        StrideH=1,
        FilterWidth=2,
        FilterHeight=2,
    )
    h = m.operator("RESHAPE", [h, m.constant(np.array([1, 8], dtype=np.int32))], [1, 8])
    y = m.operator(
        "FULLY_CONNECTED", [h, m.constant(matrix), -1], [1, 3], table="FullyConnectedOptions", KeepNumDims=1
    )
    return m, x, y, kernel, single


def in_torch(m: Model, x: np.ndarray) -> np.ndarray:
    """The same in PyTorch, which pads by hand."""
    data = [t[3] for t in m.tensors]
    kernel, bias, single, offset = (torch.from_numpy(data[i]) for i in (1, 2, 4, 5))
    h = f.relu(f.conv2d(f.pad(channels_first(x), (0, 1, 1, 1)), kernel.permute(0, 3, 1, 2), bias, 2))
    h = f.conv2d(h, single.permute(3, 0, 1, 2), offset, padding=1, groups=4).clamp(0, 6)
    h = f.max_pool2d(h, 2, (1, 2)).permute(0, 2, 3, 1).reshape(len(x), 8)
    return (h @ torch.from_numpy(data[10]).T).numpy()


def test_an_image_network_is_the_one_of_torch(tmp_path: Path) -> None:
    m, x, y, *_ = small_network()
    network = load(saved(tmp_path, m, [x], [y]))
    points = numbers(20, 5, 6, 2)
    want = in_torch(m, points)
    assert network.input_shape == (5, 6, 2)
    assert network.input_names == ("t0",)
    assert not network.dequantised
    np.testing.assert_allclose(network(points), want, atol=1e-4 * np.abs(want).max())  # float32 there
    assert network.import_error is not None
    assert "operators were written as ONNX ones" in network.import_note
    cut = load(saved(tmp_path, m, [x], [y]), until="t6")
    assert cut.output_dim == 36


def one(
    tmp_path: Path, shape: list[int], name: str, more: list[np.ndarray], out: list[int], **options
) -> pt.Network:
    """A network of one operator."""
    m = Model()
    x = m.tensor(shape)
    y = m.operator(name, [x, *(m.constant(array) for array in more)], out, **options)
    return load(saved(tmp_path, m, [x], [y]))


@pytest.mark.parametrize("height", [3, 4])
def test_transposed_convolutions_end_at_their_size(tmp_path: Path, height: int) -> None:
    m, kernel = Model(), numbers(2, 3, 3, 3)
    x, size = m.tensor([1, 2, 2, 3]), m.constant(np.array([1, height, height, 2], dtype=np.int32))
    y = m.operator(
        *("TRANSPOSE_CONV", [size, m.constant(kernel), x], [1, height, height, 2]),
        table="TransposeConvOptions",
        Padding=SAME,
        StrideW=2,
        StrideH=2,
    )
    points = numbers(4, 2, 2, 3)
    whole = f.conv_transpose2d(channels_first(points), torch.from_numpy(kernel).permute(3, 0, 1, 2), stride=2)
    start = (5 - height) // 2
    want = channels_last(whole[:, :, start : start + height, start : start + height])
    found = load(saved(tmp_path, m, [x], [y]))(points)
    np.testing.assert_allclose(found, want.reshape(4, -1), atol=1e-5)


@pytest.mark.parametrize("corners", [False, True])
def test_images_are_resized_by_the_rule_that_the_file_names(tmp_path: Path, corners: bool) -> None:
    size = [np.array([4, 6], dtype=np.int32)]
    rule = {"AlignCorners": 1} if corners else {"HalfPixelCenters": 1}
    found = one(
        tmp_path, [1, 2, 3, 2], "RESIZE_BILINEAR", size, [1, 4, 6, 2], table="ResizeBilinearOptions", **rule
    )
    x = numbers(3, 2, 3, 2)
    want = f.interpolate(channels_first(x), (4, 6), mode="bilinear", align_corners=corners)
    np.testing.assert_allclose(found(x), channels_last(want).reshape(3, -1), atol=1e-6)


def test_operators_on_arrays_are_those_of_numpy(tmp_path: Path) -> None:
    x = numbers(5, 2, 3, 4)
    pads = np.array([[0, 0], [1, 0], [0, 2], [0, 0]], dtype=np.int32)
    bounds = [np.array(n, dtype=np.int32) for n in ([0, 0, 1, 3], [1, 2, 3, 0], [1, 1, 1, -2])]
    mask = {"table": "StridedSliceOptions", "EndMask": 8, "ShrinkAxisMask": 4}
    axes, kept = np.array([1, 2], dtype=np.int32), {"table": "ReducerOptions", "KeepDims": 1}
    cases = {
        "PAD": ([pads], [1, 3, 5, 4], {}, np.pad(x, pads)),
        "STRIDED_SLICE": (bounds, [1, 2, 2], mask, x[:, :2, 1, 3::-2]),
        "MEAN": ([axes], [1, 1, 1, 4], kept, x.mean(axis=(1, 2), keepdims=True)),
        "REDUCE_MAX": ([axes], [1, 1, 1, 4], kept, x.max(axis=(1, 2), keepdims=True)),
        "TRANSPOSE": ([np.array([0, 3, 1, 2], dtype=np.int32)], [1, 4, 2, 3], {}, x.transpose(0, 3, 1, 2)),
        "LEAKY_RELU": (
            [],
            [1, 2, 3, 4],
            {"table": "LeakyReluOptions", "Alpha": 0.25},
            np.where(x > 0, x, x / 4),
        ),
        "PRELU": ([x[0, 0, 0]], [1, 2, 3, 4], {}, np.where(x > 0, x, x * x[0, 0, 0])),
        "SUB": (
            [x[0]],
            [1, 2, 3, 4],
            {"table": "SubOptions", "FusedActivationFunction": 1},
            np.maximum(x - x[0], 0),
        ),
    }
    for name, (more, shape, options, want) in cases.items():
        found = one(tmp_path, [1, 2, 3, 4], name, more, shape, **options)(x)
        np.testing.assert_allclose(found, want.reshape(5, -1), atol=1e-6, err_msg=name)


def test_half_precision_and_fewer_bits_of_weights_alone_are_numbers(tmp_path: Path) -> None:
    m, half = Model(), numbers(3, 4).astype(np.float16)
    whole = RNG.integers(-128, 128, (3, 3)).astype(np.int8)
    x = m.tensor([1, 4])
    first = m.operator("DEQUANTIZE", [m.constant(half)], [3, 4])
    stored = m.tensor([3, 3], whole, scale=[0.5, 0.25, 0.125], zero=[0, 0, 0], axis=0)
    second = m.operator("DEQUANTIZE", [stored], [3, 3])
    h = m.operator("FULLY_CONNECTED", [x, first], [1, 3], table="FullyConnectedOptions")
    y = m.operator("FULLY_CONNECTED", [h, second], [1, 3], table="FullyConnectedOptions")
    points = numbers(6, 4)
    want = points @ half.astype(float).T @ (whole * np.array([[0.5], [0.25], [0.125]])).T
    np.testing.assert_allclose(load(saved(tmp_path, m, [x], [y]))(points), want, rtol=1e-5, atol=1e-4)


def quantised() -> tuple[Model, int, int, np.ndarray]:
    m, whole = Model(), RNG.integers(-100, 100, (3, 4)).astype(np.int8)
    x = m.tensor([1, 4])
    q = m.operator("QUANTIZE", [x], [1, 4], to={"kind": "int8", "scale": [0.03], "zero": [5]})
    weights = m.tensor([3, 4], whole, scale=[0.01], zero=[0])
    given = {"kind": "int8", "scale": [0.05], "zero": [-128]}  # from zero on: the ReLU is in the range
    h = m.operator("FULLY_CONNECTED", [q, weights], [1, 3], table="FullyConnectedOptions", to=given)
    return m, x, m.operator("DEQUANTIZE", [h], [1, 3]), whole


def test_what_is_quantised_is_refused_or_read_without_rounding(tmp_path: Path) -> None:
    m, x, y, whole = quantised()
    path = saved(tmp_path, m, [x], [y])
    with pytest.raises(NotPiecewiseLinearError, match=r"step, not a slope.*dequantised=True"):
        load(path)
    network = load(path, dequantised=True)
    assert network.dequantised
    assert "dequantised" in repr(network)
    assert "rounding to whole numbers is left out" in network.import_note
    points = 3 * numbers(50, 4)
    inside = points.clip(0.03 * (-128 - 5), 0.03 * (127 - 5))
    want = (inside @ (0.01 * whole.T)).clip(0, 0.05 * 255)
    np.testing.assert_allclose(network(points), want, atol=1e-4)
    rounded = 0.03 * np.round(inside / 0.03)  # as the model has them
    steps = 0.05 * np.round((rounded @ (0.01 * whole.T)).clip(0, 0.05 * 255) / 0.05)
    assert 0 < np.abs(network(points) - steps).max() <= 0.025 + 0.015 * 0.01 * np.abs(whole).sum(axis=1).max()
    plain = load(saved(tmp_path, *small_ends()), dequantised=True)
    assert not plain.dequantised  # nothing of it was rounded


def small_ends() -> tuple[Model, list[int], list[int]]:
    m, x, y, *_ = small_network()
    return m, [x], [y]


def test_the_tensors_of_a_file_are_listed(tmp_path: Path) -> None:
    m, x, y, _ = quantised()
    told = polytope("info", saved(tmp_path, m, [x], [y]), "--json")
    assert told.returncode == 3  # it is quantised
    found = json.loads(told.stdout)
    assert found["declared_inputs"] == {"t0": [1, 4]}
    assert [t["operator"] for t in found["tensors"]] == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert [t["name"] for t in found["tensors"]] == ["t1", "t3", "t4"]


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    shape = [1, 2]
    for name, kind, match in (
        ("LOGISTIC", NotPiecewiseLinearError, "Sigmoid.*not piecewise linear"),
        ("DENSIFY", UnsupportedOpError, "t1.*sparse weights"),
        ("TOPK_V2", UnsupportedOpError, "t1.*TOPK_V2.*Export the model to ONNX"),
    ):
        with pytest.raises(kind, match=match):
            one(tmp_path, shape, name, [], shape)
    with pytest.raises(CorruptFileError, match="no padding of number 7"):
        one(tmp_path, [1, 2, 2, 1], "MAX_POOL_2D", [], [1, 1, 1, 1], table="Pool2DOptions", Padding=7)
    m, x, y, *_ = small_network()
    whole = m.data([x], [y])
    m.operators[-1] = (*m.operators[-1][:2], [], *m.operators[-1][3:])
    with pytest.raises(CorruptFileError, match="FULLY_CONNECTED: it has no output"):
        load(saved(tmp_path, m, [x], [y]))
    for data in (b"TFL3" * 20, whole[:-400], whole[:100], b"\0" * 8 + whole[8:]):
        (tmp_path / "broken.tflite").write_bytes(data)
        with pytest.raises(CorruptFileError, match=r"broken\.tflite"):
            load(tmp_path / "broken.tflite")
    with pytest.raises(ValueError, match="module="):
        load(saved(tmp_path, *small_ends()), module=torch.nn.ReLU())


def test_without_the_package_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, *small_ends())
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(LoadError, match=r"polytope-nn\[tflite\]"):
        load(path)


def test_operators_of_the_same_operands_are_rules_or_refusals() -> None:
    from adapters.lowering.reasons import is_refused
    from adapters.tflite.operators import _PLAIN

    assert all(has_rule(op) or is_refused(op) for op in _PLAIN.values())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_changed_files_load_or_are_refused(tmp_path_factory, edits: list[tuple[int, int]]) -> None:
    m, x, y, *_ = small_network()
    data = bytearray(m.data([x], [y]))
    for place, value in edits:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.tflite"
    path.write_bytes(data)
    assert refusal(path).isprintable()


def refusal(path: Path) -> str:
    """Why a file is refused; nothing if it is not."""
    try:
        load(path)
    except LoadError as error:
        return str(error)
    return ""
