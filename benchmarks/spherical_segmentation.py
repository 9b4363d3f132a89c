"""Equivariance or augmentation: which segments digits on the sphere better when they are turned?

    python benchmarks/spherical_segmentation.py MNIST_TRAIN.npz MNIST_TEST.npz --write benchmarks/results
    python benchmarks/spherical_segmentation.py MNIST_TRAIN.npz MNIST_TEST.npz --quick

A digit lies on the southern hemisphere of a Driscoll-Healy grid (b = 6: 12 x 12 samples); each sample is
background or one of ten digits. The spherical network (S2Conv, SO3Conv, SO3ToS2; ReLU on samples) sees
upright digits only. The planar network (circular 3 x 3 convolutions on the same grid, at least as many
parameters, more steps) sees upright digits, or k random turns of each. Both are tested on digits that they
have not seen, upright and turned at random. The number is the mean over the ten digits of intersection over
union, in percent: by area on the sphere (so that a digit counts alike wherever it lies), and by samples.

The files hold ``images [N, 28, 28]`` and ``labels [N]``. With --write the rows are kept after each run, and
a stopped study goes on where it was.
"""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from harness import environment, in_words, parser, publish, table, title
from torch import Tensor, nn

from polytope.equivariant import (
    S2Conv,
    SO3Conv,
    SO3ToS2,
    near_identity,
    polar_quadrature,
    random_rotations,
    spherical_segmentation,
)

FULL = {"b": 6, "train": 3000, "test": 1000, "seeds": 3, "turns": [0, 1, 8], "steps": [1500, 2000]}
QUICK = {"b": 6, "train": 1000, "test": 200, "seeds": 1, "turns": [0, 8], "steps": [200, 400]}
BATCH = 32
CHANNELS = {"S2CNN": (1, 16, 16, 11), "CNN": (1, 16, 20, 22, 22, 11)}
Data = tuple[Tensor, Tensor]


def s2cnn(b: int) -> nn.Sequential:
    """Three spherical convolutions with local kernels of 17 and 28 points."""
    one, two, three, out = CHANNELS["S2CNN"]
    disc, ball = near_identity(np.pi / 4, 2, 8), near_identity(np.pi / 4, 1, 6, 4)
    first = S2Conv(one, two, b, b, points=disc), nn.ReLU(), SO3Conv(two, three, b, b, points=ball), nn.ReLU()
    return nn.Sequential(*first, SO3Conv(three, out, b, b, points=ball), SO3ToS2(b, b)).float()


def cnn(b: int) -> nn.Sequential:
    """3 x 3 convolutions, around the sphere in alpha, with zeros beyond the poles."""
    layers: list[nn.Module] = []
    for n, m in pairwise(CHANNELS["CNN"]):
        layers += [nn.CircularPad2d((1, 1, 0, 0)), nn.ZeroPad2d((0, 0, 1, 1)), nn.Conv2d(n, m, 3), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def task(path: Path, n: int, b: int, turns: int, seed: int) -> Data:
    """Signals (standardised) and masks of the first n digits, turned at random so many times, or upright."""
    with np.load(path) as data:
        images, labels = data["images"][:n].reshape(n, 28, 28), data["labels"][:n]
    times = max(1, turns)
    rotations = random_rotations(n * times, np.random.default_rng(seed)) if turns else None
    signals, masks = spherical_segmentation(
        np.tile(images, (times, 1, 1)), np.tile(labels, times), b, rotations
    )
    return torch.from_numpy((signals[:, None] - 0.15) / 0.28).float(), torch.from_numpy(masks)


def areas(b: int) -> Tensor:
    """The share of the sphere of every sample."""
    weights = polar_quadrature(b)[1][:, None] / (2 * b)
    return torch.from_numpy(np.tile(weights, (1, 2 * b))).float()


def train(net: nn.Sequential, data: Data, steps: int, seed: int) -> None:
    """Adam on the cross entropy by area, one cycle of the learning rate."""
    rng, (signals, masks) = np.random.default_rng(seed), data
    area = areas(signals.shape[-1] // 2)
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-2, total_steps=steps)
    for _ in range(steps):
        some = rng.integers(len(signals), size=BATCH)
        loss = nn.functional.cross_entropy(net(signals[some]), masks[some], reduction="none")
        optimiser.zero_grad()
        (loss * area).sum().div(BATCH).backward()
        optimiser.step()
        schedule.step()


def mean_iou(net: nn.Sequential, data: Data) -> dict[str, float]:
    """Percent, the mean over the ten digits."""
    signals, masks = data
    with torch.no_grad():
        found = torch.cat([net(some).argmax(dim=1) for some in signals.split(100)])
    area = areas(signals.shape[-1] // 2)
    out = {}
    for name, weight in (("area", area), ("samples", torch.ones_like(area))):
        shares = []
        for digit in range(1, 11):
            ours, true = found == digit, masks == digit
            shares.append(((ours & true) * weight).sum() / ((ours | true) * weight).sum().clamp_min(1e-12))
        out[name] = 100 * float(torch.stack(shares).mean())
    return out


def run(settings: dict[str, Any], files: list[Path], model: str, turns: int, seed: int) -> dict[str, Any]:
    """Train one network and test it on upright and on turned digits."""
    b, n_test = settings["b"], settings["test"]
    data = task(files[0], settings["train"], b, turns, 100 + seed)
    torch.manual_seed(seed)
    net = {"S2CNN": s2cnn, "CNN": cnn}[model](b)
    start = time.process_time()
    train(net, data, settings["steps"][model == "CNN"], seed)
    return {
        "model": model,
        "turns": turns,
        "seed": seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "upright": mean_iou(net, task(files[1], n_test, b, 0, 0)),
        "turned": mean_iou(net, task(files[1], n_test, b, 1, 99)),
        "cpu_seconds": time.process_time() - start,
    }


def by_network(rows: list[dict[str, Any]]) -> str:
    """Means and ranges over seeds, as a Markdown table."""
    lines = []
    kinds = {(r["model"], r["turns"]) for r in rows}
    for model, turns in sorted(kinds, reverse=True, key=lambda kind: (kind[0], -kind[1])):
        some = [r for r in rows if (r["model"], r["turns"]) == (model, turns)]
        upright, turned = (np.array([r[key]["area"] for r in some]) for key in ("upright", "turned"))
        by_samples = [np.mean([r[key]["samples"] for r in some]) for key in ("upright", "turned")]
        lines.append(
            [
                model,
                f"{turns} random turn{'s' * (turns > 1)} of each" if turns else "upright",
                some[0]["parameters"],
                len(some),
                *(f"{v.mean():.1f} ({v.min():.1f} to {v.max():.1f})" for v in (upright, turned)),
                f"{(upright - turned).mean():.1f}",
                f"{by_samples[0]:.1f}, {by_samples[1]:.1f}",
                f"{np.mean([r['cpu_seconds'] for r in some]):.0f}",
            ]
        )
    head = [
        "network",
        "trained on",
        "parameters",
        "seeds",
        "upright",
        "turned",
        "lost",
        "by samples",
        "CPU s",
    ]
    return table(head, lines)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean intersection over union by the number of turns that the planar network saw."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    spherical = [r for r in rows if r["model"] == "S2CNN"]
    planar = [r for r in rows if r["model"] == "CNN"]
    turns = sorted({r["turns"] for r in planar})
    for key, style, width in (("turned", "-", 4.0), ("upright", "--", 1.2)):
        level = np.mean([r[key]["area"] for r in spherical])
        label = f"S2CNN trained upright: {key} test"
        shade = "tab:blue" if key == "turned" else "black"
        axes.axhline(level, color=shade, linestyle=style, linewidth=width, label=label)
        axes.plot(
            range(len(turns)),
            [np.mean([r[key]["area"] for r in planar if r["turns"] == k]) for k in turns],
            color="tab:orange",
            linestyle=style,
            label=f"CNN: {key} test",
        )
        axes.scatter(
            [turns.index(r["turns"]) for r in planar],
            [r[key]["area"] for r in planar],
            s=14,
            color="tab:orange",
            marker="o" if key == "turned" else "x",
        )
    axes.set_xticks(range(len(turns)), [str(k) if k else "upright" for k in turns])
    axes.set_xlabel("random turns of each training image that the CNN saw")
    axes.set_ylabel("mean IoU of the ten digits, %")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    figure.savefig(path)


def page(settings: dict[str, Any], rows: list[dict[str, Any]], note: str) -> list[str]:
    """The table, and what it says."""
    about = (
        "Mean IoU of the ten digits by area on the sphere, percent: mean over seeds (least to greatest). "
        f"b = {settings['b']}, {settings['train']} training and {settings['test']} test digits, batches of "
        f"{BATCH}, {settings['steps'][0]} steps of the S2CNN and {settings['steps'][1]} of the CNN. "
        "By samples: upright and turned, every grid point counting alike. Estimates. "
        "[Plot](spherical_segmentation.svg)"
    )
    return [title(__doc__), by_network(rows), about, in_words(environment("torch") | {"threads": "1"}, note)]


def known(folder: Path | None, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that an earlier run of the same study left."""
    file = folder / f"{Path(__file__).stem}.json" if folder else None
    if file is None or not file.is_file():
        return []
    record = json.loads(file.read_text())
    return list(record["runs"]) if record["settings"] == settings else []


def main() -> None:
    """Run what is missing, print, and write."""
    options = parser(__doc__)
    options.add_argument("files", type=Path, nargs=2, help="training and test digits")
    options.add_argument("--quick", action="store_true", help="one seed, few steps: two minutes")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    settings = QUICK if chosen.quick else FULL
    rows = known(chosen.write, settings)
    done = {(r["model"], r["turns"], r["seed"]) for r in rows}
    for seed in range(settings["seeds"]):
        for model, turns in (("S2CNN", 0), *(("CNN", k) for k in settings["turns"])):
            if (model, turns, seed) in done:
                continue
            rows.append(run(settings, chosen.files, model, turns, seed))
            record = {"conditions": environment("torch"), "settings": settings, "runs": rows}
            publish(__file__, page(settings, rows, chosen.note), record, chosen.write)
    if chosen.write and {r["model"] for r in rows} == {"S2CNN", "CNN"}:
        picture(rows, chosen.write / "spherical_segmentation.svg")


if __name__ == "__main__":
    main()
