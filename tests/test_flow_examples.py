"""The examples of flows run with few training steps, and give every figure that has a bar."""

import argparse
import importlib.util
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from polytope import flows

ROOT = Path(__file__).parents[1]


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_flows", ROOT / "benchmarks" / "flows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()  # which puts the examples on the path
counting = importlib.import_module("counting")


@pytest.mark.parametrize("name", ["identities", "steps"])
def test_identities_reach_their_bars(name: str, tmp_path: Path) -> None:
    options = argparse.Namespace(full=False, share=1.0, mnist=None, write=tmp_path)
    assert {row["met"] for row in BENCHMARK.run(name, options)["rows"]} <= {"yes", ""}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BENCHMARK.BARS) - {"identities", "steps"}))
def test_examples_run(name: str, tmp_path: Path) -> None:
    options = argparse.Namespace(full=False, share=0.02, mnist=None, write=tmp_path)
    found = BENCHMARK.run(name, options)
    figures = {row["figure"]: row for row in found["rows"]}
    assert BENCHMARK.BARS[name].keys() <= figures.keys()
    assert all(figures[figure]["met"] for figure in BENCHMARK.BARS[name])
    if found["picture"]:
        assert (tmp_path / found["picture"]).stat().st_size > 1000
    text = "\n".join(BENCHMARK.page({"machine": "here"}, {name: found}, ""))
    assert text.count("| ") > len(figures)


def test_the_nearest_canvas_is_that_of_all_canvases() -> None:
    """Cell by cell as by a list of all canvases of three images and empty cells."""
    rng = np.random.default_rng(0)
    images = rng.random((3, 64))
    x = rng.random((5, 2, 64))
    known = np.concatenate([images, np.zeros((1, 64))]) + counting.NOISE / 2
    every = np.array([np.concatenate(pair) for pair in product(known, known)])
    expected = np.linalg.norm(x.reshape(5, 1, 128) - every, axis=2).min(axis=1)
    assert counting.distances(x, images) == pytest.approx(expected, rel=1e-12)


def test_canvases_hold_the_digits_asked_for() -> None:
    train, kept = counting.digits()
    counts = np.arange(counting.CELLS + 1)
    x = counting.canvases(np.random.default_rng(0), kept, counts)
    assert ((x > counting.NOISE).any(axis=2).sum(axis=1) == counts).all()  # above the noise there is ink
    seen = counting.oracle(train).predict(x.reshape(-1, 64)).reshape(x.shape[:2])
    assert (seen.sum(axis=1) == counts).all()
    image = counting.picture(torch.tensor(x))
    assert (image[4, 0, 8:16, 16:24].numpy().ravel() == x[4, 5]).all()  # row 1, column 2 of three


def test_cells_side_by_side_are_one_flow() -> None:
    """Its density is the product of the cells', and a search leaves cells alone that do not count."""
    cell = flows.nice(64, couplings=2, hidden=(8,), rng=np.random.default_rng(1))
    flow = counting.side_by_side(cell, 2)
    x = np.random.default_rng(2).standard_normal((4, 2, 64))
    with torch.no_grad():
        parts = cell.log_prob(x.reshape(8, 64)).reshape(4, 2).sum(dim=1)
        assert (flow.log_prob(x) - parts).abs().max() < 1e-9
    ink = counting.flows.counterfactual(
        lambda v: v.reshape(-1, 2, 64)[:, 1].sum(dim=1), flow, x, 40.0, optimiser="ascent", learning_rate=0.3
    )
    assert ink.success.all()
    assert (ink.x.reshape(x.shape)[:, 1].sum(axis=1) >= 40).all()
    assert np.abs(ink.x.reshape(x.shape)[:, 0] - x[:, 0]).max() < 1e-12


@pytest.mark.slow
def test_counts_change_along_the_data_as_asked() -> None:
    """With all training: a judge that had no part sees the change in base space, and none in data space."""
    figures = counting.measure()["figures"]
    for way, sign in (("fewer", -1), ("more", 1)):
        assert figures[f"base, {way}: reached, of {counting.SEARCHES}"] >= 0.9 * counting.SEARCHES
        assert figures[f"base, {way}: oracle counts as asked, percent"] >= 50
        assert abs(figures[f"base, {way}: oracle's mean change of the count"] - sign * counting.ASKED) < 1
        assert figures[f"data, {way}: oracle counts as asked, percent"] <= 10
        assert figures[f"base, {way}: above the 5th percentile, percent"] >= 50
