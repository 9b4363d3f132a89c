"""A piece of a model between two tensors is a network, with what the model computes there as its data."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from adapters import activations, from_onnx, from_torch, load
from polytope.errors import CorruptFileError, LoadError, NotPiecewiseLinearError, UnsupportedOpError
from tests.command_line import answer
from tests.token_models import TOKENS, transformer_like


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_a_piece_maps_what_the_model_computes_before_it_to_what_it_computes_behind_it(
    batch: str | int,
) -> None:
    model = transformer_like(batch)
    piece = from_onnx(model, from_="normed", until="mlp")
    assert (piece.input_names, piece.output_names) == (("normed",), ("mlp",))
    assert (piece.input_shape, piece.n_units) == ((3, 6), 27)
    assert piece.import_error is not None
    assert piece.import_error < 1e-5
    before, behind = (activations(model, TOKENS, at=name) for name in ("normed", "mlp"))
    np.testing.assert_allclose(piece(before), behind, atol=1e-5)  # float32 against float64


def test_a_piece_may_begin_at_several_tensors() -> None:
    model = transformer_like()
    piece = from_onnx(model, from_=["embedded", "normed"], until="out")
    before = np.concatenate([activations(model, TOKENS, at=name) for name in ("embedded", "normed")], axis=1)
    np.testing.assert_allclose(piece(before), activations(model, TOKENS, at="out"), atol=1e-5)


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        ({"from_": "normed", "until": "out"}, UnsupportedOpError, "op Add.* also reads 'embedded'"),
        ({"from_": "mlp", "until": "hidden"}, UnsupportedOpError, "does not depend on 'mlp'"),
        ({"from_": "nothing"}, CorruptFileError, "no tensor 'nothing'"),
        ({"from_": "E"}, CorruptFileError, "no tensor 'E' that the model computes"),
        ({"from_": "tokens"}, NotPiecewiseLinearError, "whole numbers"),
        ({"from_": "embedded", "until": "mlp"}, NotPiecewiseLinearError, "from_=.normed.. begins behind it"),
    ],
)
def test_a_piece_that_is_no_network_is_refused_by_name(
    names: dict[str, str], error: type[LoadError], says: str
) -> None:
    with pytest.raises(error, match=says):
        from_onnx(transformer_like(), **names)


class Tokens(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm = torch.nn.Embedding(20, 6), torch.nn.LayerNorm(6)
        self.up, self.down = torch.nn.Linear(6, 9), torch.nn.Linear(9, 6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities for each token."""
        x = self.embed(tokens)
        return torch.as_tensor(x + self.down(torch.relu(self.up(self.norm(x))))).softmax(-1)


def test_modules_have_pieces_too() -> None:
    module, example = Tokens(), torch.as_tensor(TOKENS[:1])
    piece = from_torch(module, example, from_="layer_norm", until="linear_1")
    before, behind = (activations(module, TOKENS, at=name) for name in ("layer_norm", "linear_1"))
    np.testing.assert_allclose(piece(before), behind, atol=1e-5)
    both = from_torch(module, example, from_=["embedding", "layer_norm"], until="add")
    assert both.input_dim == 36
    with pytest.raises(UnsupportedOpError, match="also reads 'embedding'"):
        from_torch(module, example, from_="layer_norm", until="add")
    with pytest.raises(CorruptFileError, match="no value 'nothing'"):
        from_torch(module, example, from_="nothing")
    with pytest.raises(ValueError, match="floating-point"):
        from_torch(module, example)


def test_exported_programs_have_pieces_too(tmp_path: Path) -> None:
    file = tmp_path / "tokens.pt2"
    torch.export.save(torch.export.export(Tokens().eval(), (torch.as_tensor(TOKENS[:1]),)), file)
    piece = load(file, from_="layer_norm", until="linear_1")
    before, behind = (activations(Tokens(), TOKENS, at=name) for name in ("layer_norm", "linear_1"))
    np.testing.assert_allclose(piece(before), behind, atol=1e-5)


def test_activations_refuse_what_they_cannot_run() -> None:
    model = transformer_like(4)
    np.testing.assert_array_equal(activations(model, TOKENS, at="tokens"), TOKENS)
    with pytest.raises(UnsupportedOpError, match="batches of 4"):
        activations(model, TOKENS[:3], at="normed")
    with pytest.raises(CorruptFileError, match="no tensor 'nothing'"):
        activations(model, TOKENS, at="nothing")
    model.graph.node.append(onnx.helper.make_node("Identity", ["E"], ["same"]))
    with pytest.raises(UnsupportedOpError, match="'same' does not depend on the inputs"):
        activations(model, TOKENS, at="same")
    with pytest.raises(UnsupportedOpError, match="reads 1 input up to"):
        activations(model, (TOKENS, TOKENS), at="normed")
    with pytest.raises(UnsupportedOpError, match="cannot run the model on x"):
        activations(model, TOKENS + 100, at="normed")
    with pytest.raises(TypeError, match="expected an ONNX file"):
        activations("model.txt", TOKENS, at="normed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="samples"):
        activations(model, (TOKENS, TOKENS[:2]), at="normed")
    with pytest.raises(CorruptFileError, match="no value 'nothing'"):
        activations(Tokens(), TOKENS, at="nothing")


def test_the_command_line_audits_a_piece_with_the_models_own_data(tmp_path: Path) -> None:
    onnx.save(transformer_like(), tmp_path / "m.onnx")
    np.savez(tmp_path / "tokens.npz", X=TOKENS)
    options = ["--from", "normed", "--until", "mlp", "--data", tmp_path / "tokens.npz", "--budget", "5s"]
    report = answer("audit", tmp_path / "m.onnx", *options, "--out", tmp_path / "out")
    assert isinstance(report["model"], dict)
    assert isinstance(report["data"], dict)
    assert isinstance(report["verdict"], list)
    assert (report["model"]["inputs"], report["model"]["outputs"]) == (["normed"], ["mlp"])
    assert report["data"]["points"] == len(TOKENS)
    assert report["verdict"][0].startswith("m.onnx from 'normed' up to 'mlp' is a")
    assert "normed" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("argument", ["from_", "until"])
@pytest.mark.parametrize("name", [3, b"normed", ["normed", None]])
def test_names_that_are_none_are_refused(argument: str, name: object) -> None:
    with pytest.raises(TypeError, match=f"{argument}= must be the name of a tensor or a list of names"):
        from_onnx(transformer_like(), **{argument: name})  # type: ignore[arg-type]


def test_a_name_may_stand_twice_and_a_spacing_may_be_of_numpy() -> None:
    piece = from_onnx(transformer_like(), from_=["normed", "normed"], until="mlp", smooth=np.float32(0.5))  # type: ignore[arg-type]
    assert piece.input_names == ("normed",)
    with pytest.raises(ValueError, match=r"smooth= must be a positive number.*True"):
        from_onnx(transformer_like(), from_="normed", until="mlp", smooth=True)
