"""Are two files of one model the same function, and how far do pruning and rounding move it?

``python benchmarks/comparing.py MODELS [--seconds 20] [--write benchmarks/results]``

The folder MODELS holds models that were written twice: a ReLU as a Clip or by a Min, an absolute value as one
operator or by two ReLUs, float32 and float64, weights inside the file and beside it, ONNX and a state dict.
The bundled digits are compared with themselves rounded to float16, with a fifth of their weights set to
zero, and with what ``polytope.simplify`` leaves of them, in the whole box and in a ball of the max norm.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt
from adapters import load

EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = (
    ("acasxu_2_9.onnx", "acasxu_2_9_ext.onnx"),
    ("cartpole.onnx", "cartpole_negmin.onnx"),
    ("lindex.onnx", "lindex_f64.onnx"),
    ("lunarlander.onnx", "lunarlander_clip.onnx"),
    ("vdp.onnx", "vdp_abs.onnx"),
)


def compared(
    name: str, first: pt.Network, second: pt.Network, box: tuple[np.ndarray, np.ndarray], seconds: float
) -> dict[str, Any]:
    """What is known of a pair: whether it is equal, and how far it is apart."""
    domain = pt.Polyhedron.box(*box)
    same = pt.equivalent(first, second, domain, max_seconds=seconds)
    row = {"pair": name, "in": f"[{box[0][0]:.3g}, {box[1][0]:.3g}], ...", "answer": same.status}
    row |= {"proof": same.proof or "", "s": same.seconds, "at least": same.lower, "at most": same.upper}
    if same.status != "equal":
        found = pt.difference_bounds(first, second, domain, max_seconds=seconds)
        row |= {"at least": found.lower, "at most": found.upper, "s": same.seconds + found.seconds}
    return row


def cube(network: pt.Network) -> tuple[np.ndarray, np.ndarray]:
    """The box from -1 to 1."""
    return -np.ones(network.input_dim), np.ones(network.input_dim)


def with_weights(network: pt.Network, change: Any) -> pt.Network:
    """The network with the numbers of its maps changed."""
    layers = (
        replace(layer, maps=tuple(linear.entrywise(change) for linear in layer.maps))
        for layer in network.layers
    )
    return replace(network, layers=tuple(layers))


def pruned(table: np.ndarray) -> np.ndarray:
    """Without its smallest fifth."""
    return np.where(np.abs(table) < np.quantile(np.abs(table), 0.2), 0.0, table)


def main() -> None:
    """Compare, print, write."""
    options = parser(__doc__)
    options.add_argument("models", type=Path)
    options.add_argument("--seconds", type=float, default=20.0, help="for each answer")
    chosen = options.parse_args()
    rows = []
    for one, other in PAIRS:
        first, second = load(chosen.models / one), load(chosen.models / other)
        rows.append(compared(f"{one}, {other}", first, second, cube(first), chosen.seconds))
    digits = load(EXAMPLES / "models" / "digits_mlp.onnx")
    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        image = data["X"][0].astype(float)
    boxes = {"box": (np.zeros(64), np.ones(64)), "ball": (image - 0.02, image + 0.02)}
    for where, box in boxes.items():
        smaller = pt.simplify(digits, pt.Polyhedron.box(*box), max_seconds=chosen.seconds).network
        changes = {
            "float16": with_weights(digits, lambda table: table.astype(np.float16).astype(float)),
            "20 % of weights 0": with_weights(digits, pruned),
            f"{digits.n_units - smaller.n_units} units less": smaller,
        }
        for what, changed in changes.items():
            rows.append(compared(f"digits, {what} ({where})", digits, changed, box, chosen.seconds))
    page = [title(__doc__), in_words(environment(), chosen.note), table_of(rows)]
    publish(__file__, page, rows, chosen.write)


if __name__ == "__main__":
    main()
