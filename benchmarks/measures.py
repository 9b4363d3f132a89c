"""What does each measure cost and answer, beside what one would use without it?

    python benchmarks/measures.py NETS MODELS --write benchmarks/results

NETS holds networks as ``W0, b0, W1, b1, ...`` in ``.npz`` files, MODELS ``acasxu_*.onnx`` and ``vnnlib/``.
*Lipschitz*: the exact constant, against the product of spectral norms of the weight matrices, the interval
Jacobian, and gradients at random points. *Ranges*: certified output bounds against plain interval propagation
and against sampled values, which bound from inside. *Counting*: the interval of published bounds beside the
exact count. *Properties*: VNN-LIB properties by enumeration. *Tropical*: monomials before and after pruning.
*Radius*: the effective radius exactly, beside the published bound.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt
from adapters import load, runtime

Row = dict[str, Any]
BOXES = ("2-50-50-1", "2-100-100-1", "3-32-32-1", "4-16-16-1", "5-16-16-1", "he_2-64x6")
ACAS = ("1_1", "2_9", "3_3")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - start, 3)


def windows(nets: Path, models: Path) -> Iterator[tuple[str, pt.Network, pt.Polyhedron]]:
    """Networks and domains: boxes [-1, 1]^d, and ACAS Xu in the box of property 3."""
    for name in BOXES:
        with np.load(nets / f"{name}.npz") as arrays:
            pairs = [(arrays[f"W{i}"], arrays[f"b{i}"]) for i in range(len(arrays.files) // 2)]
        d = pairs[0][0].shape[1]
        yield name, pt.mlp(pairs), pt.Polyhedron.box([-1] * d, [1] * d)
    box = pt.read_input_box((models / "vnnlib" / "acasxu_prop_3.vnnlib").read_text())
    for net in ACAS:
        yield (
            f"acasxu_{net}, property 3",
            load(models / f"acasxu_{net}.onnx"),
            pt.Polyhedron.box(box.low, box.high),
        )


def spectral_product(network: pt.Network) -> float:
    """The product of the spectral norms of a chain's matrices."""
    norms = [np.linalg.norm(layer.maps[0].to_sparse().toarray(), 2) for layer in network.layers]
    return float(np.prod(norms))


def interval_range(network: pt.Network, domain: pt.Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """Plain interval propagation through a ReLU chain over the domain's bounding box."""
    corners = domain.vertices()
    low, high = corners.min(axis=0), corners.max(axis=0)
    for layer in network.layers:
        W = layer.maps[0].to_sparse().toarray()
        up, down = np.maximum(W, 0), np.minimum(W, 0)
        low, high = up @ low + down @ high + layer.bias, up @ high + down @ low + layer.bias
        if layer.activation is not None:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
    return low, high


def lipschitz(nets: Path, models: Path) -> Iterator[Row]:
    """Constants of the 2-norm."""
    for name, network, domain in windows(nets, models):
        regions, seconds = timed(lambda n=network, d=domain: pt.enumerate_regions(n, d))
        exact, more = timed(lambda r=regions: pt.lipschitz_constant(r))
        bounds, bound_seconds = timed(lambda n=network, d=domain: pt.lipschitz_bounds(n, d))
        product, product_seconds = timed(lambda n=network: spectral_product(n))
        assert bounds.lower <= exact * (1 + 1e-12) <= bounds.upper * (1 + 1e-12), name
        yield {
            "network": name,
            "regions": len(regions),
            "exact": float(exact),
            "sampled / exact": bounds.lower / exact,
            "bound / exact": bounds.upper / exact,
            "spectral product / exact": product / exact,
            "seconds enumeration": seconds,
            "seconds norms": more,
            "seconds bounds": bound_seconds,
            "seconds spectral": product_seconds,
        }


def ranges(nets: Path, models: Path) -> Iterator[Row]:
    """Widths of the enclosures of the first output, relative to that of 10,000 sampled values."""
    for name, network, domain in windows(nets, models):
        corners = domain.vertices()
        x = np.random.default_rng(0).uniform(corners.min(axis=0), corners.max(axis=0), (10_000, domain.dim))
        sampled = float(np.ptp(network(x)[:, 0]))
        (low, high), seconds = timed(lambda n=network, d=domain: pt.output_bounds(n, d))
        (least, most), interval_seconds = timed(lambda n=network, d=domain: interval_range(n, d))
        yield {
            "network": name,
            "sampled width": sampled,
            "bounds / sampled": float(high[0] - low[0]) / sampled,
            "intervals / sampled": float(most[0] - least[0]) / sampled,
            "seconds bounds": seconds,
            "seconds intervals": interval_seconds,
        }


def counting(nets: Path, models: Path) -> Iterator[Row]:
    """Exact counts in the domain, and published bounds for all of R^d."""
    for name, network, domain in windows(nets, models):
        counted, seconds = timed(lambda n=network, d=domain: pt.count_regions(n, d))
        bounds, bound_seconds = timed(lambda n=network: pt.region_bounds(n))
        yield {
            "network": name,
            "regions": counted.upper,
            "least upper bound": float(bounds.upper),
            "Montufar": float(bounds.montufar),
            "Raghu": float(bounds.raghu),
            "lower bound over weights": None if bounds.lower is None else float(bounds.lower),
            "seconds count": seconds,
            "seconds bounds": bound_seconds,
        }


def properties(nets: Path, models: Path) -> Iterator[Row]:
    """ACAS Xu properties 1 to 4 on three networks by all regions, on two threads.

    Where one holds, the proof is the number of regions; a counterexample is confirmed in onnxruntime.
    """
    for net in ACAS:
        network = load(models / f"acasxu_{net}.onnx")
        for number in (1, 2, 3, 4):
            file = models / "vnnlib" / f"acasxu_prop_{number}.vnnlib"
            start = time.process_time()
            found = pt.check_property(
                network, file, workers=2, prove="enumeration", runtime=runtime(network), max_seconds=300
            )
            yield {
                "network": f"acasxu_{net}",
                "property": number,
                "status": found.status,
                "proof": found.proof,
                "confirmed": "yes" if found.confirmed else None,
                "regions looked at": found.regions,
                "seconds": round(found.seconds, 2),
                "seconds of CPU": round(time.process_time() - start, 2),
            }


def tropical(nets: Path, models: Path) -> Iterator[Row]:
    """Random networks with one output: monomials of F and G."""
    for widths in ((2, 5, 1), (2, 8, 1), (3, 8, 1), (2, 4, 3, 1), (3, 4, 3, 1), (2, 5, 5, 1)):
        rng = np.random.default_rng(0)
        pairs = zip(widths[1:], widths[:-1], strict=True)
        network = pt.mlp([(rng.standard_normal((n, m)), rng.standard_normal(n)) for n, m in pairs])
        form, seconds = timed(lambda n=network: pt.tropical_form(n))
        x = rng.standard_normal((1000, widths[0]))
        yield {
            "network": "-".join(map(str, widths)),
            "formal F": form.monomials_before[0][0],
            "formal G": form.monomials_before[0][1],
            "essential F": form.monomials[0][0],
            "essential G": form.monomials[0][1],
            "largest error in float64": float(np.abs(form(x) - network(x)).max()),
            "seconds": seconds,
        }


def radius(nets: Path, models: Path) -> Iterator[Row]:
    """Random networks with one output: all regions of the whole space, one linear program each.

    The bound takes a Hoffman constant over all subsets of monomials: minutes for a second hidden layer.
    """
    for widths in ((2, 3, 1), (2, 4, 1), (3, 4, 1)):
        rng = np.random.default_rng(0)
        pairs = zip(widths[1:], widths[:-1], strict=True)
        network = pt.mlp([(rng.standard_normal((n, m)), rng.standard_normal(n)) for n, m in pairs])
        whole = pt.Polyhedron.whole_space(widths[0])
        exact, seconds = timed(lambda n=network, w=whole: pt.effective_radius(pt.enumerate_regions(n, w)))
        form = pt.tropical_form(network)
        bound, bound_seconds = timed(lambda f=form: pt.radius_bound(f.F[0], f.G[0]))
        assert exact <= bound, widths
        yield {
            "network": "-".join(map(str, widths)),
            "monomials of F": len(form.F[0]),
            "monomials of G": len(form.G[0]),
            "effective radius": float(exact),
            "bound / exact": float(bound / exact),
            "seconds exact": seconds,
            "seconds bound": bound_seconds,
        }


TABLES = {f.__name__: f for f in (lipschitz, ranges, counting, properties, tropical, radius)}


def main() -> None:
    """Measure, print, and write."""
    options = parser(__doc__)
    options.add_argument("nets", type=Path)
    options.add_argument("models", type=Path)
    options.add_argument("--only", choices=TABLES, nargs="*", default=list(TABLES))
    chosen = options.parse_args()
    where = environment()
    results: dict[str, list[Row]] = {}
    page = [title(__doc__), in_words(where, f"Seconds of one run each. {chosen.note}")]
    for name in chosen.only:
        results[name] = list(TABLES[name](chosen.nets, chosen.models))
        caption = " ".join((TABLES[name].__doc__ or "").split())
        page += [f"## {name.capitalize()}", caption, table_of(results[name])]
    publish(__file__, page, {"versions": where, "note": chosen.note, "tables": results}, chosen.write)


if __name__ == "__main__":
    main()
