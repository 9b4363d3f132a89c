"""With attention weights and norms frozen at an input, a transformer is a network that equals it there."""

import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from adapters import freeze_attention


class Language(nn.Module):
    """An embedding, causal attention of two heads behind a norm, an MLP, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm, self.mixed = nn.Embedding(9, 8), nn.RMSNorm(8), nn.Linear(8, 24)
        self.up, self.head = nn.Linear(8, 12), nn.Linear(12, 9)

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens and weighted means of those before."""
        n, tokens, d = x.shape
        q, k, v = (z.view(n, tokens, 2, 4).transpose(1, 2) for z in self.mixed(self.norm(x)).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + mixed.transpose(1, 2).reshape(n, tokens, d)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        return self.head(torch.relu(self.up(self.attention(self.embed(tokens)))))


def test_a_frozen_language_model_equals_it_at_the_input_and_is_the_formula_elsewhere() -> None:
    model, tokens = Language().double().eval(), torch.tensor([[1, 7, 3]])
    network = freeze_attention(model, tokens, from_="embedding")
    assert network.import_note.startswith("frozen at one input: softmaxes 1, norms 1")
    assert network.n_units == 3 * 12
    with torch.no_grad():
        x = model.embed(tokens)
        np.testing.assert_allclose(network(x.reshape(1, -1).numpy())[0], model(tokens).ravel().numpy())
        root = (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float64).eps).rsqrt()
        q, k, _ = model.mixed(x * root).view(3, 3, 2, 4).permute(1, 2, 0, 3)  # head, token, coordinate
        hidden = (q @ k.transpose(-1, -2) / 2).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
        other = torch.tensor(np.random.default_rng(0).standard_normal((1, 3, 8)))
        v = model.mixed(other * root)[0, :, 16:].view(3, 2, 4).transpose(0, 1)
        behind = other + (hidden.softmax(-1) @ v).transpose(0, 1).reshape(1, 3, 8)
        expected = model.head(torch.relu(model.up(behind))).ravel().numpy()
    np.testing.assert_allclose(network(other.reshape(1, -1).numpy())[0], expected)


def test_what_has_nothing_to_freeze_is_refused() -> None:
    with pytest.raises(pt.errors.UnsupportedOpError, match="no attention or normalisation"):
        freeze_attention(nn.Linear(3, 3), torch.zeros(1, 3))
    with pytest.raises(TypeError, match=r"takes a torch\.nn\.Module"):
        freeze_attention("model.onnx", torch.zeros(1, 3))
    with pytest.raises(ValueError, match="floating-point"):
        freeze_attention(Language(), torch.tensor([[1, 7, 3]]))


def test_attention_is_frozen_at_one_sample() -> None:
    """Not silently at the first of several, nor at a token of one without its batch axis."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    for x in (torch.zeros(3, 5, 8), torch.zeros(5, 8)):
        with pytest.raises(ValueError, match="attention is frozen at one sample, not"):
            freeze_attention(layer, x)
    with pytest.raises(ValueError, match="x: expected the model's input"):
        freeze_attention(layer, None)
    with pytest.raises(TypeError, match="the module that it was exported from"):
        freeze_attention("model.onnx", torch.zeros(1, 5, 8))
