"""Equivariance or augmentation: which segments digits on the sphere better when they are turned?

    python benchmarks/spherical_segmentation.py MNIST_TRAIN.npz MNIST_TEST.npz --write benchmarks/results
    python benchmarks/spherical_segmentation.py MNIST_TRAIN.npz MNIST_TEST.npz --quick

A digit lies on the southern hemisphere of a Driscoll-Healy grid (b = 6: 12 x 12 samples); each sample is
background or one of ten digits. The spherical network (S2Conv, SO3Conv, SO3ToS2; ReLU on samples) sees
upright digits only. The planar networks (circular 3 x 3 convolutions on the same grid; at least as many
parameters, or twice the channels) see upright digits, or k random turns of each. Networks are compared that
trained for the same CPU seconds. All are tested on digits that they have not seen, upright and turned at
random. The number is the mean over the ten digits of intersection over union, in percent: by area on the
sphere (so that a digit counts alike wherever it lies), and by samples.

The files hold ``images [N, 28, 28]`` and ``labels [N]``. With --write the rows are kept after each run, and
a stopped study goes on where it was.
"""

import json
import time
from functools import lru_cache
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

SPHERICAL, PLANAR, WIDE = "S2CNN", "CNN", "wide CNN"
Kind = tuple[str, int, int]  # network, random turns of each training digit, CPU seconds of training
FULL = {"b": 6, "train": 3000, "test": 1000, "seeds": 3}
QUICK = FULL | {"train": 1000, "test": 200, "seeds": 1}
ROWS: list[Kind] = [
    *((model, k, 40) for model, k in ((SPHERICAL, 0), *((PLANAR, k) for k in (0, 1, 8, 40)), (WIDE, 40))),
    *((model, k, 100) for model, k in ((SPHERICAL, 0), (WIDE, 40), (PLANAR, 40))),
]
QUICK_ROWS: list[Kind] = [(SPHERICAL, 0, 20), (PLANAR, 0, 20), (PLANAR, 8, 20)]
BATCH = 32
CHANNELS = {SPHERICAL: (1, 16, 16, 11), PLANAR: (1, 16, 20, 22, 22, 11), WIDE: (1, 32, 40, 44, 44, 11)}
Data = tuple[Tensor, Tensor]


def s2cnn(b: int) -> nn.Sequential:
    """Three spherical convolutions with local kernels of 17 and 28 points."""
    one, two, three, out = CHANNELS[SPHERICAL]
    disc, ball = near_identity(np.pi / 4, 2, 8), near_identity(np.pi / 4, 1, 6, 4)
    first = S2Conv(one, two, b, b, points=disc), nn.ReLU(), SO3Conv(two, three, b, b, points=ball), nn.ReLU()
    return nn.Sequential(*first, SO3Conv(three, out, b, b, points=ball), SO3ToS2(b, b)).float()


def cnn(channels: tuple[int, ...]) -> nn.Sequential:
    """3 x 3 convolutions, around the sphere in alpha, with zeros beyond the poles."""
    layers: list[nn.Module] = []
    for n, m in pairwise(channels):
        layers += [nn.CircularPad2d((1, 1, 0, 0)), nn.ZeroPad2d((0, 0, 1, 1)), nn.Conv2d(n, m, 3), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@lru_cache(maxsize=4)  # networks of one seed see the same turns
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


def one_cycle(done: float, highest: float = 1e-2) -> float:
    """The learning rate after a share of the training: up for three tenths of it, then down to nearly 0."""
    up = done < 0.3
    low, share = (highest / 25, done / 0.3) if up else (highest / 250_000, (1 - done) / 0.7)
    return low + (highest - low) * (1 - np.cos(np.pi * share)) / 2


def train(net: nn.Sequential, data: Data, cpu_seconds: float, seed: int) -> int:
    """Adam on the cross entropy by area, one cycle of the learning rate: the steps made in the time."""
    rng, (signals, masks) = np.random.default_rng(seed), data
    area = areas(signals.shape[-1] // 2)
    optimiser = torch.optim.Adam(net.parameters())
    start, steps = time.process_time(), 0
    while (used := time.process_time() - start) < cpu_seconds:
        optimiser.param_groups[0]["lr"] = one_cycle(used / cpu_seconds)
        some = rng.integers(len(signals), size=BATCH)
        loss = nn.functional.cross_entropy(net(signals[some]), masks[some], reduction="none")
        optimiser.zero_grad()
        (loss * area).sum().div(BATCH).backward()
        optimiser.step()
        steps += 1
    return steps


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


def run(settings: dict[str, Any], files: list[Path], kind: Kind, seed: int) -> dict[str, Any]:
    """Train one network and test it on upright and on turned digits."""
    (model, turns, seconds), b, n_test = kind, settings["b"], settings["test"]
    data = task(files[0], settings["train"], b, turns, 100 + seed)
    torch.manual_seed(seed)
    net = s2cnn(b) if model == SPHERICAL else cnn(CHANNELS[model])
    start = time.process_time()
    steps = train(net, data, seconds, seed)
    used = time.process_time() - start
    return {
        "model": model,
        "turns": turns,
        "budget": seconds,
        "seed": seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "upright": mean_iou(net, task(files[1], n_test, b, 0, 0)),
        "turned": mean_iou(net, task(files[1], n_test, b, 1, 99)),
        "cpu_seconds": used,
        "steps": steps,
    }


def seeds_of(rows: list[dict[str, Any]], kind: Kind) -> list[dict[str, Any]]:
    """The runs of one line of the table."""
    return [r for r in rows if (r["model"], r["turns"], r["budget"]) == kind]


def by_network(kinds: list[Kind], rows: list[dict[str, Any]]) -> str:
    """Means and ranges over seeds, as a Markdown table."""
    lines = []
    for kind in kinds:
        some = seeds_of(rows, kind)
        upright, turned = (np.array([r[key]["area"] for r in some]) for key in ("upright", "turned"))
        by_samples = [np.mean([r[key]["samples"] for r in some]) for key in ("upright", "turned")]
        model, turns, _ = kind
        lines.append(
            [
                model,
                f"{turns} random turn{'s' * (turns > 1)} of each" if turns else "upright",
                some[0]["parameters"],
                len(some),
                f"{np.mean([r['cpu_seconds'] for r in some]):.0f}",
                f"{np.mean([r['steps'] for r in some]):.0f}",
                spread(upright),
                spread(turned),
                f"{(upright - turned).mean():.1f}",
                f"{by_samples[0]:.1f}, {by_samples[1]:.1f}",
            ]
        )
    head = ["network", "trained on", "parameters", "seeds", "CPU s", "steps"]
    return table([*head, "upright", "turned", "lost", "by samples"], lines)


def verdict(kinds: list[Kind], rows: list[dict[str, Any]]) -> str:
    """Whether a planar network came up to the spherical one on turned digits, at equal time."""
    said, reached = [], []
    for seconds in sorted({kind[2] for kind in kinds}):
        level = {
            kind: np.array([r["turned"]["area"] for r in seeds_of(rows, kind)])
            for kind in kinds
            if kind[2] == seconds
        }
        planar = [kind for kind in level if kind[0] != SPHERICAL]
        if len(planar) in (0, len(level)):  # one side has not run
            continue
        best, spherical = max(planar, key=lambda kind: level[kind].mean()), level[SPHERICAL, 0, seconds]
        reached.append(bool(level[best].max() >= spherical.min()))
        said.append(
            f"With {seconds} CPU seconds the best planar network ({best[0]}, {best[1]} turns of each digit) "
            f"has {spread(level[best])} percent on turned digits, the spherical one {spread(spherical)}: "
            + ("the ranges overlap or the planar one leads." if reached[-1] else "the spherical one leads.")
        )
    if not said:
        return ""
    if not any(reached):
        end = "No augmentation tried reaches the spherical network at equal time: evidence, and no proof."
    elif all(reached):
        end = "At equal time seeds do not tell augmentation from equivariance: no gap in kind is seen here."
    else:
        end = (
            "So what augmentation misses is a matter of time: at one equal time the spherical network leads, "
            "at another it does not."
        )
    return " ".join([*said, end])


def spread(values: np.ndarray) -> str:
    """The mean, and the least and greatest of several."""
    mean = f"{values.mean():.1f}"
    return f"{mean} ({values.min():.1f} to {values.max():.1f})" if len(values) > 1 else f"{mean} (one seed)"


def picture(kinds: list[Kind], rows: list[dict[str, Any]], path: Path) -> None:
    """Mean intersection over union on turned digits, every run a point, beside those on upright ones."""
    figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(kinds) + 1.2), layout="constrained")
    shades = {SPHERICAL: "tab:blue", PLANAR: "tab:orange", WIDE: "tab:green"}
    for place, kind in enumerate(kinds):
        some = seeds_of(rows, kind)
        for key, mark in (("turned", "o"), ("upright", "x")):
            values = [r[key]["area"] for r in some]
            label = f"{key} test digits" if not place else None
            axes.scatter(values, [place] * len(some), s=28, color=shades[kind[0]], marker=mark, label=label)
    names = [
        f"{model}, {f'{k} turn' + 's' * (k > 1) if k else 'upright'}, {seconds} s"
        for model, k, seconds in kinds
    ]
    axes.set_yticks(range(len(kinds)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("mean IoU of the ten digits, % (each seed a point)")
    axes.set_xlim(left=0)
    axes.legend(fontsize=8)
    figure.savefig(path)


def kinds_of(rows: list[dict[str, Any]]) -> list[Kind]:
    """The lines of the table, of what has run."""
    seen = {(r["model"], r["turns"], r["budget"]) for r in rows}
    return [kind for kind in dict.fromkeys(ROWS + QUICK_ROWS) if kind in seen]


def page(settings: dict[str, Any], rows: list[dict[str, Any]], note: str) -> list[str]:
    """The table, and what it says."""
    kinds = kinds_of(rows)
    about = (
        "Mean IoU of the ten digits by area on the sphere, percent: mean over seeds (least to greatest). "
        f"b = {settings['b']}, {settings['train']} training and {settings['test']} test digits, batches of "
        f"{BATCH}. CPU s: of training. By samples: upright and turned, every grid point counting alike. "
        "Estimates. [Plot](spherical_segmentation.svg)"
    )
    where = in_words(environment("torch") | {"threads": "1"}, note)
    return [title(__doc__), by_network(kinds, rows), verdict(kinds, rows), about, where]


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
    done = {(r["model"], r["turns"], r["budget"], r["seed"]) for r in rows}

    def keep() -> None:
        record = {"conditions": environment("torch"), "settings": settings, "runs": rows}
        publish(__file__, page(settings, rows, chosen.note), record, chosen.write)
        if chosen.write:
            picture(kinds_of(rows), rows, chosen.write / "spherical_segmentation.svg")

    if rows:
        keep()
    for seed in range(settings["seeds"]):
        for kind in QUICK_ROWS if chosen.quick else ROWS:
            if (*kind, seed) not in done:
                rows.append(run(settings, chosen.files, kind, seed))
                keep()


if __name__ == "__main__":
    main()
