"""Of the test models that onnx itself comes with, how many load and give the outputs stored with them?

Each model is one operator or a small network, with inputs and the outputs that its authors expect. A model
of one operator takes even its weights as inputs, which makes most of them quadratic; such a model that is
refused is asked for again with all inputs but the first held at their stored values. Run:
``python benchmarks/onnx_backend.py [--write benchmarks/results]``
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from harness import environment, in_words, parser, publish, table, title
from onnx import numpy_helper

from adapters import from_onnx
from polytope import Network
from polytope.errors import LoadError

KINDS = ("simple", "pytorch-converted", "pytorch-operator")
TOLERANCE = 1e-3
"""The relative tolerance of onnx's own runner; half precision gets ten times as much."""
_FLOATS = ("float16", "bfloat16", "float32", "float64")
Arrays = list[np.ndarray]


def models() -> Iterator[tuple[str, str, onnx.ModelProto, Sequence[tuple[Any, Any]]]]:
    """Kind, name, model and data sets (inputs, outputs) of every test of onnx."""
    from onnx.backend.test.case.node import collect_testcases
    from onnx.backend.test.loader import load_model_tests

    for case in sorted(collect_testcases(None), key=lambda c: c.name):  # type: ignore[arg-type]
        if case.model is not None:
            sets = [tuple([_array(v) for v in side] for side in pair) for pair in case.data_sets or ()]
            yield "node", case.name, case.model, sets
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            folder = Path(str(case.model_dir))
            model = onnx.load(folder / "model.onnx")
            yield kind, case.name, model, [_stored(d, model) for d in sorted(folder.glob("test_data_set_*"))]


def _array(value: Any) -> Any:
    """A stored tensor as an array; anything else as it is."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _stored(folder: Path, model: onnx.ModelProto) -> tuple[Any, Any]:
    """The inputs and outputs of one data set on disk; what is no tensor stays ``None``."""
    kinds = {"input": list(model.graph.input), "output": list(model.graph.output)}
    found: dict[str, list[Any]] = {}
    for side, infos in kinds.items():
        files = [folder / f"{side}_{i}.pb" for i in range(len(list(folder.glob(f"{side}_*.pb"))))]
        tensors = [i.type.HasField("tensor_type") for i in infos]
        found[side] = [
            numpy_helper.to_array(onnx.load_tensor(f)) if is_tensor else None
            for f, is_tensor in zip(files, tensors, strict=False)
        ]
    return found["input"], found["output"]


def held(model: onnx.ModelProto, inputs: Sequence[Any]) -> tuple[onnx.ModelProto, int]:
    """The model with all inputs but the first floating-point one as constants of their stored values."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    arrays = [np.asarray(a) if isinstance(a, np.ndarray | np.generic) else None for a in inputs]
    free = next((i for i, a in enumerate(arrays) if a is not None and a.dtype.name in _FLOATS), None)
    fixed = [i for i in range(len(arrays)) if i != free]
    if free is None or not fixed or any(arrays[i] is None for i in fixed):
        raise ValueError("there is nothing to hold")
    names = [i.name for i in made.graph.input]
    tensors = [numpy_helper.from_array(arrays[i], names[i]) for i in fixed]
    made.graph.initializer.extend(tensors)
    kept = onnx.ValueInfoProto()
    kept.CopyFrom(made.graph.input[free])
    del made.graph.input[:]
    made.graph.input.append(kept)
    return made, free


def outcome(model: onnx.ModelProto, data: Sequence[tuple[Any, Any]]) -> tuple[str, str]:
    """Whether a model agrees with its stored outputs, differs, or is refused, and why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = _asked(model, data)
    except LoadError as error:
        return type(error).__name__, reason(str(error))
    except Exception as error:  # a bug of ours is a row of the table, not the end of it
        return f"BUG {type(error).__name__}", str(error)[:200]
    names = [i.name for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
    worst = max((_difference(network, names, *pair) for pair in data), default=np.inf)
    return ("agrees", "") if worst <= TOLERANCE else ("differs", f"by {worst:.1e}")


def _asked(model: onnx.ModelProto, data: Sequence[tuple[Any, Any]]) -> Network:
    """The network; where the model leaves sizes open, those of its stored inputs."""
    try:
        return from_onnx(model)
    except LoadError as error:
        if "leaves sizes open" not in str(error) and "declares no shape" not in str(error):
            raise
        refused = error
    kept = {t.name for t in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in kept]
    shapes = {n: np.shape(a) for n, a in zip(names, data[0][0], strict=False)}
    if not data or not all(prod(shape) for shape in shapes.values()):
        raise refused
    return from_onnx(model, input_shape=shapes)


def _difference(network: Network, names: Sequence[str], inputs: Arrays, outputs: Arrays) -> float:
    """The largest difference to the stored outputs, relative to their largest."""
    given = dict(zip(names, inputs, strict=False))
    parts = [np.asarray(given[n], dtype=float) for n in network.input_names]
    whole = sum(p.size for p in parts) == network.input_dim
    rows = 1 if whole else len(parts[0])
    flat = [p.reshape(rows, -1) for p in parts]
    got = network(np.concatenate(flat, axis=1)).astype(float)
    wanted = np.concatenate([np.asarray(y, dtype=float).reshape(rows, -1) for y in outputs], axis=1)
    if got.shape != wanted.shape:
        return float("inf")
    allowance = 10.0 if any(np.asarray(y).dtype.itemsize == 2 for y in outputs) else 1.0
    gap = np.abs(got - wanted)[np.isfinite(got) & np.isfinite(wanted)]
    size = 1 + np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    return float(gap.max(initial=0.0) / size / allowance)


def reason(message: str) -> str:
    """A message without the names, sizes and advice that differ between models of one kind."""
    text = re.sub(r"^Node '[^']*' \(op ([^)]*)\): ", r"\1: ", message)
    text = re.sub(r" (It is the last node|Only the model's head|It stands in the middle).*", "", text)
    text = re.sub(r"'[^']*'", "'...'", text)
    return re.sub(r"\[[^\]]*\]|\b\d[\d,.e+-]*\b", "#", text)[:220]


def rows() -> list[dict[str, str]]:
    """One row for each model."""
    found = []
    for kind, name, model, data in models():
        start = time.perf_counter()
        status, why = outcome(model, data)
        row = {"kind": kind, "name": name, "status": status, "reason": why}
        if status not in ("agrees", "differs") and data and len(model.graph.input) > 1:
            try:
                narrower, free = held(model, data[0][0])
            except (ValueError, TypeError):
                narrower = None
            if narrower is not None:
                status, why = outcome(narrower, [(i[free : free + 1], o) for i, o in data[:1]])
                row |= {"held_status": status, "held_reason": why}
        found.append(row | {"seconds": f"{time.perf_counter() - start:.2f}"})
    return found


def by_kind(found: list[dict[str, str]]) -> str:
    """Counts by kind of model."""
    lines = []
    for kind in ("node", *KINDS, "all"):
        chosen = [r for r in found if kind in (r["kind"], "all")]
        last = [r.get("held_status", r["status"]) for r in chosen]
        agree = sum(r["status"] == "agrees" for r in chosen)
        more, differ = last.count("agrees") - agree, last.count("differs")
        lines.append([kind, len(chosen), agree, more, len(chosen) - agree - more - differ, differ])
    head = ["models", "files", "load and agree", "agree with parameters held", "refused", "differ"]
    return table(head, lines)


def by_reason(found: list[dict[str, str]]) -> str:
    """Every reason with its count and one model that shows it."""
    reasons: Counter[tuple[str, str]] = Counter()
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in found:
        key = (row.get("held_status", row["status"]), row.get("held_reason", row["reason"]))
        if key[0] != "agrees":
            reasons[key] += 1
            names[key].append(row["name"])
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [[why, status, count, names[status, why][0]] for (status, why), count in ordered]
    return table(["why not", "kind of error", "models", "for example"], lines)


def main() -> None:
    """Ask for every model, print the tables, and write them if asked to."""
    chosen = parser(__doc__).parse_args()
    found = rows()
    where = environment("onnx", "onnxruntime")
    page = [title(__doc__), in_words(where, chosen.note), by_kind(found), by_reason(found)]
    publish(__file__, page, {"machine": where, "models": found}, chosen.write)


if __name__ == "__main__":
    main()
