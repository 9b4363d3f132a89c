"""What exactness costs: the likelihood of piecewise-linear flows beside that of Real NVP, at equal time.

    python examples/flows/likelihoods.py

Two moons, diabetes and 8 x 8 digits, three seeds. On each the models train for the same CPU seconds, and the
table shows the mean over seeds of -log q at data they have not seen, with the least and the greatest.
Additive couplings, with LU layers in front (``linear=True``) and with splines (``knots=``), and additive Glow
have exact regions; Real NVP and affine Glow have none. Estimates: they depend on seeds and on the machine.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from digits import LEVELS, data
from experiment import show
from sklearn.datasets import load_diabetes
from two_moons import moons

from polytope import flows

SEEDS = 3
Sampler = Callable[[np.random.Generator, int], np.ndarray]
Model = Callable[[np.random.Generator], flows.Flow]


def coupled(dim: int, hidden: int, couplings: int) -> dict[str, Model]:
    """Models of vectors; the conditioners of Real NVP are twice as many."""
    additive = partial(flows.nice, dim, couplings=couplings, hidden=(hidden,))
    real = partial(flows.realnvp, dim, couplings=couplings, hidden=(hidden, hidden), normalised=True)
    return {
        "additive": lambda rng: additive(linear=False, rng=rng),
        "additive, LU": lambda rng: additive(linear=True, rng=rng),
        "additive, LU, splines": lambda rng: additive(linear=True, knots=8, rng=rng),
        "Real NVP": lambda rng: real(rng=rng),
    }


def of_images(rng: np.random.Generator, additive: bool) -> flows.Flow:
    """Glow as in ``digits.py``; its 1 x 1 convolutions are LU layers of channels."""
    core = flows.glow((1, 8, 8), additive=additive, levels=2, steps=4, hidden=32, rng=rng)
    return flows.Flow([*core.ordered, flows.ActNorm(64)], shape=(1, 8, 8)).float()


def of_images_real(rng: np.random.Generator) -> flows.Flow:
    """Multi-scale Real NVP as published, with a scaling of every pixel."""
    core = flows.multiscale_realnvp((1, 8, 8), couplings=3, hidden=32, rng=rng)
    return flows.Flow([*core.ordered, flows.ActNorm(64)], shape=(1, 8, 8)).float()


def diabetes() -> tuple[Sampler, np.ndarray, int]:
    """Ten standardised columns with the noise of ``diabetes.py``: batches, and 142 patients set aside."""
    x = load_diabetes().data
    x = x[np.random.default_rng(0).permutation(len(x))] / x.std(axis=0)

    def noisy(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        return x[rows] + 0.2 * (rng.random((len(rows), x.shape[1])) - 0.5)

    kept = noisy(np.random.default_rng(1), np.repeat(np.arange(142), 20))
    return lambda rng, n: noisy(rng, rng.integers(142, len(x), n)), kept, x.shape[1]


def images() -> tuple[Sampler, np.ndarray]:
    """Dequantised digits: batches, and images set aside."""
    x, _, kept, _ = data()

    def some(rng: np.random.Generator, n: int) -> np.ndarray:
        return x[rng.integers(len(x), size=n)] + rng.random((n, 64)) / LEVELS

    return some, kept + np.random.default_rng(1).random(kept.shape) / LEVELS


def fit_for(flow: flows.Flow, sample: Sampler, seconds: float, batch: int, rate: float, seed: int) -> int:
    """Train for so many CPU seconds: the steps of that time, by the time of the first twenty."""
    rng = np.random.default_rng(seed)
    options = {"batch_size": batch, "learning_rate": rate, "rng": rng}
    flows.fit(flow, sample, steps=5, **options)
    start = time.process_time()
    flows.fit(flow, sample, steps=20, **options)
    steps = max(1, int(20 * seconds / (time.process_time() - start)))
    flows.fit(flow, sample, steps=steps, **options)
    return steps


def unlikelihood(models: Mapping[str, Model], sample: Sampler, kept: np.ndarray, **options: float) -> list:
    """A row for each model: -log q in nats for each dimension at data set aside."""
    rows = []
    for name, make in models.items():
        told, steps, start = [], [], time.process_time()
        for seed in range(SEEDS):
            flow = make(np.random.default_rng(seed))
            steps.append(fit_for(flow, sample, seed=seed, **options))
            with torch.no_grad():
                told.append(-float(flow.log_prob(kept).mean()) / flow.dim)
        exact = flow.is_piecewise_linear
        used = (time.process_time() - start) / SEEDS
        rows.append({"model": name, "exact": exact, "nats": told, "steps": np.mean(steps), "CPU s": used})
    return rows


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Figures and rows; ``share`` of the seconds, to try the script."""
    patients, set_aside, columns = diabetes()
    pictures, unseen = images()
    plane = moons(np.random.default_rng(1), 20_000)[0]
    glow = {
        "additive Glow": partial(of_images, additive=True),
        "Glow": partial(of_images, additive=False),
        "Real NVP": of_images_real,
    }
    seconds = share * (4 if full else 1)
    rows = {
        "two moons": unlikelihood(
            coupled(2, 12, 6), lambda g, n: moons(g, n)[0], plane, seconds=6 * seconds, batch=300, rate=1e-2
        ),
        "diabetes": unlikelihood(
            coupled(columns, 16, 4), patients, set_aside, seconds=1 * seconds, batch=128, rate=3e-3
        ),
        "digits": unlikelihood(glow, pictures, unseen, seconds=10 * seconds, batch=128, rate=2e-3),
    }
    figures = {}
    for name, models in rows.items():
        nats = {row["model"]: float(np.mean(row["nats"])) for row in models}
        best = min((row["model"] for row in models if row["exact"]), key=lambda model: nats[model])
        figures[f"{name}: best flow with exact regions"] = best
        figures[f"{name}: that one less Real NVP, nats for each dimension"] = nats[best] - nats["Real NVP"]
        if "additive, LU" in nats:
            figures[f"{name}: with LU layers less without, nats for each dimension"] = (
                nats["additive, LU"] - nats["additive"]
            )
    return {"figures": figures, "rows": rows}


def table(rows: dict[str, list]) -> str:
    """Rows as Markdown."""
    lines = [
        "| data | model | regions | nats for each dimension | steps | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for name, models in rows.items():
        for row in models:
            told = np.array(row["nats"])
            spread = f"{told.mean():.3f} ({told.min():.3f} to {told.max():.3f})"
            exact = "exact" if row["exact"] else "none"
            lines.append(
                f"| {name} | {row['model']} | {exact} | {spread} | {row['steps']:.0f} | {row['CPU s']:.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    show(__doc__, measure, table=table, options=["full", "share"])
