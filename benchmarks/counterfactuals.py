"""How soon are exact counterfactuals behind flows known, in 6, 16, 64 and 784 dimensions?

``python benchmarks/counterfactuals.py [--seconds 2 10 30] [--points 2] [--write benchmarks/results]``

For additive flows of two couplings with random weights and a classifier of one hidden layer behind them, the
least distance in base space to the class of the second largest output: both proved ends, and the gap between
them, with one budget after the other until it is closed.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt
from polytope import flows

SIZES = {6: 16, 16: 16, 64: 32, 784: 64}  # dimensions -> hidden units of each conditioner and the classifier


def flow_of(dim: int, hidden: int) -> flows.Flow:
    """A flow whose couplings move every coordinate by about as much, whatever their number."""
    flow, rng = flows.nice(dim, couplings=2, hidden=(hidden,)), np.random.default_rng(0)
    for values in flow.parameters():
        values.data += 0.3 / np.sqrt(dim) * torch.tensor(rng.standard_normal(tuple(values.shape)))
    return flow


def classifier(dim: int, hidden: int) -> pt.Network:
    """Three classes by one hidden layer."""
    rng = np.random.default_rng(1)
    first = rng.standard_normal((hidden, dim)) / np.sqrt(dim), 0.1 * rng.standard_normal(hidden)
    return pt.mlp([first, (rng.standard_normal((3, hidden)) / np.sqrt(hidden), np.zeros(3))])


def rows(dim: int, hidden: int, points: int, budgets: list[float]) -> list[dict[str, Any]]:
    """Both ends for some points."""
    flow, model, found = flow_of(dim, hidden), classifier(dim, hidden), []
    for number, x in enumerate(flow.sample(points, np.random.default_rng(3)).numpy()):
        target = int(model(x[None])[0].argsort()[-2])
        row: dict[str, Any] = {"dimensions": dim, "point": number, "lower": 0.0, "distance": np.inf}
        row |= {f"gap % at {seconds:g} s": "" for seconds in budgets}
        for seconds in budgets:
            begun, cpu = time.perf_counter(), time.process_time()
            near = flows.exact_counterfactual(model, flow, x, target, max_seconds=seconds)
            row |= {"lower": near.lower_bound, "distance": near.distance, "certified": near.certified}
            row[f"gap % at {seconds:g} s"] = 100 * (1 - near.lower_bound / near.distance)
            row |= {"last s": time.perf_counter() - begun, "last CPU s": time.process_time() - cpu}
            if near.certified:
                break
        found.append(row)
    return found


def main() -> None:
    """Measure, print, write."""
    options = parser(__doc__)
    options.add_argument("--seconds", nargs="+", type=float, default=[2.0, 10.0, 30.0])
    options.add_argument("--points", type=int, default=2)
    chosen = options.parse_args()
    record = [
        row for dim, hidden in SIZES.items() for row in rows(dim, hidden, chosen.points, chosen.seconds)
    ]
    where = environment("torch")
    about = f"Load {os.getloadavg()[0]:.1f} at the end. {chosen.note}"
    publish(
        __file__, [title(__doc__), in_words(where, about), table_of(record)], {"rows": record}, chosen.write
    )


if __name__ == "__main__":
    main()
