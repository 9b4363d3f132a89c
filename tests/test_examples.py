"""The examples run, and the committed models are as accurate as their record says."""

import json
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tests.examples import EXAMPLES, run_example
from tests.networks import SHARED, needs_shared

SHAPES = {"digits_mlp": (64,), "digits_cnn": (1, 8, 8)}


def check_models(folder: Path) -> None:
    """The accuracy on the held-out digits is the one in the file's metadata and in the JSON record."""
    with np.load(folder / "data" / "digits_test.npz") as data:
        images, labels = data["X"], data["y"]
    assert images.shape == (360, 64)
    assert images.min() == 0
    assert images.max() == 1
    record = json.loads((folder / "models" / "accuracy.json").read_text())
    assert record.keys() == SHAPES.keys()
    for name, shape in SHAPES.items():
        session = onnxruntime.InferenceSession(folder / "models" / f"{name}.onnx")
        [logits] = session.run(None, {"image": images.reshape(-1, *shape)})
        accuracy = round(float((logits.argmax(1) == labels).mean()), 4)
        assert accuracy == record[name]
        assert accuracy == float(session.get_modelmeta().custom_metadata_map["accuracy"])


def test_committed_models_are_as_accurate_as_recorded() -> None:
    check_models(EXAMPLES)
    record = json.loads((EXAMPLES / "models" / "accuracy.json").read_text())
    assert min(record.values()) > 0.95


def test_committed_files_are_small_and_whole() -> None:
    files = [path for path in (*EXAMPLES.glob("models/*"), *EXAMPLES.glob("data/*")) if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {path.suffix for path in files} == {".onnx", ".json", ".npz"}


def test_the_committed_transformers_are_as_accurate_as_the_page_says() -> None:
    """``docs/tutorials/transformer.md``: 95.3 % with ReLU, 95.6 % with GELU."""
    example = runpy.run_path(str(EXAMPLES / "transformer.py"))
    images, labels = example["held_out"]()
    for activation, percent in (("relu", 95.3), ("gelu", 95.6)):
        with torch.no_grad():
            scores = example["pretrained"](activation)(images)
        assert round(100 * float((scores.argmax(1).numpy() == labels).mean()), 1) == percent


def test_the_residual_network_is_what_the_page_says(tmp_path: Path) -> None:
    """``docs/tutorials/resnet.md``: 98.6 % of the held-out digits; a short training writes such a file."""
    example = runpy.run_path(str(EXAMPLES / "resnet.py"))
    model, _, per_layer = example["pretrained"]()
    assert round(100 * example["accuracy"](model), 1) == 98.6
    printed = run_example("resnet.py", "--train", str(tmp_path), "--epochs", "1")
    assert "of the held-out digits are right" in printed
    with np.load(tmp_path / "digits_resnet.npz") as stored:
        assert set(stored.files) == {*model.state_dict(), "steps", "per_layer"}
        assert stored["per_layer"].shape == (len(stored["steps"]), per_layer.shape[1])


def test_training_writes_models_and_record(tmp_path: Path) -> None:
    printed = run_example("train_digits.py", "--out", str(tmp_path), "--epochs", "1")
    assert printed.count("held-out images") == 2
    check_models(tmp_path)


def test_window_through_digits_counts_a_complete_complex() -> None:
    """In a process of its own, as a reader runs it."""
    command = [sys.executable, str(EXAMPLES / "window_through_digits.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "complete: True" in printed
    assert "share of the area" in printed


def test_complexity_of_digits_grows_with_the_radius() -> None:
    rows = [line.split() for line in run_example("complexity_of_digits.py").splitlines()[2:]]
    right = [float(row[1]) for row in rows]
    assert len(right) == 3
    assert right == sorted(right)


def test_measure_models_says_what_is_exact() -> None:
    printed = run_example("measure_models.py", "--seconds", "0.3")
    assert printed.count("distance to the decision boundary") == 3
    radii, plane = printed.split("in a plane")
    assert radii.count("exact") + radii.count("certified") == 3
    assert "all regions, so these are exact" in plane
    assert "always on, proved" in printed
    assert "facets of total length" in printed


@needs_shared
@pytest.mark.slow
def test_measure_models_of_acas() -> None:
    models = SHARED / "models"
    files = str(models / "acasxu_1_1.onnx"), str(models / "vnnlib" / "acasxu_prop_3.vnnlib")
    printed = run_example("measure_models.py", "--seconds", "10", "--acas", *files)
    assert "of 300 units 158 are dead and 75 always on, proved" in printed


def test_complexity_in_training_draws_both_curves(tmp_path: Path) -> None:
    picture = tmp_path / "curves.svg"
    printed = run_example("complexity_in_training.py", "--steps", "8", "--width", "10", "--out", str(picture))
    assert printed.count("at first") == 2
    assert picture.read_text().count("<svg") == 1


def test_regions_are_tracked_through_training() -> None:
    """Regions before and after a checkpoint are those that stayed and those that died, or were born."""
    printed = run_example("track_training.py", "--epochs", "4", "--head-only", "2")
    assert printed.count("taken over") == 2
    rows = [[int(word) for word in line.split()[1:5]] for line in printed.splitlines()[1:]]
    for before, (regions, stayed, born, died) in pairwise(rows):
        assert (stayed + died, stayed + born) == (before[0], regions)
    assert rows[-1][2:] == [0, 0]


@pytest.mark.slow
def test_symmetry_is_certified_and_refuted() -> None:
    """Layers of groups are proved; seeing all orders lowers a plain network's defect and leaves some."""
    lines = run_example("equivariant/certify_symmetry.py").splitlines()
    certified, sampled = {}, {}
    for line in lines[1:]:
        name = line[:26].strip()
        if name in ("Deep Sets", "plain", "plain, all orders seen"):
            certified[name], sampled[name] = (float(word) for word in line[26:].split()[:2])
    assert certified["Deep Sets"] == 0
    assert 0 < certified["plain, all orders seen"] < certified["plain"]
    for name in ("plain", "plain, all orders seen"):
        assert sampled[name] <= certified[name] * (1 + 1e-2)  # printed with three digits
    assert "defect 0.0 everywhere, proved for 8 of 8" in lines[-1]


@pytest.mark.slow
def test_regions_are_counted_up_to_symmetry() -> None:
    printed = run_example("equivariant/regions_up_to_symmetry.py")
    assert "384 signed permutations: 24" in printed
    assert "proved in exact arithmetic: True" in printed
    regions = int(printed.split("regions ")[1].split(",")[0])
    assert f"full enumeration {regions};" in printed
    assert f"unfolded {regions}," in printed
