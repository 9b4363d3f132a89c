"""Crossing counts of PyTorch modules by observing them: equal to the network's, and to brute force."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from adapters import from_torch


class Block(nn.Module):
    """A residual block with batch normalisation whose one ReLU, in place, runs twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both branches."""
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)) + x)


class Feed(nn.Module):
    """A transformer's MLP block: normalisation, up, GELU, down, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 20), nn.Linear(20, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block."""
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def residual() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), Block(4), nn.Flatten(), nn.Linear(100, 3))
    model(torch.randn(64, 2, 5, 5))  # running statistics
    return model.eval().double()


@lru_cache(maxsize=1)
def counted_as_network() -> tuple[np.ndarray, np.ndarray]:
    """Points, and the counts of the residual network read as a ``Network``."""
    x = np.random.default_rng(1).normal(size=(7, 2, 5, 5))
    network = from_torch(residual(), torch.zeros(1, 2, 5, 5, dtype=torch.float64))
    return x, pt.local_complexity(network, x, 0.5).per_layer


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_a_residual_network_counts_as_its_network(batch_size: int | None) -> None:
    model = residual()
    x, expected = counted_as_network()
    found = pt.local_complexity(model, x, 0.5, batch_size=batch_size)
    assert found.layers == ("1", "2.relu", "2.relu#2")
    assert "not regions" in found.meaning
    np.testing.assert_array_equal(found.per_layer, expected)
    assert not model.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize("shared_frame", [True, False])
def test_chosen_preactivations_of_a_transformer_block(shared_frame: bool) -> None:
    torch.manual_seed(0)
    model = Feed().double()
    x = np.random.default_rng(2).normal(size=(5, 3, 8))
    found = pt.local_complexity(
        model, x, 0.8, layers=["up"], frames=4, shared_frame=shared_frame, rng=np.random.default_rng(3)
    )
    gaussian = np.random.default_rng(3).standard_normal((1 if shared_frame else 5, 24, 4))
    frames = np.broadcast_to(np.linalg.qr(gaussian)[0].transpose(0, 2, 1), (5, 4, 24)).reshape(5, 4, 3, 8)
    for point, frame, count in zip(x, frames, found.total, strict=True):
        vertices = torch.tensor(point + 0.8 * np.concatenate([frame, -frame]))
        up = (model.up(model.norm(vertices)) > 0).flatten(1)
        assert count == int((up != up[0]).any(0).sum())
    assert model.training


class Unused(nn.Sequential):
    """Two parts, of which the first runs."""

    def __init__(self) -> None:
        super().__init__(Feed(), Feed())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The first part."""
        return self[0](x)


class Language(nn.Module):
    """A language model: an embedding, a block whose activation is a function, an encoder layer, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.feed = nn.Embedding(9, 8), Feed()
        self.layer, self.head = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.Linear(8, 9)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        return self.head(self.layer(self.feed(self.embed(tokens))))


TOKENS = np.random.default_rng(7).integers(0, 9, (5, 4))


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_language_model_is_counted_around_its_embeddings_by_token(batch_size: int | None) -> None:
    torch.manual_seed(0)
    model = Language().double()
    frame = np.linalg.qr(np.random.default_rng(8).standard_normal((32, 3)))[0].T
    found = pt.local_complexity(model, TOKENS, 0.4, frames=frame, around="embed", batch_size=batch_size)
    assert found.layers == ("feed.gelu", "layer.relu")
    named = pt.local_complexity(
        model, TOKENS, 0.4, frames=frame, around="embed", layers=["layer.relu", "feed.up"]
    )
    model.eval()
    for number, tokens in enumerate(TOKENS):
        with torch.no_grad():
            moves = torch.tensor(0.4 * np.concatenate([frame, -frame]).reshape(6, 4, 8))
            h = model.embed(torch.tensor(tokens)) + moves
            up, behind = model.feed.up(model.feed.norm(h)), model.feed(h)
            attended = model.layer.norm1(behind + model.layer._sa_block(behind, None, None))
            for column, z in enumerate((up, model.layer.linear1(attended))):
                on = z > 0
                counts = (on != on[0]).any(0).sum(1).numpy()
                np.testing.assert_array_equal(found.per_token[column][number], counts)
                assert found.per_layer[number, column] == counts.sum()
    assert named.layers == ("feed.up", "layer.relu")
    np.testing.assert_array_equal(named.per_layer, found.per_layer)


def test_a_language_model_is_recorded_in_training_by_token() -> None:
    torch.manual_seed(0)
    model = Language()
    recorder = pt.ComplexityRecorder(model, TOKENS, 0.4, at=2, frames=3, around="embed")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorder:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.tensor(TOKENS)).square().sum().backward()
            optimizer.step()
    assert recorder.steps == [0, 2]
    assert [layer.shape for layer in recorder.per_token] == [(2, 4)] * 2
    np.testing.assert_allclose(
        recorder.per_layer, np.stack([layer.sum(1) for layer in recorder.per_token], axis=1)
    )
    assert (recorder.per_token[0][0] != recorder.per_token[0][1]).any()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


class Gated(nn.Module):
    """A gated MLP block: SiLU of one projection times another."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        self.act = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block."""
        return self.down(self.act(self.gate(x)) * self.up(x))


def test_blocks_of_published_transformers() -> None:
    """An encoder layer with attention in front, observed through its fused evaluation; and a gated block."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True).double()
    x = np.random.default_rng(5).normal(size=(3, 4, 8))
    frame = np.linalg.qr(np.random.default_rng(6).standard_normal((32, 3)))[0].T
    found = pt.local_complexity(encoder, x, 0.5, layers=["linear1"], frames=frame)
    gated = Gated().double()
    other = pt.local_complexity(gated, x, 0.5, frames=frame)
    assert other.layers == ("act",)
    encoder.eval()
    for point, count, gates in zip(x, found.total, other.total, strict=True):
        vertices = torch.tensor(point + 0.5 * np.concatenate([frame, -frame]).reshape(6, 4, 8))
        with torch.no_grad():
            attended = encoder.norm1(vertices + encoder._sa_block(vertices, None, None))
            for z, expected in ((encoder.linear1(attended), count), (gated.gate(vertices), gates)):
                on = (z > 0).flatten(1)
                assert int((on != on[0]).any(0).sum()) == expected


def test_wrong_modules_and_names_are_told() -> None:
    x = np.zeros((1, 3, 8))
    with pytest.raises(ValueError, match="no activation that is observed"):
        pt.local_complexity(nn.Linear(8, 2), x, 0.1)
    with pytest.raises(ValueError, match="144 rows where 48 inputs pass"):
        pt.local_complexity(nn.Sequential(nn.Flatten(0, 1), nn.ReLU()), x, 0.1)
    with pytest.raises(ValueError, match="no submodule 'embedding'"):
        pt.local_complexity(Feed(), x, 0.1, around="embedding")
    with pytest.raises(ValueError, match="'1' ran 0 times"):
        pt.local_complexity(Unused(), x, 0.1, around="1")
    with pytest.raises(ValueError, match="no submodule 'upper'"):
        pt.local_complexity(Feed(), x, 0.1, layers=["upper"])
    with pytest.raises(
        ValueError, match=r"does not run on inputs of shape \[3, 7\] and type torch.float32: "
    ):
        pt.local_complexity(Feed(), x[..., :7], 0.1)
    with pytest.raises(ValueError, match=r"does not run on inputs of shape \[3\] and type torch.int64: "):
        pt.local_complexity(Language(), np.full((1, 3), 999), 0.1, around="embed")
    with pytest.raises(ValueError, match="crossing count alone"):
        pt.local_complexity(Feed(), x, 0.1, layers=["up"], method="gradient")
    with pytest.raises(ValueError, match="parts are chosen of a PyTorch module"):
        pt.local_complexity(pt.mlp([(np.eye(2), np.zeros(2))]), np.zeros((1, 2)), 0.1, layers=["up"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_counts_language_models_alike() -> None:
    torch.manual_seed(0)
    model = Language().double()
    here = pt.local_complexity(model, TOKENS, 0.4, frames=5, around="embed").per_token
    there = pt.local_complexity(model.cuda(), TOKENS, 0.4, frames=5, around="embed").per_token
    np.testing.assert_array_equal(np.stack(there), np.stack(here))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees() -> None:
    model = residual()
    x = np.random.default_rng(4).normal(size=(7, 2, 5, 5))
    here = pt.local_complexity(model, x, 0.5).per_layer
    np.testing.assert_array_equal(pt.local_complexity(model.cuda(), x, 0.5).per_layer, here)
