"""The runtime that a loaded network was compared with, and points on both sides of a crossing."""

import gc
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from adapters import from_torch, load, runtime
from polytope.ir.near_crossings import straddling

MODELS = Path(__file__).parents[1] / "examples" / "models"


@pytest.mark.parametrize("name", ["digits_mlp.onnx", "digits_cnn.onnx"])
def test_a_loaded_network_keeps_its_runtime_beside_it(name: str) -> None:
    net = load(MODELS / name)
    run = runtime(net)
    assert run is not None
    x = np.random.default_rng(0).uniform(0, 1, (40, net.input_dim)).astype(np.float32).astype(float)
    np.testing.assert_allclose(run(x), net(x), atol=1e-3)  # float32 against float64
    assert (run(x) != net(x)).any()
    assert runtime(replace(net, dtype="float64")) is None  # another network
    assert runtime(pickle.loads(pickle.dumps(net))) is None  # a network is data without its runtime


def test_runtimes_go_with_their_networks() -> None:
    from adapters.check import _RUNTIMES

    gc.collect()  # networks of other tests
    before = len(_RUNTIMES)
    net = load(MODELS / "digits_mlp.onnx")
    assert len(_RUNTIMES) == before + 1
    del net
    gc.collect()
    assert len(_RUNTIMES) == before


def test_modules_and_networks_from_elsewhere_have_none() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2))
    assert runtime(from_torch(module, torch.zeros(1, 3))) is None
    assert runtime(pt.mlp([([[1.0]], [0.0])])) is None


def test_straddling_points_have_a_crossing_between_them() -> None:
    rng = np.random.default_rng(0)
    net = pt.mlp([(rng.standard_normal((16, 3)), rng.standard_normal(16)), (np.ones((1, 16)), [0.0])])
    start, end = 4 * rng.standard_normal((2, 20, 3))
    low, high = straddling(net, start, end, 20).reshape(2, 20, 3)
    np.testing.assert_allclose(
        np.linalg.norm(high - low, axis=1), 2.0**-20 * np.linalg.norm(end - start, axis=1)
    )
    crossed = (net.pattern(low) != net.pattern(high)).any(axis=1)
    np.testing.assert_array_equal(crossed, (net.pattern(start) != net.pattern(end)).any(axis=1))
    assert (net.pattern(low) == net.pattern(start))[crossed].all()


def test_straddling_points_of_deep_networks_are_at_the_first_crossing() -> None:
    """On a segment the cell of its start is an interval, which the second point of the pair has left."""
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 5))
    module = nn.Sequential(pooled, nn.Hardtanh(), nn.Linear(5, 4), nn.LeakyReLU(), nn.Linear(4, 2)).double()
    net = from_torch(module, torch.zeros(1, 1, 6, 6, dtype=torch.float64))
    start, end = np.random.default_rng(1).standard_normal((2, 40, 36))
    low, high = straddling(net, start, end, 20).reshape(2, 40, 36)
    patterns = [net.pattern(x) for x in (start, low, high)]
    assert (patterns[1] == patterns[0]).all()
    assert (patterns[2] != patterns[0]).any(axis=1).all()
