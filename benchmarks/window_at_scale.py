r"""What is counted in a minute of a window through three images of a ResNet18-sized network at 224 x 224?

Segments: `segment_crossings` cuts them layer after layer, from one end on. The window: at a random point t
pre-activations and their derivatives, from one pass with tangents, say where each unit would change its
piece: the least of these bound the whole region around t, as regions are convex. Kept are crossings and sides
of polygons, no pattern: memory does not grow with units times regions. Signs and places are those of float64.

Run: ``python benchmarks/window_at_scale.py [--size 224] [--seconds 60] [--device cpu] [--write FOLDER]``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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


def exact_row() -> dict[str, Any]:
    """The same crossings against exact ones, of a network that ``crossings`` decides."""
    torch.manual_seed(0)
    module = residual((4, 4, 8), 3)
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    network = adapters.from_torch(module, images[:1])
    a, b = images.flatten(1).numpy()
    start = time.perf_counter()
    exact = pt.crossings(network, a, b)
    lasted = time.perf_counter() - start
    start = time.perf_counter()
    found = pt.segment_crossings(network, a, b)
    assert exact.complete
    assert found.complete
    assert found.units.tolist() == np.concatenate(exact.units).tolist()
    off = np.abs(found.t - np.repeat(exact.t, [len(units) for units in exact.units])).max()
    return {
        "network": f"{network.n_units:,} units, 16 x 16",
        "exact crossings": len(exact),
        "exact s": lasted,
        "in float64": len(found),
        "float64 s": time.perf_counter() - start,
        "parameters differ by": off,
    }


def main() -> None:
    """Count, and print what share was counted."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=224)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    checked = exact_row()
    torch.manual_seed(0)
    module = residual().to(chosen.device)
    images = torch.rand(3, 3, chosen.size, chosen.size, dtype=torch.float64).to(chosen.device)
    network = adapters.from_torch(module, images[:1])
    a, b, _ = images.flatten(1).cpu().numpy()
    first, rows = peak_memory(), []
    for what, length in SEGMENTS.items():
        start = time.perf_counter()
        limits = {"max_seconds": chosen.seconds, "device": chosen.device}
        found = pt.segment_crossings(network, a, a + length * (b - a), **limits)
        share = float(found.reach[0])
        rows.append(_row(what, found.complete, share, time.perf_counter() - start, crossings=len(found)))
    ways = [images[1] - images[0], images[2] - images[0]]
    start = time.perf_counter()
    window = polygons(rays(module, images[0], ways), chosen.seconds, chosen.batch, np.random.default_rng(0))
    lasted = time.perf_counter() - start
    counted = {"regions": window["regions"]}
    rows.append(_row("window [-1, 2]^2 through three", False, window["covered"], lasted, **counted))
    where = environment("torch") | {"device": str(chosen.device)}
    page = [
        title(__doc__),
        in_words(where, chosen.note),
        f"{network.n_units:,} units at {chosen.size} x {chosen.size}, random weights and images (none that "
        f"are trained are bundled). Peak memory {peak_memory():,.0f} MB, of which {first:,.0f} MB are there "
        "before the first pass. Counts are of float64, estimates: crossings are all of the share of the "
        "segment that was searched; a region of the window is counted once its whole polygon is known.",
        table_of(rows),
        "The same search, of a network small enough for the exact search:",
        table_of([checked]),
    ]
    publish(__file__, page, {"machine": where, "rows": rows, "checked": checked}, chosen.write)


def _row(what: str, complete: bool, share: float, seconds: float, **counted: int) -> dict[str, Any]:
    return {
        "domain": what,
        "crossings": counted.get("crossings"),
        "regions": counted.get("regions"),
        "share searched": share,
        "complete": complete,
        "s": round(seconds, 1),
        "memory MB": round(peak_memory()),
    }


if __name__ == "__main__":
    main()
