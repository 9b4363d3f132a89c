"""Every model file at hand gives the network that its stored reference outputs describe."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from adapters import load
from polytope.errors import NotPiecewiseLinearError
from polytope.ir import Network

MODELS = Path(__file__).parents[1].parent / "shared" / "models"
if not (MODELS / "MANIFEST.json").exists():
    pytest.skip("the model collection is not here", allow_module_level=True)

ENTRIES = {m["file"]: m for m in json.loads((MODELS / "MANIFEST.json").read_text())["models"]}
ONNX = [name for name in ENTRIES if name.endswith(".onnx")]
OPTIONS = {"fsrcnn_x4.onnx": {"input_shape": (16, 16, 1)}}


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def references(name: str, network: Network, outputs: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All stored inputs and outputs of a model, one row for each sample."""
    stored = np.load(MODELS / "refs" / f"{name}.npz")
    rows = [
        tuple(
            np.concatenate([stored[f"{kind}_{side}|{n}"].ravel() for n in names])
            for side, names in (("in", network.input_names), ("out", outputs))
        )
        for kind in ("zeros", "random")
    ]
    probe = MODELS / "refs" / f"{name}.probe.npz"
    if probe.exists():
        with np.load(probe) as more:
            xs = [more[f"in|{n}"].reshape(len(more["label"]), -1) for n in network.input_names]
            ys = [more[f"out|{n}"].reshape(len(more["label"]), -1) for n in outputs]
        rows += list(zip(np.concatenate(xs, axis=1), np.concatenate(ys, axis=1), strict=True))
    return np.stack([r[0] for r in rows]).astype(float), np.stack([r[1] for r in rows]).astype(float)


def assert_equal_to_reference(network: Network, name: str, outputs: tuple[str, ...], ends: dict) -> None:
    x, expected = references(name, network, outputs)
    # Relative to the largest output of each input: single entries may cancel to nothing.
    tolerance = 1e-9 if network.dtype == "float64" else 1e-4
    for row, want in zip(x, expected, strict=True):
        got, parts, place = network(row), [], 0
        stored = np.load(MODELS / "refs" / f"{name}.npz")
        for n in outputs:
            size = stored[f"zeros_out|{n}"].size
            parts.append(ends.get(n, lambda z: z)(got[place : place + size]))
            place += size
        difference = np.abs(np.concatenate(parts) - want).max()
        assert difference <= tolerance * max(np.abs(want).max(), 1e-3)


@pytest.mark.parametrize("name", [n for n in ONNX if ENTRIES[n]["pwl"] == "yes"])
def test_a_piecewise_linear_file_loads_and_equals_its_reference(name: str) -> None:
    network = load(MODELS / name, **OPTIONS.get(name, {}))
    assert network.import_error is not None
    assert network.n_units == ENTRIES[name]["units"]
    assert network.input_dim == ENTRIES[name]["input_dim"]
    assert_equal_to_reference(network, name, network.output_names, {})


@pytest.mark.parametrize("name", [n for n in ONNX if ENTRIES[n]["pwl"].startswith("yes-after")])
def test_a_file_with_a_smooth_head_names_the_cut_that_loads_it(name: str) -> None:
    with pytest.raises(NotPiecewiseLinearError) as refused:
        load(MODELS / name)
    message = str(refused.value)
    cut = re.search(r"until='([^']+)'", message)
    assert cut, message
    assert load(MODELS / name, until=cut[1]).output_names == (cut[1],)
    several = re.search(r"until=(\[[^\]]+\])", message)
    if several:
        cuts = [a or b for a, b in re.findall(r"'([^']*)'|\"([^\"]*)\"", several[1])]
        outputs = tuple(o["name"] for o in ENTRIES[name]["outputs"])
        end = softmax if "Softmax" in ENTRIES[name]["pwl"] else sigmoid
        ends = {o: end for o, c in zip(outputs, cuts, strict=True) if o != c}
        assert_equal_to_reference(load(MODELS / name, until=cuts), name, outputs, ends)
