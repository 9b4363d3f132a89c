"""Pictures of local complexity show the numbers, and the recorder keeps those of the module as it was."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from tests.networks import seeded


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_map_shows_the_counts_of_its_points() -> None:
    network = seeded(1, 5, 8, 8, 1)
    window = pt.Slice.through(*np.random.default_rng(2).normal(size=(3, 5)))
    _, given = plt.subplots()
    ax = pt.plot_complexity_map(network, window, 0.3, given, resolution=4)
    assert ax is given
    corner = window.lift([[-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0], [2.0, 2.0]])
    shown = np.asarray(ax.images[0].get_array())[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(shown, pt.local_complexity(network, corner, 0.3).total)
    with pytest.raises(ValueError, match="draws planes"):
        pt.plot_complexity_map(network, pt.Slice(np.zeros(5), np.eye(1, 5)), 0.3)


def test_histograms_name_their_groups() -> None:
    counts = pt.LocalComplexity(np.array([[3], [1], [2], [2]]))
    ax = pt.plot_complexity_histogram(counts, labels=[0, 7, 7, 7])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["class 0 (1)", "class 7 (3)"]
    with pytest.raises(ValueError, match="by one of them"):
        pt.plot_complexity_histogram(counts, labels=[0, 1, 1, 0], correct=[True] * 4)
    with pytest.raises(ValueError, match="each of 4 points"):
        pt.plot_complexity_histogram(counts, correct=[True])


def test_the_recorder_counts_before_the_steps_asked_for() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    x = np.random.default_rng(3).normal(size=(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    recorder = pt.ComplexityRecorder(model, x, 0.5, at={0, 3})
    expected = {}
    with recorder:
        for step in range(5):
            expected[step] = pt.local_complexity(model, x, 0.5).per_layer.mean(axis=0)
            optimizer.zero_grad()
            model(torch.ones(2, 3, dtype=torch.float64)).square().mean().backward()
            optimizer.step()
    model(torch.ones(1, 3, dtype=torch.float64))
    assert recorder.steps == [0, 3]
    np.testing.assert_array_equal(recorder.per_layer, [expected[0], expected[3]])
    assert model.training
    ax = pt.plot_complexity_training(recorder.steps, recorder.per_layer)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), recorder.per_layer.sum(axis=1))
