"""Spline features of tokens: equal to what moving and turning them shows, and the published seven."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import polytope as pt
from adapters import activations, mlp_blocks
from tests.token_models import TOKENS, transformer_like


class Blocks(nn.Module):
    """Tokens, an embedding, two blocks of a norm, an MLP and a skip."""

    def __init__(self, norm: type[nn.Module], *, gated: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.gated = nn.Embedding(20, 6), gated
        self.norms = nn.ModuleList([norm(6), norm(6)])
        self.ups, self.sides = (nn.ModuleList([nn.Linear(6, 9), nn.Linear(6, 9)]) for _ in range(2))
        self.downs = nn.ModuleList([nn.Linear(9, 6), nn.Linear(9, 6)])
        for part in self.norms:
            nn.init.uniform_(part.weight, 0.5, 1.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The tokens behind both blocks."""
        x = self.embed(tokens)
        for norm, up, side, down in zip(self.norms, self.ups, self.sides, self.downs, strict=True):
            y = norm(x)
            h = torch.relu(up(y))
            x = x + down(h * side(y) if self.gated else h)
        return x


@pytest.mark.parametrize(("norm", "gated"), [(nn.LayerNorm, False), (nn.RMSNorm, True)])
def test_features_are_what_moving_and_turning_tokens_shows(norm: type[nn.Module], gated: bool) -> None:
    model = Blocks(norm, gated=gated)
    features = pt.spline_features(model, torch.as_tensor(TOKENS))
    blocks = mlp_blocks(model, torch.as_tensor(TOKENS))
    assert features.blocks == tuple(block.start for block in blocks)
    rng = np.random.default_rng(0)
    for number, block in enumerate(blocks):
        W, b = block.hidden
        y = activations(model, TOKENS, at=block.start).reshape(-1, 6)
        z = y @ W.T + b
        np.testing.assert_allclose(features.positive[number].ravel(), (z > 0).mean(axis=1))
        far, angle = features.distance[number].ravel(), features.angle[number].ravel()
        v = rng.standard_normal((2000, 6))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        signs = (y[:, None] + 0.999 * far[:, None, None] * v) @ W.T + b > 0
        assert (signs == (z > 0)[:, None]).all()
        assert block.norm is not None
        x = activations(model, TOKENS, at=block.norm.start).reshape(-1, 6)
        _check_angles(block, x, z > 0, angle, v)


def _check_angles(block, x, on, angle, v) -> None:  # type: ignore[no-untyped-def]
    """Tokens turned by less than the angle keep their signs; by a little more somewhere, one does not."""
    W, b = block.hidden
    u = x - x.mean(axis=1, keepdims=True) if block.norm.centred else x
    v = v - v.mean(axis=1, keepdims=True) if block.norm.centred else v
    length = np.linalg.norm(u, axis=1, keepdims=True)
    rows = W * block.norm.scale
    rows = np.concatenate([v, rows, -rows])
    for number in range(len(x)):
        across = rows - rows @ u[number][:, None] * u[number] / length[number] ** 2
        across -= across.mean(axis=1, keepdims=True) if block.norm.centred else 0
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        for share, kept in ((0.999, True), (1.001, False)):
            turn = share * angle[number]
            turned = np.cos(turn) * u[number] + np.sin(turn) * length[number] * across
            spread = np.sqrt((turned**2).mean(axis=1, keepdims=True) + 1e-5)
            signs = (turned / spread * block.norm.scale + block.norm.shift) @ W.T + b > 0
            assert (signs == on[number]).all() == kept


def test_the_published_seven_are_those_of_a_prompt() -> None:
    features = pt.spline_features(transformer_like(), TOKENS)
    share, far = features.positive[0], features.distance[0]
    assert features.published.shape == (8, 1, 7)
    for sample, seven in enumerate(features.published[:, 0]):
        on, near = torch.as_tensor(share[sample]), torch.as_tensor(far[sample])
        expected = [on.mean(), on.amin(), on.amax(), on.std(), near.amin(), near.mean(), near.std()]
        np.testing.assert_allclose(seven, expected)
    assert np.isfinite(features.angle[0]).all()


def test_the_table_goes_to_parquet_and_into_a_picture(tmp_path: Path) -> None:
    features = pt.spline_features(Blocks(nn.LayerNorm, gated=False), torch.as_tensor(TOKENS))
    features.save(tmp_path / "features.parquet")
    table = pq.read_table(tmp_path / "features.parquet")
    assert table.column_names == ["block", "sample", "token", "positive", "distance", "angle"]
    assert table.num_rows == 2 * TOKENS.size
    row = table.slice(TOKENS.size + 4, 1).to_pylist()[0]
    assert (row["block"], row["sample"], row["token"]) == (features.blocks[1], 1, 1)
    assert row["distance"] == features.distance[1][1, 1]
    ax = pt.plot_spline_features(features, sample=2, what="angle")
    np.testing.assert_array_equal(ax.images[0].get_array()[1], features.angle[1][2])
    with pytest.raises(ValueError, match="what must be one of"):
        pt.plot_spline_features(features, what="nearness")


def test_models_without_blocks_are_refused() -> None:
    with pytest.raises(pt.errors.LoadError, match="no MLP block"):
        pt.spline_features(nn.Linear(3, 3), torch.zeros(1, 3))


def test_a_module_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and what reaches them come from one trace."""
    from adapters.torch import blocks

    traces, exported = [], blocks.exported_program

    def counted(*given: object) -> object:
        traces.append(1)
        return exported(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(blocks, "exported_program", counted)
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    features = pt.spline_features(layer, torch.randn(3, 5, 8))
    assert len(traces) == 1
    assert features.distance[0].shape == (3, 5)


@pytest.mark.parametrize("x", [None, "x", 3, [], [[1, 2], [3]], np.zeros((0, 5, 8)), np.array(["a"]), {}])
def test_what_are_no_samples_is_named(x: object) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    for asked in (lambda: pt.spline_features(layer, x), lambda: activations(layer, x, at="linear")):
        with pytest.raises(ValueError, match=r"^x: "):
            asked()


def test_fractions_come_in_the_type_of_the_module_and_must_be_finite() -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    x = np.random.default_rng(0).normal(size=(2, 5, 8))
    single = pt.spline_features(layer, torch.tensor(x, dtype=torch.float32))
    np.testing.assert_array_equal(pt.spline_features(layer, x).distance[0], single.distance[0])
    x[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="what reaches the block at 'layer_norm' is not finite"):
        pt.spline_features(layer, x)
