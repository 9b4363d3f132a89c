"""How soon are distances to the decision boundary known in many dimensions, and which units are fixed?

``python benchmarks/radii.py [--mnist MODEL IMAGES] [--units MODEL ...] [--images 20] [--seconds 5 20 60]``
``[--milp 3] [--write benchmarks/results]``

Radii: the bundled digits in the 2-norm until they are exact, and images of MNIST in the max norm with one
budget after the other until the gap between both ends is below 1 %. Beside them HiGHS solves the same
question as one mixed-integer program (Tjeng, Xiao, Tedrake (2019), https://arxiv.org/abs/1711.07356) for
some images, helped by our upper bound; at its limit its own two ends are shown. auto_LiRPA is left out: the
release of the package index (0.3) loads with torch below 1.13 and numpy below 2 only.

Units: which are proved dead or always active over the box [0, 1] and in balls of the max norm around the
first image, with each of the budgets, beside plain interval arithmetic.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import environment, in_words, parser, publish, table_of, title
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, diags_array, eye_array, vstack

import polytope as pt
from adapters import load

EXAMPLES = Path(__file__).parents[1] / "examples"
BALLS = (0.01, 0.03, 0.1)
Rows = list[dict[str, Any]]


def unit_box(network: pt.Network) -> pt.Polyhedron:
    """The images."""
    return pt.Polyhedron.box(np.zeros(network.input_dim), np.ones(network.input_dim))


def digits() -> Rows:
    """Ten distances, exact."""
    network, rows = load(EXAMPLES / "models" / "digits_mlp.onnx"), []
    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        images = data["X"][:10].astype(float)
    for number, image in enumerate(images):
        start, cpu = time.perf_counter(), time.process_time()
        found = pt.robustness_radius(network, image, 2)
        took = {"s": time.perf_counter() - start, "CPU s": time.process_time() - cpu}
        rows.append({"image": number, "radius": found.value, "exact": found.exact, **took})
    return rows


def mnist(network: pt.Network, images: np.ndarray, budgets: list[float], programs: int) -> Rows:
    """Distances in the max norm with growing budgets, and by an integer program for the first images."""
    rows = []
    for number, image in enumerate(images):
        gaps = {f"gap % at {seconds:g} s": "" for seconds in budgets}
        program = {"MILP lower": "", "MILP upper": "", "MILP s": ""} if programs else {}
        row: dict[str, Any] = {"image": number, "lower": 0.0, "upper": np.inf, **gaps, **program}
        for seconds in budgets:
            found = pt.robustness_radius(
                network, image, np.inf, domain=unit_box(network), max_seconds=seconds
            )
            row |= {"lower": found.lower, "upper": found.value}
            row[f"gap % at {seconds:g} s"] = 100 * (1 - found.lower / found.value)
            if found.value * 0.99 < found.lower:
                break
        if number < programs:
            low, high, took = by_program(network, image, row["upper"], budgets[-1])
            row |= {"MILP lower": low, "MILP upper": high, "MILP s": took}
        rows.append(row)
    return rows


def by_program(
    network: pt.Network, image: np.ndarray, most: float, seconds: float
) -> tuple[float, float, float]:
    """Lower and upper end of the distance in the max norm by HiGHS, and its seconds; dense ReLU chains."""
    layers = [(layer.maps[0].to_sparse(), layer.bias) for layer in network.layers]
    low, high = np.maximum(image - most, 0.0), np.minimum(image + most, 1.0)
    ends, rows, sides = [(low, high)], [], []
    columns, begin = network.input_dim, 0
    blocks: list[tuple[csr_array, int, csr_array, int]] = []
    for W, b in layers[:-1]:  # h >= z, h <= z - low (1 - s), h <= high s, with z = W front + b
        z_low, z_high = interval(W, b, *ends[-1])
        n = len(b)
        at_h, at_s = columns, columns + n
        blocks += [
            (W, begin, -eye_array(n), at_h),
            (-W, begin, eye_array(n), at_h),
            (csr_array((n, 1)), 0, eye_array(n), at_h),
        ]
        down, up = np.minimum(z_low, 0.0), np.maximum(z_high, 0.0)
        rows += [((1, -diags_array(down)), at_s), ((2, -diags_array(up)), at_s)]
        sides += [-b, b - down, np.zeros(n)]
        ends += [(np.maximum(z_low, 0.0), up)]
        begin, columns = at_h, columns + 2 * n
    W, b = layers[-1]
    label = int(network(image).argmax())
    z_low, z_high = interval(W, b, *ends[-1])
    others = [j for j in range(len(b)) if j != label]
    choice, distance = columns, columns + len(others)
    total = distance + 1
    parts, limits = [], []
    for number, (left, at, right, behind) in enumerate(blocks):
        table = placed(left, at, total) + placed(csr_array(right), behind, total)
        for (which, more), place in rows[2 * (number // 3) : 2 * (number // 3) + 2]:
            if number % 3 == which:
                table = table + placed(csr_array(more), place, total)
        parts.append(table)
        limits.append(sides[number])
    for k, j in enumerate(others):  # y_label - y_j <= M (1 - choice)
        far = float(z_high[label] - z_low[j])
        row = placed(csr_array(W[[label]] - W[[j]]), begin, total)
        parts.append(row + placed(csr_array([[far]]), choice + k, total))
        limits.append(np.array([far - b[label] + b[j]]))
    one = csr_array(np.ones((len(image), 1)))
    for sign in (1.0, -1.0):  # |x - image| <= distance
        parts.append(placed(sign * eye_array(len(image)), 0, total) - placed(one, distance, total))
        limits.append(sign * image)
    parts.append(placed(-csr_array(np.ones((1, len(others)))), choice, total))
    limits.append(np.array([-1.0]))
    least, greatest = np.zeros(total), np.ones(total)
    least[: len(image)], greatest[: len(image)], greatest[distance] = low, high, most
    whole, place = np.zeros(total), network.input_dim
    for (_, bias), (_, up) in zip(layers[:-1], ends[1:], strict=True):
        n = len(bias)
        greatest[place : place + n] = up
        whole[place + n : place + 2 * n] = 1
        place += 2 * n
    whole[choice:distance] = 1
    cost = np.zeros(total)
    cost[distance] = 1.0
    start = time.perf_counter()
    rows_of = LinearConstraint(vstack(parts, format="csc"), -np.inf, np.concatenate(limits))
    found = milp(
        cost,
        integrality=whole,
        bounds=Bounds(least, greatest),
        constraints=rows_of,
        options={"time_limit": seconds},
    )
    upper = np.inf if found.x is None else float(found.fun)
    lower = 0.0 if found.mip_dual_bound is None else float(found.mip_dual_bound)
    return lower, upper, time.perf_counter() - start


def placed(block: Any, at: int, total: int) -> csr_array:
    """A block among ``total`` columns, from column ``at`` on."""
    some = coo_array(block)
    return csr_array((some.data, (some.row, some.col + at)), shape=(some.shape[0], total))


def interval(W: csr_array, b: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of ``W h + b`` by interval arithmetic."""
    middle, radius = W @ (low / 2 + high / 2) + b, abs(W) @ (high / 2 - low / 2)
    return middle - radius, middle + radius


def units(name: str, network: pt.Network, image: np.ndarray, budgets: list[float]) -> Rows:
    """The share of units that are proved fixed or varying, in the box and in balls."""
    rows = []
    for radius in (None, *BALLS):
        low, high = np.zeros_like(image), np.ones_like(image)
        if radius is not None:
            low, high = np.maximum(image - radius, low), np.minimum(image + radius, high)
        free = low < high
        inside, window = network, pt.Polyhedron.box(low[free], high[free])
        if not free.all():
            inside = network.restrict(pt.Slice(np.where(free, 0.0, low), np.eye(len(low))[free]))
        row: dict[str, Any] = {
            "network": name,
            "where": "[0, 1]" if radius is None else f"ball of {radius:g}",
            "units": network.n_units,
            "fixed % by intervals": 100 * by_intervals(network, low, high),
            **{f"{what} % at {seconds:g} s": "" for seconds in budgets for what in ("fixed", "decided")},
        }
        for seconds in budgets:
            use = pt.prove_units(inside, window, max_seconds=seconds)
            row[f"fixed % at {seconds:g} s"] = 100 * float(use.fixed.mean())
            row[f"decided % at {seconds:g} s"] = 100 * float((use.fixed | use.varying).mean())
            if use.complete:
                break
        rows.append(row)
    return rows


def by_intervals(network: pt.Network, low: np.ndarray, high: np.ndarray) -> float:
    """The share of ReLUs that interval arithmetic proves fixed."""
    values, fixed = [(low / 2 + high / 2, high / 2 - low / 2)], []
    for layer in network.layers:
        middle, radius = layer.bias.copy(), np.zeros(len(layer.bias))
        for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
            middle += linear.apply(values[k][0][:, None])[:, 0]
            radius += absolute.apply(values[k][1][:, None])[:, 0]
        if layer.activation is not None:
            fixed.append((middle - radius > 0) | (middle + radius < 0))
            ends = np.maximum(middle - radius, 0), np.maximum(middle + radius, 0)
            middle, radius = ends[0] / 2 + ends[1] / 2, ends[1] / 2 - ends[0] / 2
        values.append((middle, radius))
    return float(np.concatenate(fixed).mean())


def main() -> None:
    """Measure, print, write."""
    options = parser(__doc__)
    options.add_argument("--mnist", nargs=2, type=Path, metavar=("MODEL", "IMAGES"))
    options.add_argument("--units", nargs="*", type=Path, default=[], metavar="MODEL")
    options.add_argument("--images", type=int, default=20)
    options.add_argument("--seconds", nargs="+", type=float, default=[5.0, 20.0, 60.0])
    options.add_argument("--milp", type=int, default=0, help="images that HiGHS is asked about")
    chosen = options.parse_args()
    record: dict[str, Any] = {"digits": digits()}
    page = ["## Digits, 2-norm, until exact", table_of(record["digits"])]
    if chosen.mnist:
        with np.load(chosen.mnist[1]) as data:
            images = data["images"].reshape(len(data["images"]), -1)[: chosen.images] / 255
        network = load(chosen.mnist[0])
        record["mnist"] = mnist(network, images, chosen.seconds, chosen.milp)
        page += [f"## {chosen.mnist[0].stem}, max norm, in [0, 1]", table_of(record["mnist"])]
    record["units"] = []
    for model in chosen.units:
        network = load(model)
        image = np.random.default_rng(0).uniform(0.2, 0.8, network.input_dim)
        if chosen.mnist and network.input_dim == images.shape[1]:
            image = images[0]
        record["units"] += units(model.stem, network, image, chosen.seconds[:2])
    if record["units"]:
        page += ["## Fixed units", table_of(record["units"])]
    where = environment("torch", "highspy")
    about = f"Load {os.getloadavg()[0]:.1f} at the end. {chosen.note}"
    publish(__file__, [title(__doc__), in_words(where, about), *page], record, chosen.write)


if __name__ == "__main__":
    main()
