"""Is the next checkpoint of a training run enumerated faster from the previous result than from scratch?

``python benchmarks/tracking.py [--write benchmarks/results]``. The first table follows the twenty checkpoints
of ``examples/track_training.py`` (64-32-16-10 on digits; in the last five only the output layer learns)
through windows of two to four dimensions. The second says what an earlier result could save in a complete
search after a small random step (1e-3 of the weights): least seconds of five runs, in microseconds a region.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

EPOCHS, HEAD_ONLY = 20, 5
NETWORKS = ("2-128-128-128-1", "3-32-32-1", "4-32-32-1", "6-16-16-1", "8-12-12-1", "10-12-12-1")


def least(function: Callable[[], Any], repeats: int = 5) -> float:
    """The least seconds of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def follow(images: int) -> list[dict[str, Any]]:
    """One window through all checkpoints."""
    from track_training import checkpoints, window

    through, box = window(images)
    networks = [network.restrict(through) for network in checkpoints(EPOCHS, HEAD_ONLY)]
    before = pt.enumerate_regions(networks[0], box)
    rows = []
    for number, network in enumerate(networks[1:], start=1):
        tracked = pt.track(before, network)
        scratch = least(lambda network=network: pt.enumerate_regions(network, box))
        tracking = least(lambda before=before, network=network: pt.track(before, network))
        rows.append(
            {
                "dimensions": box.dim,
                "checkpoint": number,
                "regions": len(tracked.regions),
                "stayed": len(tracked.stayed),
                "born": len(tracked.born),
                "died": len(tracked.died),
                "searched": tracked.searched,
                "track_ms": round(1e3 * tracking, 2),
                "scratch_ms": round(1e3 * scratch, 2),
            }
        )
        before = tracked.regions
    return rows


def weights(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Torch's default initialisation with seed 0."""
    import torch

    torch.manual_seed(0)
    modules = [torch.nn.Linear(m, n, dtype=torch.float64) for m, n in pairwise(map(int, name.split("-")))]
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in modules]


def savings(name: str) -> dict[str, Any]:
    """What is known of one network, held against a search for the regions of the next."""
    given = weights(name)
    rng = np.random.default_rng(0)
    step = [
        tuple(a + 1e-3 * np.abs(a).mean() * rng.standard_normal(a.shape) for a in layer) for layer in given
    ]
    old, new = pt.mlp(given), pt.mlp(step)
    d, last = old.input_dim, len(given) - 2
    box = pt.Polyhedron.box([-1.0] * d, [1.0] * d)
    before = pt.enumerate_regions(old, box)
    tracked = pt.track(before, new)
    front = pt.mlp([*step[:last], (np.ones((1, len(step[last - 1][1]))), [0.0])])
    n = len(tracked.regions)
    seconds = {
        "search": least(lambda: pt.enumerate_regions(new, box)),
        "count": least(lambda: pt.count_regions(new, box)),
        "patterns at the old points": least(lambda: new.pattern(before.interior_points)),
        "all layers but the last": least(lambda: pt.count_regions(front, box)),
    }
    walk = pt.enumerate_regions(new, box, pt.FacetFlip(order="hops"), max_regions=200)
    return {
        "network": name,
        "regions": n,
        "stayed %": round(100 * len(tracked.stayed) / n, 1),
        **{key: round(1e6 * value / n, 2) for key, value in seconds.items()},
        "walk over facets": round(1e6 * walk.seconds / len(walk)),
    }


def main() -> None:
    """Run everything; print, and write if asked to."""
    import torch

    chosen = parser(__doc__).parse_args()
    torch.set_num_threads(1)
    checkpoints = [row for images in (3, 4, 5) for row in follow(images)]
    sums = [
        {
            "dimensions": d,
            "checkpoints": "searched" if searched else "only the head learned",
            "number": len(group),
            "regions": sum(row["regions"] for row in group),
            "track_ms": round(sum(row["track_ms"] for row in group), 1),
            "scratch_ms": round(sum(row["scratch_ms"] for row in group), 1),
        }
        for d in (2, 3, 4)
        for searched in (True, False)
        if (group := [r for r in checkpoints if (r["dimensions"], r["searched"]) == (d, searched)])
    ]
    saved = [savings(name) for name in NETWORKS]
    where = environment("torch")
    page = [
        title(__doc__),
        in_words(where, chosen.note),
        "Sums over the checkpoints of each window:",
        table_of(sums),
        "Microseconds a region of the next checkpoint. *Search* and *count* are complete; the *patterns at "
        "the old points* only find regions that stayed and prove nothing about others; *all layers but the "
        "last* is the count that layers in front would spare if they had not changed; the *walk over "
        "facets* is FacetFlip's, the cost of closing the old regions under their facets.",
        table_of(saved),
        "Every checkpoint:",
        table_of(checkpoints),
    ]
    record = {"versions": where, "note": chosen.note, "checkpoints": checkpoints, "savings": saved}
    publish(__file__, page, record, chosen.write)


if __name__ == "__main__":
    main()
