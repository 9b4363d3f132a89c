"""The MLP blocks of transformers are found by structure, and are what the model computes for each token."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import polytope as pt
from adapters import activations, from_torch, mlp_blocks
from tests.token_models import TOKENS, transformer_like


class Gated(torch.nn.Module):
    """A language model of one block: an embedding, a norm, a gated or squared MLP with a skip, and a head."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.embed, self.norm = torch.nn.Embedding(20, 6), torch.nn.LayerNorm(6)
        self.up, self.side, self.down = torch.nn.Linear(6, 9), torch.nn.Linear(6, 9), torch.nn.Linear(9, 6)
        self.head = torch.nn.Linear(6, 20, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        x = self.embed(tokens)
        y = self.norm(x)
        z = self.up(y)
        h = {
            "relu": lambda: torch.relu(z),
            "gelu": lambda: torch.nn.functional.gelu(z),
            "gated": lambda: torch.nn.functional.silu(z) * self.side(y),
            "reglu": lambda: torch.relu(z) * self.side(y),
            "squared": lambda: torch.relu(z) ** 2,
        }[self.kind]()
        return torch.as_tensor(self.head(x + self.down(h)))


@pytest.mark.parametrize(
    ("kind", "activation", "gated", "squared"),
    [
        ("relu", "relu", False, False),
        ("gelu", "gelu", False, False),
        ("gated", "silu", True, False),
        ("reglu", "relu", True, False),
        ("squared", "relu", False, True),
    ],
)
def test_a_block_is_found_and_is_what_the_model_computes(
    kind: str, activation: str, gated: bool, squared: bool
) -> None:
    model = Gated(kind)
    (block,) = mlp_blocks(model, torch.as_tensor(TOKENS[:1]))
    assert (block.activation, block.gated, block.squared) == (activation, gated, squared)
    assert block.affine_on_cells == (kind == "relu")
    before, behind = (activations(model, TOKENS, at=n).reshape(-1, 6) for n in (block.start, block.end))
    h = block.units(smooth=0.1)(before)
    if gated:
        h = h * (before @ model.side.weight.detach().numpy().T + model.side.bias.detach().numpy())
    h = h**2 if squared else h
    W, b = block.readout
    off = 1e-5 if activation == "relu" else 0.1  # float32, or splines of spacing 0.1 in six dimensions
    np.testing.assert_allclose(h @ W.T + b, behind, atol=off)
    if gated or squared:
        with pytest.raises(ValueError, match="quadratic on each cell"):
            block.network()
    elif kind == "relu":
        piece = from_torch(model, torch.as_tensor(TOKENS[:1]), from_=block.start, until=block.end)
        np.testing.assert_allclose(
            block.network()(before).reshape(len(TOKENS), -1), piece(before.reshape(8, -1))
        )
    else:
        with pytest.raises(ValueError, match="smooth"):
            block.network()


def test_what_is_exact_of_a_block_is_said_in_the_space_of_its_tokens() -> None:
    model = Gated("reglu")
    (block,) = mlp_blocks(model, torch.as_tensor(TOKENS[:1]))
    tokens = activations(model, TOKENS, at=block.start).reshape(-1, 6)
    units = block.units()
    plane = pt.Slice.through(*tokens[[0, 1, 2]])
    regions = pt.enumerate_regions(units.restrict(plane), pt.Polyhedron.box([-1, -1], [2, 2]))
    grid = np.random.default_rng(0).uniform(-1, 2, (20_000, 2))
    W, b = block.hidden
    signs = (plane.lift(grid) @ W.T + b) > 0
    assert regions.complete
    assert len(np.unique(signs, axis=0)) <= len(regions)
    assert {tuple(row) for row in signs} <= {tuple(row > 0) for row in regions.patterns[:, : len(b)]}


def test_blocks_of_onnx_models(tmp_path: object) -> None:
    model = transformer_like()
    (block,) = mlp_blocks(model)
    assert (block.start, block.activation, block.hidden[0].shape) == ("normed", "relu", (9, 6))
    before, behind = (activations(model, TOKENS, at=n).reshape(-1, 6) for n in (block.start, block.end))
    np.testing.assert_allclose(block.network()(before), behind, atol=1e-5)


def test_encoders_of_pytorch_have_one_block_a_layer() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True, activation="gelu")
    model = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    blocks = mlp_blocks(model, torch.zeros(1, 5, 8))
    assert [b.hidden[0].shape for b in blocks] == [(16, 8)] * 3
    assert {b.activation for b in blocks} == {"gelu"}
    assert mlp_blocks(torch.nn.Linear(3, 3), torch.zeros(1, 3)) == ()


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="needs an example"):
        mlp_blocks(Gated("relu"))
    with pytest.raises(TypeError, match="expected an ONNX file"):
        mlp_blocks(3)
    node = helper.make_node("Relu", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3]) for n in ("x", "y")]
    plain = helper.make_model(helper.make_graph([node], "plain", ends[:1], ends[1:]))
    assert mlp_blocks(plain) == ()
    odd = helper.make_node("Gemm", ["x", "W"], ["z"], alpha=2.0)
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32), "W")
    graph = helper.make_graph(
        [odd, helper.make_node("Relu", ["z"], ["y"])], "scaled", ends[:1], ends[1:], [weights]
    )
    assert mlp_blocks(helper.make_model(graph)) == ()


class WrittenOut(torch.nn.Module):
    """A root-mean-square normalisation as language models write it."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of one length, scaled."""
        h = x.to(torch.float32)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * h.to(x.dtype)


class Unbiased(torch.nn.Module):
    """Tokens, a norm, an MLP whose first nine units have no bias and whose last has one."""

    def __init__(self, norm: type[torch.nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.up, self.down = norm(6), torch.nn.Linear(6, 10), torch.nn.Linear(10, 6)
        torch.nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        with torch.no_grad():
            self.up.bias[:9] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens behind the MLP."""
        return torch.as_tensor(self.down(torch.relu(self.up(self.norm(x)))))


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm, torch.nn.RMSNorm, WrittenOut])
def test_units_without_bias_cut_cones_in_front_of_a_norm(norm: type[torch.nn.Module]) -> None:
    model = Unbiased(norm)
    (block,) = mlp_blocks(model, torch.zeros(1, 3, 6))
    cones = block.cones()
    assert block.without_bias.tolist() == list(range(9))
    x = np.random.default_rng(0).normal(size=(500, 6))
    signs = block.units().pattern(activations(model, x[:, None].astype(np.float32), at=block.start))
    patterns = cones.pattern(x)
    np.testing.assert_array_equal(patterns, signs[:, :9])
    np.testing.assert_array_equal(cones.pattern(1e-6 * x), patterns)
    plane = pt.Slice(np.zeros(6), np.linalg.qr(np.random.default_rng(1).normal(size=(6, 2)))[0].T)
    regions = pt.enumerate_regions(cones.restrict(plane), pt.Polyhedron.box([-1, -1], [1, 1]))
    assert len(regions) == regions.upper == 18  # nine lines through the origin


def test_blocks_without_cones_say_so() -> None:
    (block,) = mlp_blocks(Gated("relu"), torch.as_tensor(TOKENS[:1]))
    with pytest.raises(ValueError, match="All units of the block have a bias"):
        block.cones()
    (plain,) = mlp_blocks(
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)), torch.zeros(1, 2)
    )
    with pytest.raises(ValueError, match="reads no normalisation"):
        plain.cones()


class Rounded(torch.nn.Module):
    """An MLP whose hidden values are cut to whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Steps, not slopes."""
        return torch.as_tensor(self.down(torch.relu(self.up(x)).to(torch.int64).to(torch.float32)))


def test_whole_numbers_on_the_way_are_no_block() -> None:
    """A cast between fractions changes nothing, one to whole numbers cuts them."""
    assert mlp_blocks(Rounded(), torch.zeros(1, 3)) == ()
    weights = [
        numpy_helper.from_array(np.eye(3, dtype=np.float32), "W"),
        numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "V"),
    ]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 3]) for n in ("x", "y")]
    for kind, blocks in ((onnx.TensorProto.INT64, 0), (onnx.TensorProto.DOUBLE, 1)):
        nodes = [
            helper.make_node("MatMul", ["x", "W"], ["z"]),
            helper.make_node("Relu", ["z"], ["h"]),
            helper.make_node("Cast", ["h"], ["k"], to=kind),
            helper.make_node("Cast", ["k"], ["f"], to=onnx.TensorProto.FLOAT),
            helper.make_node("MatMul", ["f", "V"], ["y"]),
        ]
        model = helper.make_model(helper.make_graph(nodes, "cast", ends[:1], ends[1:], weights))
        assert len(mlp_blocks(model)) == blocks
