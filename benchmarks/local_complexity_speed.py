"""How many points per second does local complexity take, and how much memory, next to the published way?

    python benchmarks/local_complexity_speed.py --write benchmarks/results

MLP 784-200-200-200-10, 50 vertices per point, on the CPU. The *published procedure* (Humayun, Balestriero,
Baraniuk 2024), restated here: build the vertices of all points, send batches of points with all their
vertices through the model, record every layer's output with hooks, and compare signs with the first
vertex. Each run is a process of its own, the two alternate, and their counts must agree.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import polytope as pt

WIDTHS = (784, 200, 200, 200, 10)
DIRECTIONS, RADIUS = 25, 0.5
Counts = NDArray[np.int64]
Weights = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def problem(n_points: int) -> tuple[Weights, NDArray[np.float64], NDArray[np.float64]]:
    """He-initialised weights, uniform points, and an orthonormal frame."""
    rng = np.random.default_rng(0)
    weights = [
        (rng.normal(size=(m, n)) * np.sqrt(2 / n), rng.normal(size=m) / 10) for n, m in pairwise(WIDTHS)
    ]
    frame = np.linalg.qr(rng.normal(size=(WIDTHS[0], DIRECTIONS)))[0].T
    return weights, rng.uniform(size=(n_points, WIDTHS[0])), frame


def published(weights: Weights, x: NDArray[np.float64], frame: NDArray[np.float64], dtype: str) -> Counts:
    """The published procedure; the logits' column is left out of the answer."""
    number_type = getattr(torch, dtype)
    points, directions = torch.tensor(x, dtype=number_type), torch.tensor(frame, dtype=number_type)
    moves = RADIUS * torch.cat([directions, -directions])
    hulls = points[:, None] + moves
    recorded: list[torch.Tensor] = []
    steps: list[nn.Module] = []
    for W, b in weights:
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=number_type)
        linear.load_state_dict({"weight": torch.tensor(W), "bias": torch.tensor(b)})
        linear.register_forward_hook(lambda module, inputs, output: recorded.append(output))
        steps += [linear, nn.ReLU()]
    model = nn.Sequential(*steps[:-1])
    counts = []
    with torch.no_grad():
        for batch in hulls.split(128):
            recorded.clear()
            model(batch.reshape(-1, batch.shape[-1]))
            signs = [torch.sign(z.reshape(len(batch), len(moves), -1)) for z in recorded]
            counts.append(torch.stack([(s != s[:, :1]).any(1).sum(1) for s in signs[:-1]], 1))
    return torch.cat(counts).numpy()


def streamed(weights: Weights, x: NDArray[np.float64], frame: NDArray[np.float64], dtype: str) -> Counts:
    """``polytope``'s way; like the other, without counting some points again in float64."""
    options = {"frames": frame, "dtype": dtype, "rechecked": 0}
    return pt.local_complexity(pt.mlp(weights), x, RADIUS, **options).per_layer


WAYS: dict[str, Callable[..., Counts]] = {"published": published, "polytope": streamed}


def worker(way: str, n_points: int, dtype: str, threads: int, counts_file: Path) -> None:
    """One timed run; prints seconds and the memory that it added, and writes the counts."""
    torch.set_num_threads(threads)
    weights, x, frame = problem(n_points)
    WAYS[way](weights, x[:8], frame, dtype)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    counts = WAYS[way](weights, x, frame, dtype)
    seconds = time.perf_counter() - start
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.save(counts_file, counts)
    print(json.dumps({"seconds": seconds, "added_mb": added}))


def run(way: str, options: argparse.Namespace, dtype: str, folder: Path) -> tuple[dict[str, float], Counts]:
    """A worker in a fresh process."""
    counts_file = folder / f"{way}.npy"
    command = [sys.executable, __file__, "--worker", way, "--counts", str(counts_file), "--dtype", dtype]
    command += ["--points", str(options.points), "--threads", str(options.threads)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer), np.load(counts_file)


def compare(options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """Alternating runs of both ways: medians, ratios, and how many units' answers differ."""
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            counts = []
            for way in WAYS:
                measured, counted = run(way, options, dtype, Path(folder))
                rounds[way].append(measured)
                counts.append(counted)
    differing = int(np.abs(counts[0] - counts[1]).sum())
    n_units = options.points * sum(WIDTHS[1:-1])
    assert differing <= (0 if dtype == "float64" else 1e-5 * n_units), f"{differing} units differ"
    speed = {way: options.points / median(r["seconds"] for r in rounds[way]) for way in WAYS}
    memory = {way: median(r["added_mb"] for r in rounds[way]) for way in WAYS}
    return {
        "dtype": dtype,
        "points_per_second": speed,
        "added_mb": memory,
        "speed_ratio": speed["polytope"] / speed["published"],
        "memory_ratio": memory["polytope"] / memory["published"],
        "units_that_differ": differing,
        "units_compared": n_units,
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| dtype | way | points per second | memory added, MB | units that differ |",
        "|---|---|---:|---:|---:|",
    ]
    for row in results:
        for way in WAYS:
            speed, memory = row["points_per_second"][way], row["added_mb"][way]
            lines.append(
                f"| {row['dtype']} | {way} | {speed:,.0f} | {memory:,.1f} | {row['units_that_differ']} |"
            )
        ratios = f"{row['speed_ratio']:.1f} x | {row['memory_ratio']:.3f} x"
        lines.append(f"| {row['dtype']} | ratio | {ratios} | of {row['units_compared']:,} |")
    return "\n".join(lines)


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """What was run on what."""
    names = [line for line in _cpu_lines() if line.startswith("model name")]
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "threads": options.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "points": options.points,
        "rounds": options.rounds,
    }


def _cpu_lines() -> list[str]:
    """Linux's description of the processor, where there is one."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, help="folder for the table and the JSON file")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--counts", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.points, options.dtype, options.threads, options.counts)
        return
    results = [compare(options, dtype) for dtype in ("float32", "float64")]
    print(table(results))
    if options.write:
        stem = options.write / Path(__file__).stem
        conditions = machine(options)
        text = json.dumps({"machine": conditions, "results": results}, indent=2)
        stem.with_suffix(".json").write_text(text + "\n")
        caption = ", ".join(f"{name} {value}" for name, value in conditions.items())
        title = f"# MLP {'-'.join(map(str, WIDTHS))}, {2 * DIRECTIONS} vertices\n"
        stem.with_suffix(".md").write_text(f"{title}\n{table(results)}\n\nMedians. {caption}.\n")


if __name__ == "__main__":
    main()
