"""The verbs that take a time or a memory, as calls on a network, and the files that are hard for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import polytope as pt

Facts = dict[str, Any]
Verb = Callable[[pt.Network, float], Callable[[], Facts]]

LARGE = (
    "mnist_cnn_gap.onnx",
    "handlandmark_clip.onnx",
    "fsrcnn_x4.onnx",
    "tinyyolo.onnx",
    "blazeface_back.onnx",
    "bvae_encoder_split.onnx",
    "cifar_resnet_2b.onnx",
    "cifar_biasfield_0.onnx",
    "mnist_fc_256x2.onnx",
    "mtcnn_pnet_prelu.onnx",
    "lindex.onnx",
)
MIDDLE = (
    "mnist_cnn_gap.onnx",
    "fsrcnn_x4.onnx",
    "tinyyolo.onnx",
    "cifar_resnet_2b.onnx",
    "mnist_fc_256x2.onnx",
    "cgan_32_3.onnx",
    "acasxu_1_1.onnx",
)
FEW = ("cifar_resnet_2b.onnx", "mnist_fc_256x2.onnx", "cgan_32_3.onnx", "acasxu_1_1.onnx")
SMALL = ("cartpole.onnx", "acasxu_1_1.onnx", "lindex.onnx")


READ: dict[str, dict[str, Any]] = {
    "fsrcnn_x4.onnx": {"input_shape": (16, 16, 1)},
    "handlandmark_clip.onnx": {"until": "Identity"},
    "mtcnn_pnet_prelu.onnx": {"until": ["conv4-2_Y", "conv4-1_Y"]},
}
"""What files need to be read."""


def box(network: pt.Network) -> pt.Polyhedron:
    """The unit cube."""
    return pt.Polyhedron.box([0.0] * network.input_dim, [1.0] * network.input_dim)


def window(network: pt.Network) -> tuple[pt.Network, pt.Polyhedron]:
    """The network in a plane, and the part of the plane; the network itself where it has few inputs."""
    if network.input_dim <= 2:
        return network, pt.Polyhedron.box([-1.0] * network.input_dim, [1.0] * network.input_dim)
    points = np.random.default_rng(0).random((3, network.input_dim))
    return network.restrict(pt.Slice.through(*points)), pt.Polyhedron.box([-1.0, -1.0], [2.0, 2.0])


def found(regions: int, complete: bool) -> Facts:
    """What came of a search."""
    return {"found": f"{regions:,} regions", "complete": complete}


def counted(engine: Any, where: str) -> Verb:
    """``count_regions`` in a window, or in a box."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        inside, domain = window(network) if where == "window" else (network, box(network))

        def call() -> Facts:
            out = pt.count_regions(inside, domain, engine, max_seconds=seconds)
            return found(out.lower, out.complete) | {"stopped_by": out.stopped_by}

        return call

    return make


def enumerated(engine: Any, where: str) -> Verb:
    """``enumerate_regions`` in a window, or in a box."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        inside, domain = window(network) if where == "window" else (network, box(network))

        def call() -> Facts:
            out = pt.enumerate_regions(inside, domain, engine, max_seconds=seconds)
            return found(len(out), out.complete) | {"stopped_by": out.stopped_by}

        return call

    return make


def in_directory(workers: int) -> Verb:
    """``enumerate_regions`` of a window into a directory."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        inside, domain = window(network)

        def call() -> Facts:
            with TemporaryDirectory() as folder:
                engine = pt.LayerSplit(workers=workers)
                out = pt.enumerate_regions(
                    inside, domain, engine, max_seconds=seconds, directory=Path(folder) / "run"
                )
                return found(len(out), out.complete)

        return call

    return make


def radius(norm: float) -> Verb:
    """``robustness_radius`` at the middle of the cube, in the cube."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        domain, x = box(network), np.random.default_rng(1).random(network.input_dim)

        def call() -> Facts:
            out = pt.robustness_radius(network, x, norm, domain=domain, max_seconds=seconds)
            return {"found": f"{out.lower:.4g} to {out.value:.4g}", "complete": out.exact}

        return call

    return make


def unsafe(network: pt.Network) -> str:
    """A property: whether the first output can be larger than at any of many points of a smaller cube."""
    d, n = network.input_dim, network.output_dim
    highest = float(network(0.4 + 0.2 * np.random.default_rng(2).random((64, d)))[:, 0].max())
    lines = [f"(declare-const X_{i} Real)" for i in range(d)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(n)]
    lines += [f"(assert (>= X_{i} 0.4))\n(assert (<= X_{i} 0.6))" for i in range(d)]
    lines.append(f"(assert (>= Y_0 {highest + 3 * abs(highest) + 1:.9f}))")
    return "\n".join(lines)


def checked(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``check_property``."""
    stated = pt.read_property(unsafe(network))

    def call() -> Facts:
        out = pt.check_property(network, stated, max_seconds=seconds)
        return {"found": out.status, "complete": out.status != "undecided"}

    return call


def moved(network: pt.Network) -> pt.Network:
    """The network with biases of the first layer that are a millionth larger."""
    first = network.layers[0]
    return replace(network, layers=(replace(first, bias=first.bias + 1e-6), *network.layers[1:]))


def compared(where: str) -> Verb:
    """``equivalent`` of the network and another one, whose first layer differs too, within little."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        inside, domain = window(network) if where == "window" else (network, box(network))
        other = moved(inside)

        def call() -> Facts:
            out = pt.equivalent(inside, other, domain, tolerance=1.0, max_seconds=seconds)
            return {"found": out.status, "complete": out.status != "undecided"}

        return call

    return make


def tracked(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``track`` from what a search of a window finds in half a second."""
    inside, domain = window(network)
    before = pt.enumerate_regions(inside, domain, max_seconds=0.5)
    other = moved(inside)

    def call() -> Facts:
        out = pt.track(before, other, max_seconds=seconds).regions
        return found(len(out), out.complete) | {"stopped_by": out.stopped_by}

    return call


def proved(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``prove_units`` in the cube."""
    domain = box(network)

    def call() -> Facts:
        use = pt.prove_units(network, domain, max_seconds=seconds)
        return {"found": f"{int((use.fixed | use.varying).sum()):,} units", "complete": use.complete}

    return call


def simplified(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``simplify`` in the cube."""
    domain = box(network)

    def call() -> Facts:
        out = pt.simplify(network, domain, max_seconds=seconds)
        return {"found": f"{out.network.n_units:,} units left"}

    return call


def around(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``exact_local_complexity`` of one neighbourhood in a window."""
    inside, domain = window(network)
    x = domain.inscribed_ball[0][None]

    def call() -> Facts:
        out = pt.exact_local_complexity(inside, x, 0.5, max_seconds=seconds)
        low, high = int(out.regions_lower[0]), int(out.regions_upper[0])
        return {
            "found": f"{low:,} regions" if low == high else f"{low:,} regions or more",
            "complete": low == high,
        }

    return call


def audited(network: pt.Network, seconds: float) -> Callable[[], Facts]:
    """``audit`` with three data points, and its pages."""
    x = np.random.default_rng(0).random((3, network.input_dim))
    limits = pt.AuditBudget(max_seconds=seconds)
    tiny = pt.mlp([([[1.0, 0.0]], [0.1]), ([[1.0]], [0.0])])
    with TemporaryDirectory() as folder:  # loads what all audits load
        pt.audit(tiny, budget=pt.AuditBudget(max_seconds=0.1)).write_html(Path(folder) / "report.html")

    def call() -> Facts:
        with TemporaryDirectory() as folder:
            done = pt.audit(network, data=pt.Data(x), budget=limits)
            size = done.write_html(Path(folder) / "report.html").stat().st_size
        return {
            "found": f"{len(done.regions):,} regions",
            "complete": done.regions.complete,
            "page_mb": size / 2**20,
        }

    return call


MEMORY = 400 << 20  # bytes that a process may take, in the rows on memory


def within_memory(keep: bool) -> Verb:
    """A search of a window, or of the square of a small network, that may take ``MEMORY``."""

    def make(network: pt.Network, seconds: float) -> Callable[[], Facts]:
        inside, domain = window(network)
        verb = pt.enumerate_regions if keep else pt.count_regions

        def call() -> Facts:
            out: Any = verb(inside, domain, max_seconds=20 * seconds, max_memory=MEMORY)
            return found(out.lower, out.complete) | {"stopped_by": out.stopped_by}

        return call

    return make


VERBS: dict[str, tuple[Verb, Sequence[str]]] = {
    "count_regions, window": (counted(None, "window"), LARGE),
    "enumerate_regions, window": (enumerated(None, "window"), LARGE),
    "enumerate_regions, window, 2 threads": (enumerated(pt.LayerSplit(workers=2), "window"), MIDDLE),
    "enumerate_regions, window, lp": (enumerated(pt.LayerSplit(cells="lp"), "window"), MIDDLE),
    "enumerate_regions, window, highs": (
        enumerated(pt.LayerSplit(cells="lp", solver="highs"), "window"),
        MIDDLE,
    ),
    "enumerate_regions, box": (enumerated(None, "box"), FEW),
    "enumerate_regions, box, highs": (enumerated(pt.LayerSplit(cells="lp", solver="highs"), "box"), FEW),
    "enumerate_regions, box, FacetFlip": (enumerated(pt.FacetFlip(), "box"), MIDDLE),
    "enumerate_regions, box, FacetFlip by hops": (enumerated(pt.FacetFlip(order="hops"), "box"), MIDDLE),
    "enumerate_regions, window, FacetFlip": (enumerated(pt.FacetFlip(), "window"), MIDDLE),
    "enumerate_regions, box, Sampling": (enumerated(pt.Sampling(10**7), "box"), MIDDLE),
    "enumerate_regions, box, IntegerProgram": (
        enumerated(pt.IntegerProgram(most_units=1000), "box"),
        (*SMALL, "mnist_fc_256x2.onnx"),
    ),
    "enumerate_regions, window, directory": (in_directory(1), MIDDLE),
    "enumerate_regions, window, directory, 2 workers": (in_directory(2), FEW),
    "robustness_radius, norm 2": (radius(2), MIDDLE),
    "robustness_radius, norm inf": (radius(np.inf), FEW),
    "check_property": (checked, MIDDLE),
    "prove_units": (proved, MIDDLE),
    "simplify": (simplified, MIDDLE),
    "exact_local_complexity": (around, MIDDLE),
    "equivalent, window": (compared("window"), MIDDLE),
    "equivalent, box": (compared("box"), MIDDLE),
    "track, window": (tracked, MIDDLE),
    "audit": (audited, LARGE),
    f"count_regions, window, {MEMORY >> 20} MB": (within_memory(False), MIDDLE[:4]),
    f"enumerate_regions, window, {MEMORY >> 20} MB": (within_memory(True), (*MIDDLE[:4], "acasxu_1_1.onnx")),
}
