"""The published table: every operator with what is refused of it and why, and where its row was tested.

``python -m adapters.lowering.published`` writes it into ``adapters``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.lowering.reasons import refusal, refused_ops
from adapters.lowering.registry import Entry, entries

_WHY = {
    "constant": "what depends on the input makes it quadratic, or lets it jump",
    "may not be read": "places of extreme values are whole numbers that jump",
    "only where": "elsewhere its output jumps",
    "comparison": "two operands from the input make it quadratic",
    "only to select": "a comparison jumps",
    "inference": "training draws at random, or mixes the batch",
    "to a float type": "whole numbers jump",
    "Relu;": "other activations are not piecewise linear",
    "p = 1": "other norms are not piecewise linear",
    "order 1": "other norms are not piecewise linear",
    "running statistics": "it divides by the spread of its own input",
    "labels may not be read": "labels are whole numbers that jump",
    "no post_transform": "softmax and sigmoid are not piecewise linear",
    "no ": "not supported",
    "without accumulation": "not supported",
    "natural": "runtimes disagree",
    "as written": "its index must belong to its geometry",
}
"""Words of a restriction, and why what it leaves out is refused."""

_TESTS = {"ONNX": "tests/test_adapters_ops.py", "ATen": "tests/test_adapters_torch.py"}
_ELSEWHERE = dict.fromkeys(
    (f"ai.onnx.ml.{op}" for op in ("Scaler", "LinearRegressor", "LinearClassifier")),
    "tests/test_adapters_classical.py",
) | {"polytope.Convolution": "tests/test_adapters_export.py"}
TESTED_ATEN = frozenset(
    (
        *("_native_batch_norm_legit_no_training", "_to_copy", "_upsample_bicubic2d_aa"),
        *("_upsample_bilinear2d_aa", "_upsample_nearest_exact2d", "_weight_norm", "abs"),
        *("adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "addmm", "affine_grid_generator", "amax"),
        *("amin", "arange", "avg_pool2d", "batch_norm", "cat", "clamp", "clone", "col2im"),
        *("constant_pad_nd", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "copy", "cumsum"),
        *("diagonal", "div", "dropout", "einsum", "exp", "expand", "flatten", "flip", "full", "gather"),
        *("ge", "grid_sampler_2d", "gt", "hardsigmoid", "hardtanh", "im2col", "index", "index_select"),
        *("instance_norm", "kthvalue", "le", "leaky_relu", "linalg_vector_norm", "linear", "lt", "mH"),
        *("mT", "masked_fill", "matmul", "matrix_exp", "max", "max_pool1d", "max_pool2d", "maximum"),
        *("mean", "median", "mm", "msort", "mul", "mv", "neg", "ones", "pad", "permute", "pixel_shuffle"),
        *("pixel_unshuffle", "pow", "prelu", "relu", "relu6", "repeat", "repeat_interleave", "reshape"),
        *("rnn_relu", "rnn_relu_cell", "roll", "rot90", "rrelu", "rsub", "scatter", "select", "slice"),
        *("slice_scatter", "softmax", "softshrink", "sort", "split_with_sizes", "squeeze", "stack", "sub"),
        *(
            "sum",
            "tensordot",
            "threshold",
            "topk",
            "transpose",
            "tril",
            "triu",
            "unbind",
            "unflatten",
            "unfold",
        ),
        *("unsqueeze", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "vdot", "view"),
        *("where", "zeros"),
    )
)
"""ATen operators that the modules of the tests are traced to; the others are further names of their rules."""


def why(entry: Entry) -> str:
    """Why what a restriction leaves out is refused."""
    note, sentence = entry.note, str(refusal(entry.table, entry.op))
    if note == "constants only" and "polytope ops" not in sentence:
        return sentence.rstrip(".")
    found = dict.fromkeys(reason for words, reason in _WHY.items() if words in note)
    return "; ".join(found)


def tested(entry: Entry) -> str:
    """The test that compares an operator with a runtime, or one of the same rule that it compares."""
    if entry.table == "ONNX":
        return _ELSEWHERE.get(entry.op, _TESTS["ONNX"])
    if entry.op in TESTED_ATEN:
        return _TESTS["ATen"]
    same = [e.op for e in entries() if e.rule is entry.rule and e.op in TESTED_ATEN]
    return f"as {same[0]}" if same else "no test of its own"


def supported_ops() -> list[dict[str, str]]:
    """Every supported operator: ``table``, ``op``, ``family``, ``meaning``, ``note``, ``why``, ``tested``.

    These are its restrictions, why the rest is refused, and where the row is compared with a runtime.
    """
    return [
        {
            "table": e.table,
            "op": e.op,
            "family": e.family,
            "meaning": e.meaning,
            "note": e.note,
            "why": why(e),
            "tested": tested(e),
        }
        for e in entries()
    ]


def supported_ops_markdown() -> str:
    """The same as a Markdown table, then the operators that are refused whatever their operands."""
    names = ("table", "op", "family", "meaning", "note", "why", "tested")
    heads = ("table", "operator", "family", "meaning", "restrictions", "why the rest is refused", "tested in")
    known = {(e.table, e.op) for e in entries()}
    refused = [row for row in refused_ops() if (row[0], row[1]) not in known]
    return (
        _table(heads, [tuple(row[name] for name in names) for row in supported_ops()])
        + "\nRefused where they depend on the input; no other operator is supported:\n\n"
        + _table(("table", "operator", "why"), refused)
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [[text.replace("|", "\\|") for text in row] for row in (heads, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]]) + "\n"


def main() -> None:
    """Write the published table next to this file."""
    head = "# Operators\n\nGenerated from the rules: `python -m adapters.lowering.published`.\n\n"
    (Path(__file__).parents[1] / "OPERATORS.md").write_text(head + supported_ops_markdown())


if __name__ == "__main__":
    main()
