"""Do flows keep their identities, and do their exact and gradient answers reach the figures asked of them?

``python benchmarks/flows.py [NAME ...] [--full] [--mnist IMAGES.npz] [--write benchmarks/results]`` runs the
experiments of ``examples/flows`` and two of its own (``identities``, ``steps``), prints each figure beside
its bar, and keeps figures and pictures. ``--full`` takes long protocols, whose tables stand beside the
others. With some names only, ``--write`` leaves the other tables as they were. Exit code 1 says that a bar
was missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import environment, in_words, parser, publish, table, title

from polytope import flows

sys.path.append(str(Path(__file__).parents[1] / "examples" / "flows"))

Figures = dict[str, Any]
BARS: dict[str, dict[str, tuple[str, float]]] = {  # experiment -> figure -> bar
    "identities": {
        "log-determinant against autograd's Jacobian": ("<=", 1e-10),
        "inverse of forward": ("<=", 1e-10),
        "sum of log singular values against it": ("<=", 1e-10),
        "lowered network against the flow, both ways": ("<=", 1e-10),
        "integral of the density, off 1": ("<=", 1e-3),
    },
    "steps": {
        "Real NVP: slope of the remainder, off 2": ("<=", 0.1),
        "NICE inside a region: remainder": ("<=", 1e-13),
    },
    "helix": {
        "data: median distance to the helix": (">=", 1.0),
        "base: median distance to the helix": ("<=", 0.15),
        "data: successes of 100": (">=", 95),
        "base: successes of 100": (">=", 95),
    },
    "tube_width": {
        "slope across the circle": ("in 1.7 ..", 2.3),
        "slope along the circle": ("in -0.2 ..", 0.2),
    },
    "two_moons": {
        "Monte Carlo less the exact mass, in half widths": ("<=", 1.0),
        "masses and the rest, off 1": ("<=", 1e-12),
        "exact counterfactuals certified, of 20": (">=", 20),
        "least ratio of distances, gradient to exact": (">=", 1.0),
    },
    "digits": {
        "bits per dimension less those of independent normals": ("<=", 0.0),
        "difference of agreement, points": (">=", 30),
    },
    "diabetes": {f"base, {way}: percent above the 5th percentile": (">=", 50) for way in ("down", "up")},
    "lattice": {
        "free field: share of effective samples": (">=", 0.99),
        "free field: log partition function, off the known one": ("<=", 0.01),
        "phi^4: share of effective samples": (">=", 0.5),
    },
    "counting": {
        **{f"base, {way}: oracle counts as asked, percent": (">=", 50) for way in ("fewer", "more")},
        **{f"base, {way}: above the 5th percentile, percent": (">=", 50) for way in ("fewer", "more")},
        "base, fewer: near the data, percent": (">=", 50),
    },
    "digit_spectrum": {"sum of log singular values, off the log-determinant": ("<=", 1e-9)},
    "likelihoods": {},
    "intrinsic_dimension": {"largest of the three least errors": ("<=", 0.3)},
}


def disturbed(flow: flows.Flow, size: float = 0.2) -> flows.Flow:
    """A flow with weights far from their start."""
    rng = np.random.default_rng(0)
    for values in flow.parameters():
        values.data += size * torch.tensor(rng.standard_normal(tuple(values.shape)))
    return flow


def families() -> dict[str, flows.Flow]:
    """One flow of each kind."""
    made = {
        "nice": flows.nice(4, couplings=4, hidden=(16,), linear=True),
        "nice with splines": flows.nice(3, couplings=4, hidden=(16,), knots=5),
        "realnvp": flows.realnvp(4, couplings=6, hidden=(32, 32), normalised=True),
        "additive glow": flows.glow((1, 8, 8), additive=True, steps=2, hidden=8),
        "glow": flows.glow((1, 8, 8), steps=2, hidden=8),
        "multi-scale realnvp": flows.multiscale_realnvp((1, 8, 8), couplings=2, hidden=8),
    }
    return {name: disturbed(flow, 0.1) for name, flow in made.items()}


def integral(flow: flows.Flow, n: int = 1000) -> float:
    """The integral of a density over a box of the plane that holds its samples with room, by midpoints."""
    x = flow.sample(100_000, np.random.default_rng(0)).numpy()
    low, high = x.min(axis=0), x.max(axis=0)
    low, high = low - 0.3 * (high - low), high + 0.3 * (high - low)
    ticks = low[:, None] + (high - low)[:, None] * (np.arange(n) + 0.5) / n
    grid = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        return float(flow.log_prob(grid).exp().sum() * np.prod((high - low) / n))


def identities() -> Figures:
    """The largest errors over all kinds of flows."""
    logdet_error = inverse_error = spectrum_error = lowered_error = 0.0
    for flow in families().values():
        z = torch.tensor(np.random.default_rng(1).standard_normal((8, flow.dim)))
        with torch.no_grad():
            x, logdet = flow.forward(z)
            back = flow.inverse(x)[0]
        expected = np.linalg.slogdet(flows.jacobian(flow, z))[1]
        logdet_error = max(logdet_error, float(np.abs(expected - logdet.numpy()).max()))
        inverse_error = max(inverse_error, float((back - z).abs().max()))
        total = np.log(flows.jacobian_spectrum(flow, x)).sum(axis=1)
        spectrum_error = max(spectrum_error, float(np.abs(total - logdet.numpy()).max()))
        if flow.is_piecewise_linear:
            for direction, here, there in (("forward", z, x), ("inverse", x, z)):
                values = flows.lower(flow, direction)(here.numpy())
                lowered_error = max(lowered_error, float(np.abs(values - there.numpy()).max()))
    integrals = [
        integral(disturbed(make(2, couplings=4, hidden=(16,)), 0.1)) for make in (flows.nice, flows.realnvp)
    ]
    return {
        "log-determinant against autograd's Jacobian": logdet_error,
        "inverse of forward": inverse_error,
        "sum of log singular values against it": spectrum_error,
        "lowered network against the flow, both ways": lowered_error,
        "integral of the density, off 1": max(abs(total - 1) for total in integrals),
    }


def pieces(flow: flows.Flow, x: np.ndarray) -> np.ndarray:
    """The sides of all LeakyReLU units of a flow's conditioners at data points, ``bool[B, units]``."""
    sides: list[np.ndarray] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        sides.append((inputs[0] > 0).numpy())

    units = [module for module in flow.modules() if isinstance(module, torch.nn.LeakyReLU)]
    hooks = [unit.register_forward_hook(note) for unit in units]
    flows.base_points(flow, x)
    for hook in hooks:
        hook.remove()
    return np.concatenate(sides, axis=1)


def steps() -> Figures:
    """Gradient steps in base space against natural steps."""

    def score(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x[:, 0]) + x[:, 1] ** 2

    def remainder(flow: flows.Flow, x: np.ndarray, size: float) -> np.ndarray:
        return flows.base_step(score, flow, x, size) - flows.natural_step(score, flow, x, size)

    smooth = disturbed(flows.realnvp(3, couplings=6, hidden=(32,)))
    x = smooth.sample(50, np.random.default_rng(0)).numpy()
    sizes = np.geomspace(1e-3, 1e-5, 5)
    before = pieces(smooth, x)
    unchanged = np.ones(len(x), dtype=bool)  # a breakpoint of a conditioner adds a remainder of first order
    for size in sizes:
        unchanged &= (pieces(smooth, flows.base_step(score, smooth, x, size)) == before).all(axis=1)
    x = x[unchanged]
    slope = np.polyfit(np.log(sizes), [np.log(np.linalg.norm(remainder(smooth, x, s))) for s in sizes], 1)[0]
    nice = disturbed(flows.nice(3, couplings=4, hidden=(16,), knots=3))
    x = nice.sample(200, np.random.default_rng(0)).numpy()
    network = flows.lower(nice)
    ends = [flows.base_points(nice, points) for points in (x, flows.base_step(score, nice, x, 1e-3))]
    stayed = (network.pattern(ends[0]) == network.pattern(ends[1])).all(axis=1)
    return {
        "Real NVP: slope of the remainder, off 2": abs(float(slope) - 2),
        "Real NVP: points whose conditioners stay on their pieces, of 50": int(unchanged.sum()),
        "NICE inside a region: remainder": float(np.abs(remainder(nice, x, 1e-3)[stayed]).max()),
        "points that stayed, of 200": int(stayed.sum()),
    }


def of_example(name: str, options: argparse.Namespace) -> tuple[Figures, str, Callable[[Path], None] | None]:
    """Figures, a table, and how to draw the picture, of an example."""
    module = importlib.import_module(name)
    more = {"mnist": options.mnist} if name == "intrinsic_dimension" else {}
    result = module.measure(options.full, options.share, **more)
    figures = dict(result["figures"])
    if name == "two_moons":
        gap = abs(figures["Monte Carlo"] - figures["mass of class 1"])
        figures["Monte Carlo less the exact mass, in half widths"] = (
            gap / figures["Monte Carlo, 99 % half width"]
        )
    if name == "digits":
        figures["bits per dimension less those of independent normals"] = (
            figures["bits per dimension"] - figures["bits per dimension, independent normals"]
        )
    draw = (lambda path: module.plot(result, path)) if hasattr(module, "plot") else None
    return figures, module.table(result["rows"]) if "rows" in result else "", draw


def met(value: float, bar: tuple[str, float]) -> bool:
    """Whether a figure reaches its bar."""
    how, limit = bar
    if how.startswith("in"):
        return float(how.split()[1]) <= value <= limit
    return value <= limit if how == "<=" else value >= limit


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One experiment: its figures with bars, CPU seconds, and its picture."""
    wall, cpu = time.perf_counter(), time.process_time()
    own = {"identities": identities, "steps": steps}
    if name in own:
        figures, extra, draw = own[name](), "", None
    else:
        figures, extra, draw = of_example(name, options)
    bars = BARS[name]
    rows = [
        {
            "figure": figure,
            "value": value,
            "bar": "" if figure not in bars else f"{bars[figure][0]} {bars[figure][1]:g}",
            "met": "" if figure not in bars else ("yes" if met(value, bars[figure]) else "NO"),
        }
        for figure, value in figures.items()
    ]
    picture = ""
    if draw and options.write:
        picture = f"flows_{titled(name, options.full)}.png"
        draw(options.write / picture)
    return {
        "protocol": "full" if options.full else "reduced",
        "rows": rows,
        "table": extra,
        "picture": picture,
        "cpu s": time.process_time() - cpu,
        "wall s": time.perf_counter() - wall,
    }


def titled(name: str, full: bool) -> str:
    """What the table of an experiment is called."""
    return f"{name}_full" if full else name


def page(where: dict[str, str], experiments: dict[str, Any], note: str) -> list[str]:
    """All experiments as Markdown."""
    parts = [title(__doc__), in_words(where, note)]
    for name, found in experiments.items():
        parts += [
            f"## {name.replace('_', ' ')}",
            f"{found['protocol'].capitalize()} protocol, {found['cpu s']:.0f} CPU s, "
            f"{found['wall s']:.0f} wall s.",
            table(
                ["figure", "value", "bar", "met"],
                [[row[key] for key in ("figure", "value", "bar", "met")] for row in found["rows"]],
            ),
        ]
        parts += [found["table"]] if found["table"] else []
        parts += [f"![{name}]({found['picture']})"] if found["picture"] else []
    return parts


def main() -> int:
    """Run, print, write."""
    known_options = parser(__doc__)
    known_options.add_argument("names", nargs="*", choices=[[], *BARS], default=[])
    known_options.add_argument("--full", action="store_true")
    known_options.add_argument(
        "--share", type=float, default=1.0, help="of the training steps, to try it out"
    )
    known_options.add_argument("--mnist", type=Path)
    options = known_options.parse_args()
    done = {titled(name, options.full): run(name, options) for name in options.names or BARS}
    record = options.write / "flows.json" if options.write else None
    known: dict[str, Any] = {}
    if record and record.exists() and (options.names or options.full):
        known = json.loads(record.read_text())["experiments"]
    where = environment("torch") | {"threads": str(torch.get_num_threads())}
    titles = [titled(name, full) for name in BARS for full in (False, True)]
    experiments = {name: (known | done)[name] for name in titles if name in known | done}
    results = {"machine": where, "experiments": experiments}
    publish(__file__, page(where, experiments, options.note), results, options.write)
    return int(any(row["met"] == "NO" for found in done.values() for row in found["rows"]))


if __name__ == "__main__":
    sys.exit(main())
