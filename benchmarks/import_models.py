"""How long does it take to load each model file, and how much memory does it need?

Every file is loaded in a process of its own, so that its peak memory is its own. Run:
``python benchmarks/import_models.py FOLDER [FILE ...] [--write benchmarks/results]`` where FOLDER holds the
model files and a MANIFEST.json; with names of files only those are measured.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import runpy
import time
from pathlib import Path
from typing import Any

from harness import environment, in_words, parser, publish, table, title

MODULES = Path(__file__).parent / "cifar_modules.py"
OPTIONS: dict[str, dict[str, Any]] = {
    "fsrcnn_x4.onnx": {"input_shape": (16, 16, 1)},
    "churn_tf_sigmoid.onnx": {"until": "StatefulPartitionedCall/sequential_1/dense_2_1/Add:0"},
    "mtcnn_pnet_prelu.onnx": {"until": ["conv4-2_Y", "conv4-1_Y"]},
    "handlandmark_clip.onnx": {"until": "Identity"},
    "bunny_2_4x32.pth": {"activation": "relu"},
    "mnist_fc_3layer.pth": {"activation": "relu"},
    "cifar_base_kw.pth": {"module": "convolutional", "input_shape": (3, 32, 32)},
    "cifar_resnet2b.pth": {"module": "Residual", "input_shape": (3, 32, 32)},
    "iris_scripted.pt": {"until": "output.1"},
}
"""What the files do not say; ``module`` names an architecture in ``cifar_modules.py``."""


def measured(path: Path) -> dict[str, Any]:
    """Seconds, peak memory and sizes of one load, or the reason of its refusal, in a fresh process."""
    import numpy as np

    from adapters import load
    from polytope.errors import LoadError

    idle = peak_memory()
    options = dict(OPTIONS.get(path.name, {}))
    row: dict[str, Any] = {"file": path.name, "bytes": path.stat().st_size}
    start = time.perf_counter()
    try:
        if "module" in options:
            options["module"] = runpy.run_path(str(MODULES))[options["module"]]()
        network = load(path, **options)
    except LoadError as error:
        return row | {"refused": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    network(np.zeros((1, network.input_dim)))
    return row | {
        "inputs": network.input_dim,
        "units": network.n_units,
        "layers": len(network.layers),
        "import_error": network.import_error,
        "import_seconds": round(seconds, 3),
        "evaluate_seconds": round(time.perf_counter() - start, 4),
        "peak_memory_mb": round(peak_memory()),
        "memory_before_mb": round(idle),
    }


def peak_memory() -> float:
    """Megabytes at the process's peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compared(row: dict[str, Any]) -> str:
    """The import error of a row, or why there is none."""
    if "refused" in row:
        return f"refused: {row['refused']}"
    return "not computed" if row["import_error"] is None else f"{row['import_error']:.1e}"


COLUMNS = (
    "file",
    "bytes",
    "inputs",
    "units",
    "layers",
    "import_seconds",
    "evaluate_seconds",
    "peak_memory_mb",
)


def main() -> None:
    """Measure every file of a folder; print the table, and write it if asked to."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("files", nargs="*")
    chosen = options.parse_args()
    manifest = json.loads((chosen.folder / "MANIFEST.json").read_text())
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in chosen.files or [m["file"] for m in manifest["models"]]:
        with context.Pool(1) as pool:
            rows.append(pool.apply(measured, (chosen.folder / name,)))
    cells = [
        [f"{row[n]:,}" if isinstance(row.get(n), int) else row.get(n) for n in COLUMNS] + [compared(row)]
        for row in rows
    ]
    where = environment("scipy", "onnx", "onnxruntime", "torch")
    page = [title(__doc__), in_words(where, chosen.note), table((*COLUMNS, "import_error"), cells)]
    publish(__file__, page, {"machine": where, "models": rows}, chosen.write)


if __name__ == "__main__":
    main()
