r"""What is counted in a minute of a window through three images of a ResNet18-sized network at 224 x 224?

At a point t of a segment or window, pre-activations and their derivatives along it, from one pass with
tangents, say where each unit would change its piece: the least of these bounds the whole region around t, as
regions are convex. Points are taken in batches where nothing is known yet. Kept are ends of stretches and
sides of polygons, no pattern: memory does not grow with units times regions. Signs and ends are those of
float64; a segment is complete where every region begins with the very flip that ends the one in front of it.

Run: ``python benchmarks/window_at_scale.py [--size 224] [--seconds 60] [--device cpu] [--write FOLDER]``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from harness import environment, in_words, parser, publish, table_of, title
from import_models import peak_memory
from scipy.spatial import ConvexHull
from torch import Tensor, nn

import adapters
import polytope as pt

SEGMENTS = {"segment between two images": 1.0, "a thousandth of it": 1e-3, "a millionth of it": 1e-6}
Rays = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""Points ``[B, k]`` to pre-activations ``[B, units]`` and their derivatives ``[B, k, units]``."""


class Block(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self, read: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(read, width, 3, stride, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        same = stride == 1 and read == width
        self.skip = nn.Identity() if same else nn.Conv2d(read, width, 1, stride)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        """Their sum, cut off at zero."""
        return self.relus[1](self.second(self.relus[0](self.first(x))) + self.skip(x))


def residual(widths: Sequence[int] = (64, 64, 128, 256, 512), classes: int = 1000) -> nn.Sequential:
    """ResNet18 with its normalisations folded, an average in place of its maximum, and random weights."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 7, 2, 3), nn.ReLU(), nn.AvgPool2d(3, 2, 1)]
    for i in range(len(widths) - 1):
        layers += [
            Block(widths[i], widths[i + 1], 1 if i == 0 else 2),
            Block(widths[i + 1], widths[i + 1], 1),
        ]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return module.double().eval()


def rays(module: nn.Module, base: Tensor, directions: Sequence[Tensor]) -> Rays:
    """Pre-activations on ``base + sum_i t_i directions_i``, all units of all ReLUs."""
    relus = [layer for layer in module.modules() if isinstance(layer, nn.ReLU)]

    def passed(x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        kept = [r.register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1))) for r in relus]
        module(x)
        for hook in kept:
            hook.remove()
        return torch.cat(seen, dim=1)

    def at(t: np.ndarray) -> tuple[Tensor, Tensor]:
        places = torch.from_numpy(t).to(base)
        x = base + sum(places[:, i].reshape(-1, 1, 1, 1) * d for i, d in enumerate(directions))
        slopes = []
        with torch.no_grad():
            for d in directions:
                z, slope = torch.func.jvp(passed, (x,), (d.expand_as(x).contiguous(),))
                slopes.append(slope)
        return z, torch.stack(slopes, dim=1)

    return at


@dataclass(frozen=True)
class Stretch:
    """A region on a segment.

    Arguments:
        start, end: where it begins and ends.
        key: a sum of random whole numbers over the units that are on.
        before, behind: the keys of the regions in front of it and behind it, ``None`` at the segment's ends.
    """

    start: float
    end: float
    key: int
    before: int | None
    behind: int | None


def stretches(at: Rays, seconds: float, batch: int, rng: np.random.Generator) -> dict[str, Any]:
    """The regions on a segment, t in [0, 1]: complete where each begins with the flip that ends the last."""
    found: dict[int, Stretch] = {}
    end, passes, t, keys = time.perf_counter() + seconds, 0, (np.arange(batch) + 0.5) / batch, None
    while len(t) and time.perf_counter() < end:
        z, slope = at(t[:, None])
        if keys is None:
            keys = torch.from_numpy(rng.integers(-(2**62), 2**62, z.shape[1])).to(z.device)
        passes += len(t)
        found |= {s.key: s for s in _around(t, z, slope[:, 0], keys)}
        row = sorted(found.values(), key=lambda s: s.start + s.end)
        t = _between(row)[:batch]
    return {
        "regions": len(found),
        "covered": sum(s.end - s.start for s in found.values()),
        "complete": not len(t),
        "passes": passes,
        "ends": np.array([[s.start, s.end] for s in row]),
    }


def _around(t: np.ndarray, z: Tensor, slope: Tensor, keys: Tensor) -> list[Stretch]:
    """The regions around points: all units keep their piece up to the nearest crossing on either side."""
    steps = -z / slope
    right, last = torch.where(steps > 0, steps, torch.inf).min(dim=1)
    left, first = torch.where(steps < 0, steps, -torch.inf).max(dim=1)
    own = torch.where(z > 0, keys, 0).sum(dim=1)
    found = []
    for i, place in enumerate(t):
        ends = []
        for step, unit in ((left[i], first[i]), (right[i], last[i])):
            flipped = own[i] + torch.where(z[i, unit] > 0, -keys[unit], keys[unit])
            at_end = place + float(step)
            ends.append((min(max(at_end, 0.0), 1.0), int(flipped) if 0 < at_end < 1 else None))
        (start, before), (end, behind) = ends
        found.append(Stretch(start, end, int(own[i]), before, behind))
    return found


def _between(row: Sequence[Stretch]) -> np.ndarray:
    """Points in the gaps where something is left to find, the longest first."""
    pairs = [(None, row[0]), *pairwise(row), (row[-1], None)]
    gaps = [(a.end if a else 0.0, b.start if b else 1.0) for a, b in pairs if not _meet(a, b)]
    gaps.sort(key=lambda gap: gap[0] - gap[1])
    return np.array([(low + high) / 2 for low, high in gaps])


def _meet(a: Stretch | None, b: Stretch | None) -> bool:
    """Whether nothing lies between two regions, or a region and an end of the segment."""
    if a is None or b is None:
        return (a.behind if a else b.before if b else 0) is None
    return a.behind == b.key and b.before == a.key


def polygons(at: Rays, seconds: float, batch: int, rng: np.random.Generator) -> dict[str, Any]:
    """Regions of a window, t in [-1, 2]^2, at random points, each once: their number and share of area."""
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    area, passes, again, end = 0.0, 0, 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        t = rng.uniform(-1, 2, (batch, 2))
        z, slope = at(t)
        passes += batch
        for place, values, gradients in zip(t, z.cpu().numpy(), slope.cpu().numpy(), strict=True):
            if any((normals @ place <= offsets).all() for normals, offsets in kept):
                again += 1
                continue
            normals, offsets, size = _polygon(place, values, gradients)
            kept.append((normals, offsets))
            area += size
    return {"regions": len(kept), "covered": area / 9, "complete": False, "passes": passes, "again": again}


def _polygon(place: np.ndarray, z: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Half-planes and area of the region around a point, by the hull of its dual points."""
    normals = np.concatenate([(-np.sign(z) * slope).T, [[1, 0], [-1, 0], [0, 1], [0, -1]]])
    offsets = np.concatenate([np.abs(z), 2 - place[:1], place[:1] + 1, 2 - place[1:], place[1:] + 1])
    dual = normals / offsets[:, None]
    facets = ConvexHull(dual)
    corners = -facets.equations[:, :2] / facets.equations[:, 2:]
    rows = facets.vertices
    return normals[rows], offsets[rows] + normals[rows] @ place, float(ConvexHull(corners).volume)


def exact_row(seconds: float) -> dict[str, Any]:
    """The same stretches against exact ones, of a network that ``crossings`` decides."""
    torch.manual_seed(0)
    module = residual((4, 4, 8), 3)
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    network = adapters.from_torch(module, images[:1])
    a, b = images.flatten(1).numpy()
    start = time.perf_counter()
    exact = pt.crossings(network, a, b)
    lasted = time.perf_counter() - start
    start = time.perf_counter()
    found = stretches(rays(module, images[0], [images[1] - images[0]]), seconds, 64, np.random.default_rng(0))
    assert exact.complete
    assert found["complete"]
    assert found["regions"] == len(exact) + 1
    off = np.abs(found["ends"][1:, 0] - exact.t).max()
    return {
        "network": f"{network.n_units:,} units, 16 x 16",
        "exact crossings": len(exact),
        "exact s": lasted,
        "passes": found["passes"],
        "batched s": time.perf_counter() - start,
        "ends differ by": off,
    }


def main() -> None:
    """Count, and print what share was counted."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=224)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    checked = exact_row(chosen.seconds)
    torch.manual_seed(0)
    module = residual().to(chosen.device)
    images = torch.rand(3, 3, chosen.size, chosen.size, dtype=torch.float64).to(chosen.device)
    first, rows = peak_memory(), []
    asked = (chosen.seconds, chosen.batch, np.random.default_rng(0))
    ways = [images[1] - images[0], images[2] - images[0]]
    for what, length in SEGMENTS.items():
        start = time.perf_counter()
        found = stretches(rays(module, images[0], [length * ways[0]]), *asked)
        rows.append(_row(what, found, time.perf_counter() - start))
    start = time.perf_counter()
    found = polygons(rays(module, images[0], ways), *asked)
    rows.append(_row("window [-1, 2]^2 through three", found, time.perf_counter() - start))
    units = int(rays(module, images[0], ways[:1])(np.zeros((1, 1)))[0].shape[1])
    where = environment("torch") | {"device": str(chosen.device)}
    page = [
        title(__doc__),
        in_words(where, chosen.note),
        f"{units:,} units at {chosen.size} x {chosen.size}, random weights and images (no trained ones are "
        f"bundled). Peak memory {peak_memory():,.0f} MB, of which {first:,.0f} MB are there before the first "
        "pass. Counts are of float64: a region is counted once its whole stretch or polygon is known; shares "
        "are of the length or area.",
        table_of(rows),
        "The same stretches, of a network small enough for the exact search:",
        table_of([checked]),
    ]
    publish(__file__, page, {"machine": where, "rows": rows, "checked": checked}, chosen.write)


def _row(what: str, found: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "domain": what,
        "regions counted": found["regions"],
        "share": float(found["covered"]),
        "complete": found["complete"],
        "passes": found["passes"],
        "s": round(seconds, 1),
        "memory MB": round(peak_memory()),
    }


if __name__ == "__main__":
    main()
