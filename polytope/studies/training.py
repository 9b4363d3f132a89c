"""Networks before, during and after training: fully connected, with or without skips, by torch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from polytope.batched.threads import one_thread
from polytope.ir import Activation, Dense, Layer, Network, absolute, hard_tanh, leaky_relu, relu
from polytope.studies.data import Data
from polytope.studies.spec import Architecture, TrainingSpec

SLOPE = 0.1  # of leaky_relu on the negative side

ACTIVATIONS: dict[str, tuple[Activation, nn.Module]] = {
    "relu": (relu(), nn.ReLU()),
    "leaky_relu": (leaky_relu(SLOPE), nn.LeakyReLU(SLOPE)),
    "absolute": (absolute(), nn.PReLU(init=-1.0).requires_grad_(False)),
    "hard_tanh": (hard_tanh(), nn.Hardtanh()),
}


def checkpoints(
    architecture: Architecture, data: Data, training: TrainingSpec, seed: int
) -> Iterator[tuple[int, Network]]:
    """The network at each epoch asked for, in float64; weights are trained in float32, on one thread.

    Arguments:
        architecture, seed: what begins; the seed draws the weights and the order of the images.
        data: the training images.
        training: how, how long, and when to look.
    """
    generator = torch.Generator().manual_seed(seed)
    linear = _linear(architecture, data, generator)
    module = ACTIVATIONS[architecture.activation][1]
    x, y = torch.tensor(data.x, dtype=torch.float32), torch.tensor(data.y)
    optimizer = torch.optim.Adam(linear.parameters(), lr=training.learning_rate, fused=True)
    for epoch in range(training.epochs[-1] + 1):
        if epoch in training.epochs:
            yield epoch, _network(architecture, linear)
        if epoch == training.epochs[-1]:
            return
        with one_thread():
            order = torch.randperm(len(x), generator=generator)
            for start in range(0, len(x), training.batch):
                some = order[start : start + training.batch]
                loss = nn.functional.cross_entropy(_forward(architecture, linear, module, x[some]), y[some])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()


def _linear(architecture: Architecture, data: Data, generator: torch.Generator) -> nn.ModuleList:
    """The linear layers with their first weights."""
    sizes = architecture.sizes(data.x.shape[1], data.classes)
    layers = nn.ModuleList(nn.Linear(m, n) for m, n in pairwise(sizes))
    for layer in layers:
        assert isinstance(layer, nn.Linear), "it was made so"
        weight, bias = layer.weight.data, layer.bias.data
        bias.zero_()
        if architecture.initialisation == "he":
            nn.init.kaiming_normal_(weight, generator=generator)
        elif architecture.initialisation == "glorot":
            nn.init.xavier_uniform_(weight, generator=generator)
        elif architecture.initialisation == "orthogonal":
            nn.init.orthogonal_(weight, generator=generator)
        else:
            side = layer.in_features**-0.5
            weight.uniform_(-side, side, generator=generator)
            bias.uniform_(-side, side, generator=generator)
    return layers


def _forward(architecture: Architecture, linear: nn.ModuleList, between: nn.Module, x: Tensor) -> Tensor:
    """The outputs; with skips, every layer reads the sum of all hidden layers before it."""
    hidden: Tensor = between(linear[0](x))
    for layer in list(linear)[1:-1]:
        new = between(layer(hidden))
        hidden = hidden + new if architecture.skip else new
    out: Tensor = linear[-1](hidden)
    return out


def _network(architecture: Architecture, linear: nn.ModuleList) -> Network:
    """The same function in canonical form."""
    activation = ACTIVATIONS[architecture.activation][0]
    layers = []
    for number, layer in enumerate(linear):
        assert isinstance(layer, nn.Linear), "it was made so"
        weight = Dense(layer.weight.detach().double().numpy().copy())
        bias = layer.bias.detach().double().numpy().copy()
        reads = tuple(range(1, number + 1)) if architecture.skip and number else (number,)
        last = number == len(linear) - 1
        layers.append(Layer(reads, (weight,) * len(reads), bias, None if last else activation))
    first = linear[0]
    assert isinstance(first, nn.Linear), "it was made so"
    return Network((first.in_features,), tuple(layers), dtype="float32")
