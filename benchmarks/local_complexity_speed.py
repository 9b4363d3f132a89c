"""How many points per second does local complexity take, and how much memory, next to the published way?

    python benchmarks/local_complexity_speed.py --write benchmarks/results

MLP 784-200-200-200-10, 50 vertices per point, and a CIFAR ResNet18 of width 16, 40 vertices. The
*published procedure* (Humayun, Balestriero, Baraniuk 2024), restated here: build the vertices of all points,
send batches of points with all their vertices through the model, record every layer's output with hooks, and
compare signs with the first vertex. Each run is a process of its own, the two alternate, and their counts
must agree. Times are CPU seconds, or with ``--device cuda`` wall seconds between two synchronisations; there
the share of the device's matrix rate is reported too: 2 x (multiply-adds of the hidden layers behind the
first, per vertex) x vertices x points per second, over the rate of a product of two 8192 x 8192 matrices of
the same type.
"""

import argparse
import json
import os
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
from harness import environment, in_words, parser, publish, table, title
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


def published(
    weights: Weights, x: NDArray[np.float64], frame: NDArray[np.float64], dtype: str, device: str = "cpu"
) -> Counts:
    """The published procedure; the logits' column is left out of the answer."""
    number_type = getattr(torch, dtype)
    points, directions = (torch.tensor(a, dtype=number_type, device=device) for a in (x, frame))
    moves = RADIUS * torch.cat([directions, -directions])
    hulls = points[:, None] + moves
    recorded: list[torch.Tensor] = []
    steps: list[nn.Module] = []
    for W, b in weights:
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=number_type)
        linear.load_state_dict({"weight": torch.tensor(W), "bias": torch.tensor(b)})
        linear.register_forward_hook(lambda module, inputs, output: recorded.append(output))
        steps += [linear, nn.ReLU()]
    model = nn.Sequential(*steps[:-1]).to(device)
    counts = []
    with torch.no_grad():
        for batch in hulls.split(128):
            recorded.clear()
            model(batch.reshape(-1, batch.shape[-1]))
            signs = [torch.sign(z.reshape(len(batch), len(moves), -1)) for z in recorded]
            counts.append(torch.stack([(s != s[:, :1]).any(1).sum(1) for s in signs[:-1]], 1))
    return torch.cat(counts).cpu().numpy()


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a skip."""

    def __init__(self, wide: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider)
        self.conv2, self.bn2 = nn.Conv2d(wider, wider, 3, 1, 1, bias=False), nn.BatchNorm2d(wider)
        down = [nn.Conv2d(wide, wider, 1, stride, bias=False), nn.BatchNorm2d(wider)]
        self.skip = nn.Identity() if wide == wider else nn.Sequential(*down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both branches."""
        h = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(h)) + self.skip(x))


def resnet18(width: int = 16) -> nn.Module:
    """ResNet18 for 32 x 32 images, random weights, running statistics of random images."""
    torch.manual_seed(0)
    steps: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    wide = width
    for k in range(4):
        steps += [Block(wide, width << k, 1 if k == 0 else 2), Block(width << k, width << k, 1)]
        wide = width << k
    model = nn.Sequential(*steps, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(wide, 10))
    model(torch.rand(64, 3, 32, 32))
    return model.eval()


def normalised(model: nn.Module) -> list[str]:
    """The parts whose outputs are the pre-activations, as in the paper: the batch normalisations."""
    return [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]


def images(n_points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Uniform images and a frame of 20 directions."""
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(3072, 20)))[0].T
    return rng.uniform(size=(n_points, 3, 32, 32)), frame


def published_resnet(n_points: int, device: str) -> Counts:
    """The published procedure on the ResNet18."""
    model = resnet18().to(device)
    x, frame = images(n_points)
    points, directions = (torch.tensor(a, dtype=torch.float32, device=device) for a in (x, frame))
    moves = RADIUS * torch.cat([directions, -directions]).reshape(-1, 3, 32, 32)
    recorded: list[torch.Tensor] = []
    for name in normalised(model):
        part = model.get_submodule(name)
        part.register_forward_hook(lambda module, inputs, output: recorded.append(output))
    counts = []
    with torch.no_grad():
        for batch in (points[:, None] + moves).split(8):
            recorded.clear()
            model(batch.flatten(0, 1))
            signs = [torch.sign(z.reshape(len(batch), len(moves), -1)) for z in recorded]
            counts.append(torch.stack([(s != s[:, :1]).any(1).sum(1) for s in signs], 1))
    return torch.cat(counts).cpu().numpy()


def observed_resnet(n_points: int, device: str) -> Counts:
    """``polytope``'s way on the ResNet18."""
    model = resnet18().to(device)
    x, frame = images(n_points)
    options = {"frames": frame, "layers": normalised(model), "batch_size": 1 if device == "cpu" else None}
    return pt.local_complexity(model, x, RADIUS, **options).per_layer


def matrix_rate(dtype: str, device: str) -> float:
    """Operations per second of a large product of matrices."""
    a = torch.randn(8192, 8192, dtype=getattr(torch, dtype), device=device)
    a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(5):
        a @ a
    torch.cuda.synchronize()
    return 5 * 2 * 8192**3 / (time.perf_counter() - start)


def streamed(
    weights: Weights, x: NDArray[np.float64], frame: NDArray[np.float64], dtype: str, device: str = "cpu"
) -> Counts:
    """``polytope``'s way; like the other, without counting some points again in float64."""
    options = {"frames": frame, "dtype": dtype, "device": device, "rechecked": 0}
    return pt.local_complexity(pt.mlp(weights), x, RADIUS, **options).per_layer


WAYS: dict[str, Callable[..., Counts]] = {"published": published, "polytope": streamed}
RESNET: dict[str, Callable[..., Counts]] = {"published": published_resnet, "polytope": observed_resnet}
CASES = (("mlp", "float32"), ("mlp", "float64"), ("resnet18", "float32"))


def now(device: str) -> float:
    """CPU seconds, or wall seconds of a device that has done its work."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak(device: str) -> float:
    """The largest memory used so far, MB."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20


def worker(options: argparse.Namespace) -> None:
    """One timed run; prints seconds and the memory that it added, and writes the counts."""
    torch.set_num_threads(options.threads)
    dtype, device, way = options.dtype, options.device, options.worker
    if options.case == "mlp":
        weights, x, frame = problem(options.points)
        WAYS[way](weights, x[:8], frame, dtype, device)
        before, start = peak(device), now(device)
        counts = WAYS[way](weights, x, frame, dtype, device)
    else:
        RESNET[way](1, device)
        before, start = peak(device), now(device)
        counts = RESNET[way](options.points, device)
    seconds = now(device) - start
    np.save(options.counts, counts)
    rate = matrix_rate(dtype, device) if device != "cpu" and options.case == "mlp" else None
    print(json.dumps({"seconds": seconds, "added_mb": peak(device) - before, "matrix_rate": rate}))


def run(way: str, case: str, options: argparse.Namespace, dtype: str, folder: Path) -> tuple[Any, Counts]:
    """A worker in a fresh process."""
    counts_file = folder / f"{way}.npy"
    points = options.points if case == "mlp" else options.images
    command = [sys.executable, __file__, "--worker", way, "--counts", str(counts_file), "--dtype", dtype]
    command += ["--points", str(points), "--threads", str(options.threads)]
    command += ["--case", case, "--device", options.device]
    environment = os.environ | dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(options.threads)
    )
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(answer), np.load(counts_file)


def compare(options: argparse.Namespace, case: str, dtype: str) -> dict[str, Any]:
    """Alternating runs of both ways: medians, ratios, and how many units' answers differ."""
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            counts = []
            for way in WAYS:
                measured, counted = run(way, case, options, dtype, Path(folder))
                rounds[way].append(measured)
                counts.append(counted)
    differing = int(np.abs(counts[0] - counts[1]).sum())
    n_points, n_units = len(counts[0]), int(counts[0].sum())
    assert differing <= (0 if dtype == "float64" else 1e-4 * n_units), f"{differing} units differ"
    speed = {way: n_points / median(r["seconds"] for r in rounds[way]) for way in WAYS}
    memory = {way: median(r["added_mb"] for r in rounds[way]) for way in WAYS}
    answer = {
        "case": case,
        "dtype": dtype,
        "points": n_points,
        "points_per_second": speed,
        "added_mb": memory,
        "speed_ratio": speed["polytope"] / speed["published"],
        "memory_ratio": memory["polytope"] / max(memory["published"], 1e-9),
        "units_that_differ": differing,
        "units_that_cross": n_units,
    }
    rate = rounds["polytope"][-1].get("matrix_rate")
    if rate:
        work = 2 * 2 * DIRECTIONS * sum(n * m for n, m in pairwise(WIDTHS[1:-1]))
        answer["share_of_matrix_rate"] = work * speed["polytope"] / rate
    return answer


def results_table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    rows = []
    for row in results:
        case, dtype = row["case"], row["dtype"]
        for way in WAYS:
            speed, memory = row["points_per_second"][way], row["added_mb"][way]
            rows.append([case, dtype, way, f"{speed:,.0f}", f"{memory:,.1f}", row["units_that_differ"]])
        ratios = [f"{row['speed_ratio']:.1f} x", f"{row['memory_ratio']:.3f} x"]
        rows.append([case, dtype, "ratio", *ratios, f"of {row['units_that_cross']:,}"])
        if "share_of_matrix_rate" in row:
            rows.append([case, dtype, "matrix rate", f"{row['share_of_matrix_rate']:.0%}", "", ""])
    return table(
        ["network", "dtype", "way", "points per second", "memory added, MB", "units that differ"], rows
    )


def processor() -> str:
    """What Linux calls the processor, where it says so."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Compare, print, and write."""
    options = parser(__doc__)
    options.add_argument("--points", type=int, default=2048)
    options.add_argument("--images", type=int, default=32, help="points for the ResNet18")
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    options.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    options.add_argument("--case", default="mlp", help=argparse.SUPPRESS)
    options.add_argument("--counts", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.worker:
        worker(chosen)
        return
    results = [compare(chosen, case, dtype) for case, dtype in CASES]
    where = environment("torch") | {"cpu": processor(), "device": chosen.device}
    where |= {"threads": str(chosen.threads), "rounds": str(chosen.rounds)}
    about = f"MLP {'-'.join(map(str, WIDTHS))}, {2 * DIRECTIONS} vertices; ResNet18, 40 vertices. Medians."
    page = [title(__doc__), about, results_table(results), in_words(where, chosen.note)]
    suffix = "" if chosen.device == "cpu" else f"_{chosen.device}"
    publish(Path(__file__).stem + suffix, page, {"machine": where, "results": results}, chosen.write)


if __name__ == "__main__":
    main()
