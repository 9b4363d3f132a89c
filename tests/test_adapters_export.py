"""Writing a network to ONNX and reading it back changes nothing, and onnxruntime agrees."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from adapters import from_onnx, load, to_onnx
from polytope.errors import CorruptFileError
from polytope.ir import (
    Activation,
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Layer,
    LinearMap,
    Network,
    Selection,
    Sparse,
    Transposed,
    absolute,
    clip,
    hard_sigmoid,
    leaky_relu,
    max_groups,
    piecewise_linear,
    prelu,
    relu,
)

MODELS = Path(__file__).parents[1].parent / "shared" / "models"
RNG = np.random.default_rng(0)


def dense(out: int, n: int) -> Dense:
    return Dense(RNG.standard_normal((out, n)))


CONVOLUTION = Convolution(RNG.standard_normal((4, 1, 3, 2)), (2, 5, 6), (2, 1), (1, 2), ((1, 0), (-1, 2)), 2)
ACTIVATIONS: dict[str, Activation] = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "prelu": prelu(RNG.uniform(-1, 1, 12)),
    "absolute": absolute(),
    "clip": clip(-0.3, 0.8),
    "floor": clip(0.25, np.inf),
    "ceiling": clip(-np.inf, 0.25),
    "hard sigmoid": hard_sigmoid(),
    "three breakpoints": piecewise_linear([-1, 0, 0.5], [0.5, -1, 2, 0], [-0.5, -2, -2, -1]),
    "max groups": max_groups([[0, 1, 2], [3, 4, -1], [5, -1, -1], [11, 6, 7]]),
}
MAPS: dict[str, LinearMap] = {
    "dense": dense(12, 60),
    "sparse": Sparse(Selection(np.arange(12) % 7, 60).to_sparse()),
    "selection": Selection(np.array([3, -1, 3, *range(9)]), 60),
    "diagonal": Diagonal(RNG.standard_normal(60)),
    "convolution": CONVOLUTION,
    "transposed": Composition(Transposed(CONVOLUTION), dense(CONVOLUTION.shape[0], 60)),
    "composition": Composition(dense(3, 12), Selection(np.arange(12) * 2, 60)),
}


def round_trip(network: Network, folder: Path) -> Network:
    to_onnx(network, folder / "network.onnx")
    return load(folder / "network.onnx")


def convolutions_in(network: Network) -> int:
    """How many convolutions a network keeps as such."""
    waiting: list[object] = [m for layer in network.layers for m in layer.maps]
    count = 0
    while waiting:
        item = waiting.pop()
        count += isinstance(item, Convolution)
        waiting += [getattr(item, n) for n in ("of", "outer", "inner") if hasattr(item, n)]
    return count


def assert_same(first: Network, second: Network) -> None:
    x = np.concatenate([RNG.standard_normal((8, first.input_dim)), np.zeros((1, first.input_dim))])
    y = first(x)
    np.testing.assert_allclose(second(x), y, atol=1e-12 * max(1.0, np.abs(y).max()))
    assert second.dtype == "float64"
    assert second.import_error <= 1e-12 * max(1.0, np.abs(y).max())  # onnxruntime in double precision


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_every_activation_returns(tmp_path: Path, activation: Activation) -> None:
    first = Layer((0,), (dense(12, 5),), RNG.standard_normal(12), activation)
    last = Layer((1, 0), (dense(2, first.width), dense(2, 5)), RNG.standard_normal(2))
    network = Network((5,), (first, last))
    assert_same(network, round_trip(network, tmp_path))


@pytest.mark.parametrize("linear", MAPS.values(), ids=MAPS)
def test_every_map_returns(tmp_path: Path, linear: LinearMap) -> None:
    n = linear.shape[0]
    network = Network((2, 5, 6), (Layer((0,), (linear,), RNG.standard_normal(n), relu()),))
    back = round_trip(network, tmp_path)
    assert_same(network, back)
    assert back.input_shape == network.input_shape
    assert back.widths == network.widths
    assert convolutions_in(back) == convolutions_in(network)


@pytest.mark.skipif(not MODELS.exists(), reason="the model collection is not here")
@pytest.mark.parametrize(
    "name",
    [
        "acasxu_1_1",
        "cifar_resnet_2b",
        "mnist_cntk",
        "lirpa_minmax",
        "mnist_cnn_avgpool",
        "tinytaxi",
    ],
)
def test_real_networks_return(tmp_path: Path, name: str) -> None:
    network = load(MODELS / f"{name}.onnx")
    back = round_trip(network, tmp_path)
    assert_same(network, back)
    assert back.n_units == network.n_units
    assert convolutions_in(back) == convolutions_in(network)


def test_a_forged_index_is_refused(tmp_path: Path) -> None:
    linear = MAPS["convolution"]
    path = tmp_path / "network.onnx"
    to_onnx(Network((2, 5, 6), (Layer((0,), (linear,), RNG.standard_normal(linear.shape[0]), relu()),)), path)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 2:
            array = onnx.numpy_helper.to_array(tensor)[::-1]
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    with pytest.raises(CorruptFileError, match="index"):
        from_onnx(model)


def test_a_changed_function_is_read_for_what_it_computes(tmp_path: Path) -> None:
    linear = MAPS["convolution"]
    path = tmp_path / "network.onnx"
    network = Network((2, 5, 6), (Layer((0,), (linear,), RNG.standard_normal(linear.shape[0]), relu()),))
    to_onnx(network, path)
    model = onnx.load(path)
    model.functions[0].node.insert(6, onnx.helper.make_node("Neg", ["turned"], ["negated"]))
    model.functions[0].node[7].input[0] = "negated"
    changed, x = from_onnx(model), RNG.standard_normal((4, 60))
    linear_part = linear.apply(x.T).T
    expected = np.maximum(network.layers[0].bias - linear_part, 0)
    np.testing.assert_allclose(changed(x), expected, atol=1e-12)
