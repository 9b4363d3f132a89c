"""Do kernels of infinite width, their training and expected crossings reach the figures asked of them?

``python benchmarks/infinite.py [NAME ...] [--values FILE] [--write FOLDER]`` runs the scripts of
``examples/infinite`` and experiments of its own, prints each figure beside its bar and keeps them.
``--values`` are kernels of neural-tangents, for the fixture, which is left out without them. With some names
only, ``--write`` leaves the other tables as they were. Exit code 1 says that a bar was missed.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Bar, Figures, beside_bars, example, experiments, parser
from torch import nn

from polytope import equivariant as eq
from polytope import infinite

sys.path.append(str(Path(__file__).parents[1] / "examples" / "infinite"))

MOST = 1e-12
BARS: dict[str, dict[str, Bar]] = {
    "fixture": {
        "largest difference of kernels": ("<=", MOST),
        "largest difference of dynamics": ("<=", MOST),
    },
    "identities": {
        "He, no bias: K / K0, off 1": ("<=", MOST),
        "He, no bias, 6 layers: Theta / K, off 6": ("<=", MOST),
        "pooled group convolution against averaged dense network": ("<=", MOST),
    },
    "finite_width": {
        "slope of the NNGP's error, off -0.5": ("<=", 0.1),
        "slope of the NTK's error, off -0.5": ("<=", 0.1),
    },
    "package_layers": {"S2 and SO(3) layers, in standard errors": ("<=", 3.0)},
    "emergent_symmetry": {
        "orbit spread of the mean, all orbits, all times": ("<=", 1e-9),
        "orbit spread of the variance, all orbits, all times": ("<=", 1e-9),
        "least orbit spread of the mean, no augmentation": (">=", 0.1),
        "slope of the orbit spread, off -0.5": ("<=", 0.1),
    },
    "expected_crossings": {
        "largest distance on segments, in standard errors": ("<=", 3.0),
        "distance in the plane, in standard errors": ("<=", 3.0),
    },
    "speed": {"1,000 x 1,000, three hidden layers, seconds, least of 5": ("<=", 2.0)},
}


def fixture(values: Path | None) -> Figures:
    """Kernels and dynamics of neural-tangents."""
    if values is None:
        return {}
    with np.load(values) as d:
        x, y, im, im2 = d["x"], d["y"], *(d[k].transpose(0, 3, 1, 2) for k in ("im", "im2"))
        bends = {"relu": infinite.relu(), "leaky": infinite.leaky_relu(0.2), "abs": infinite.absolute()}
        cases = {
            f"mlp_{n}_{k}": (infinite.mlp(6, k, b, weight_std=1.5, bias_std=0.3), x, y)
            for n, b in bends.items()
            for k in (1, 3)
        }
        cases["mlp_nobias"] = (infinite.mlp(6, 2, weight_std=1.5), x, y)
        for pad, options in {
            "CIRCULAR": {"padding": 1, "padding_mode": "circular"},
            "SAME": {"padding": 1},
            "VALID": {},
        }.items():
            for head in ("gap", "flat"):
                module = images(head, 2, 5, 8, **options)
                cases[f"cnn_{pad}_{head}"] = (
                    infinite.architecture(module, (2, 5, 5), weight_std=1.4, bias_std=0.2),
                    im,
                    im2,
                )
        cases["res"] = (residual(), x, y)
        off = 0.0
        for name, (net, a, b) in cases.items():
            found = infinite.kernel(net, a, b)
            off = max(
                off, *(float(np.abs(getattr(found, k) - d[f"{name}_{k}"]).max()) for k in ("nngp", "ntk"))
            )
        return {
            "kernels compared": 2 * len(cases),
            "largest difference of kernels": off,
            "largest difference of dynamics": dynamics(d, x, y),
        }


def dynamics(d: Any, x: np.ndarray, y: np.ndarray) -> float:
    """The largest difference of means and covariances at three times, of both kernels."""
    net, off = infinite.mlp(6, 2, weight_std=1.5, bias_std=0.3), 0.0
    parts = [infinite.kernel(net, *p) for p in ((x,), (y, x), (y,))]
    for kind in ("nngp", "ntk"):
        chosen = parts if kind == "ntk" else [infinite.Kernels(p.nngp, p.nngp) for p in parts]
        for t in ("0.5", "10.0", "None"):
            found = infinite.ensemble(*chosen, d["ytr"], np.inf if t == "None" else float(t) / 4)
            for ours, theirs in ((found.mean, "mean"), (found.covariance, "cov")):
                off = max(off, float(np.abs(ours - d[f"dyn_{kind}_{t}_{theirs}"]).max()))
    return off


def residual() -> infinite.Architecture:
    """``h + W relu(h)`` between dense layers."""
    steps: list[tuple[Any, tuple[int, ...]]] = [
        (infinite.dense(1.5, 0.3), (0,)),
        (infinite.relu(), (1,)),
        (infinite.dense(1.5, 0.3), (2,)),
        (infinite.Sum(), (1, 3)),
        (infinite.relu(), (4,)),
        (infinite.dense(1.5, 0.3), (5,)),
    ]
    return infinite.Architecture(tuple(infinite.Step(*step) for step in steps), (6,))


def images(head: str, channels: int, side: int, width: int, **options: Any) -> nn.Sequential:
    """Two convolutions, and a mean or a flat readout."""
    layers = [
        nn.Conv2d(channels, width, 3, **options),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, **options),
        nn.ReLU(),
    ]
    left = side if options else side - 4
    if head == "gap":
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * left**2, 1))


def identities() -> Figures:
    """Laws of kernels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 5))
    found = infinite.kernel(infinite.mlp(5, 5), x)
    group, n, width = eq.cyclic(4), 6, 4
    module = nn.Sequential(
        eq.LiftingConv2d(group, 1, width, n), nn.ReLU(), eq.GroupConv2d(group, width, width, 1), nn.ReLU(),
        eq.GroupPool(group, "sum"), nn.Flatten(), nn.Linear(width, 1, bias=False),
    )  # fmt: skip
    read = infinite.architecture(module, (1, n, n), weight_std=1.4, bias_std=0.3)
    plain = [
        infinite.dense(1.4, 0.3),
        infinite.relu(),
        infinite.dense(1.4, 0.3),
        infinite.relu(),
        infinite.dense(1.4),
    ]
    points = rng.standard_normal((2, 4, n * n))
    pooled = infinite.kernel(read, *points)
    mean = infinite.group_average(infinite.chain(plain, (n * n,)), eq.image_grid(group, n, n), *points)
    off = [
        np.abs(a / 16 - b).max() / np.abs(b).max()
        for a, b in ((pooled.nngp, mean.nngp), (pooled.ntk, mean.ntk))
    ]
    return {
        "He, no bias: K / K0, off 1": float(np.abs(found.nngp.diagonal() * 5 / 2 / (x**2).sum(1) - 1).max()),
        "He, no bias, 6 layers: Theta / K, off 6": float(
            np.abs((found.ntk / found.nngp).diagonal() - 6).max()
        ),
        "pooled group convolution against averaged dense network": float(max(off)),
    }


def package_layers() -> Figures:
    """Products of outputs of drawn spherical networks, of width 64, by the last hidden layer's channels."""
    rng, width, draws = np.random.default_rng(0), 64, 60
    module = nn.Sequential(
        eq.S2Conv(1, width, 2, 2), nn.ReLU(), eq.SO3Conv(width, width, 2, 2), nn.ReLU(), eq.SO3Integrate(2),
        nn.Linear(width, 1),
    )  # fmt: skip
    x = rng.standard_normal((2, 1, 4, 4))
    read = infinite.architecture(module, (1, 4, 4))
    expected = infinite.kernel(read, x).nngp
    found = []
    for _ in range(draws):
        net = infinite.draw(module, rng)
        with torch.no_grad():
            hidden = net[:-1](torch.tensor(x)).numpy()
        found.append(hidden @ hidden.T / (3 * width) + 1 / (3 * width))
    error = np.std(found, axis=0, ddof=1) / draws**0.5
    pairs = ((0, 0), (0, 1), (1, 1))
    return {
        "infinite": [round(float(expected[p]), 4) for p in pairs],
        "means of 60 draws of width 64": [round(float(np.mean(found, axis=0)[p]), 4) for p in pairs],
        "S2 and SO(3) layers, in standard errors": float(
            np.max(np.abs(np.mean(found, axis=0) - expected) / error)
        ),
    }


def speed() -> Figures:
    """Seconds on the wall and of the processors, and the most memory so far, against the number of points."""
    rng, out = np.random.default_rng(0), {}
    flat, mean = (infinite.architecture(images(h, 1, 8, 8, padding=1), (1, 8, 8)) for h in ("flat", "gap"))
    nets: dict[str, tuple[infinite.Architecture, int, tuple[int, ...]]] = {
        "dense, three hidden layers": (infinite.mlp(50, 3), 50, (250, 500, 1000, 2000)),
        "8 x 8 images, flat readout": (flat, 64, (50, 100, 200)),
        "8 x 8 images, mean readout": (mean, 64, (10, 20, 40)),
    }
    for name, (net, shape, sizes) in nets.items():
        for n in sizes:
            x, y = rng.standard_normal((2, n, shape))
            clock, processor = time.perf_counter(), time.process_time()
            infinite.kernel(net, x, y)
            wall, used = time.perf_counter() - clock, time.process_time() - processor
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            out[f"{name}, {n:,} x {n:,}"] = (
                f"{wall:.2f} s, {used:.2f} CPU s, process so far {most:,} MB at most"
            )
            if n == 1000:
                best = min(timed(net, x, y) for _ in range(5))
                out["1,000 x 1,000, three hidden layers, seconds, least of 5"] = best
    return out


def timed(net: infinite.Architecture, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds on the wall."""
    clock = time.perf_counter()
    infinite.kernel(net, x, y)
    return time.perf_counter() - clock


OWN: dict[str, Callable[[], Figures]] = {
    "identities": identities,
    "package_layers": package_layers,
    "speed": speed,
}
EXAMPLES = ("finite_width", "emergent_symmetry", "expected_crossings")


PICTURES = {name: f"infinite_{name}.png" for name in EXAMPLES}


def run(name: str, values: Path | None, folder: Path | None) -> dict[str, Any]:
    """One experiment: its figures beside their bars, and its picture."""
    if name in EXAMPLES:
        picture = None if folder is None else folder / PICTURES[name]
        return beside_bars(lambda: example(name, picture), BARS[name])
    return beside_bars(OWN[name] if name in OWN else lambda: fixture(values), BARS[name])


def main() -> None:
    """Run what is asked for; the fixture where its values are given."""
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BARS], default=[])
    options.add_argument("--values", type=Path, help="kernels of neural-tangents")
    given = options.parse_args()
    names = [name for name in BARS if name != "fixture" or given.values]
    experiments(__file__, __doc__, given, lambda name: run(name, given.values, given.write), names, PICTURES)


if __name__ == "__main__":
    main()
