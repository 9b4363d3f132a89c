"""Digits on the sphere: what a turn does to signal and mask, uniform rotations, and the study of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from polytope.equivariant import (
    SphericalHarmonicTransform,
    euler_angles,
    polar_quadrature,
    random_rotations,
    rotation_matrix,
    sphere_action,
    spherical_segmentation,
)
from tests.networks import SHARED, needs_shared

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "spherical_segmentation.py"
Array = NDArray[Any]


def blobs(n: int) -> Array:
    """Grey images [n, 28, 28] of three round spots each."""
    centre = np.random.default_rng(0).uniform(8, 20, size=(n, 3, 2, 1, 1))
    distance = ((np.indices((28, 28)) - centre) ** 2).sum(axis=2)
    return np.asarray(255 * np.exp(-distance / 8).max(axis=1))


def test_random_rotations_are_rotations_and_uniform() -> None:
    R = random_rotations(20000, np.random.default_rng(0))
    assert np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max() < 1e-12
    assert np.linalg.det(R).min() > 0
    # means over the group: R is 0, and the square of its trace is 1; five standard errors
    assert np.abs(R.mean(axis=0)).max() < 5 * (1 / 3 / 20000) ** 0.5
    squares = np.trace(R, axis1=1, axis2=2) ** 2
    assert abs(squares.mean() - 1) < 5 * squares.std() / 20000**0.5


def test_an_upright_digit_lies_in_the_south() -> None:
    signals, masks = spherical_segmentation(blobs(4), [0, 3, 9, 5], 8)
    assert signals.shape == masks.shape == (4, 16, 16)
    assert (masks[:, :8] == 0).all()
    assert [np.unique(mask).tolist() for mask in masks] == [[0, 1], [0, 4], [0, 10], [0, 6]]
    strict = spherical_segmentation(blobs(4), [0, 3, 9, 5], 8, threshold=250.0)[1]
    assert (strict > 0).sum() < (masks > 0).sum()


def test_turns_by_grid_steps_about_the_polar_axis_shift_signal_and_mask() -> None:
    images, b = blobs(3), 5
    signals, masks = spherical_segmentation(images, [1, 2, 3], b)
    for steps in (1, 4):
        R = np.broadcast_to(rotation_matrix(steps * np.pi / b, 0, 0), (3, 3, 3))
        turned, turned_masks = spherical_segmentation(images, [1, 2, 3], b, R)
        assert np.abs(turned - np.roll(signals, steps, axis=2)).max() < 1e-12
        assert (turned_masks == np.roll(masks, steps, axis=2)).mean() > 0.99  # ties of rounding


def test_a_turned_digit_has_turned_coefficients_up_to_the_finer_grid() -> None:
    b, R = 4, random_rotations(5, np.random.default_rng(1))
    transform = SphericalHarmonicTransform(b)

    def error(fine: int) -> float:
        plain, turned = (
            transform(torch.from_numpy(spherical_segmentation(blobs(5), range(5), b, turns, fine=fine)[0]))
            for turns in (None, R)
        )
        angles = [tuple(map(float, euler_angles(one))) for one in R]
        expected = [torch.from_numpy(sphere_action(b, *a)) @ c for a, c in zip(angles, plain, strict=True)]
        return float((turned - torch.stack(expected)).norm() / turned.norm())

    assert error(3) < 0.02
    assert error(8) < error(1) / 10


def test_the_signal_keeps_the_mean_of_the_image_on_the_sphere() -> None:
    signals, _ = spherical_segmentation(blobs(3), [0, 0, 0], 6, random_rotations(3, np.random.default_rng(2)))
    upright, _ = spherical_segmentation(blobs(3), [0, 0, 0], 6)
    weights = polar_quadrature(6)[1]
    means = [(s.mean(axis=2) @ weights) for s in (signals, upright)]
    assert np.abs(means[0] - means[1]).max() < 1e-3


@pytest.mark.parametrize(
    ("images", "labels", "turns"),
    [
        (np.zeros((2, 28)), [0, 1], None),
        (np.zeros((2, 28, 28)), [0], None),
        (np.zeros((2, 28, 28)), [0, 1], np.eye(3)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images: Array, labels: list[int], turns: Array | None) -> None:
    with pytest.raises(ValueError, match="spherical_segmentation"):
        spherical_segmentation(images, labels, 4, turns)


@needs_shared
@pytest.mark.slow
def test_the_reduced_study_shows_what_turning_costs(tmp_path: Path) -> None:
    """The spherical network loses nothing, the planar one nearly all, unless it has seen turned digits."""
    files = [str(SHARED / "data" / name) for name in ("mnist_train_20k.npz", "mnist_10k.npz")]
    command = [sys.executable, str(BENCHMARK), *files, "--quick", "--write", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    runs = json.loads((tmp_path / "spherical_segmentation.json").read_text())["runs"]
    spherical, upright, augmented = runs
    assert spherical["model"] == "S2CNN"
    assert abs(spherical["upright"]["area"] - spherical["turned"]["area"]) < 3
    assert upright["upright"]["area"] - upright["turned"]["area"] > 20
    assert min(run["turned"]["area"] for run in (spherical, augmented)) > 2 * upright["turned"]["area"]
    assert all(run["cpu_seconds"] >= run["budget"] for run in runs)
    assert (tmp_path / "spherical_segmentation.svg").is_file()
