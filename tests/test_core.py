"""Fuzzing of the entries of the core: spoilt arrays end in documented errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from polytope import Layer, LayerSplit, Network, Polyhedron, _core, enumerate_regions
from polytope.core.flat_network import FlatNetwork
from polytope.core.vertex_cells import vertex_problem
from polytope.engines.simplex_search import problem as lp_problem
from polytope.errors import PolytopeError
from polytope.ir import Dense, absolute, hard_tanh, max_groups, relu
from tests.networks import seeds

REFUSED = (ValueError, TypeError, MemoryError, OverflowError)  # of wrong arguments


NUMBERS = (0, 1, -1, 2, 7, 127, 128, 10**6, 2**31, -(2**31), 2**62, -(2**63))


REALS = (0.0, -1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 2.0**-1030, 1e-9, 1e30)


FIELDS = (*FlatNetwork.INTEGERS, *FlatNetwork.SMALL, *FlatNetwork.FLOATS)


def some_network(rng: np.random.Generator, d: int) -> Network:
    """Two or three layers of every kind, sparse or dense, with or without a skip."""
    layers: list[Layer] = []
    width = d
    for i in range(int(rng.integers(1, 4))):
        n = int(rng.integers(1, 7))
        W = rng.standard_normal((n, width)) * (rng.random((n, width)) < rng.choice([0.3, 1.0]))
        maps, inputs = [Dense(W)], [i]
        if i and rng.random() < 0.3:
            maps.append(Dense(rng.standard_normal((n, d))))
            inputs.append(0)
        kinds = (relu(), absolute(), hard_tanh(), max_groups([[j, (j + 1) % n] for j in range(n)]), None)
        kind = kinds[rng.integers(5 if n > 1 else 3)]
        layers.append(Layer(tuple(inputs), tuple(maps), rng.standard_normal(n), kind))
        width = n
    return Network((d,), tuple(layers))


def spoilt(rng: np.random.Generator, array: np.ndarray) -> Any:
    """An array with one thing wrong: numbers, length, shape, or kind."""
    out = np.array(array)
    numbers = NUMBERS if out.dtype.kind in "iu" else REALS
    ways: list[Callable[[], Any]] = [
        lambda: out.ravel()[: rng.integers(out.size + 1)],
        lambda: np.concatenate([out.ravel(), out.ravel()[:3]]),
        lambda: np.zeros(0, dtype=out.dtype),
        lambda: rng.permutation(out.ravel()),
        lambda: out.ravel()[::-1],
        lambda: [None, "abc", 3, object(), [1, 2]][rng.integers(5)],
        lambda: out.astype(rng.choice(["float32", "int16", "complex128", "U4"])),
    ]
    if out.size and rng.random() < 0.6:
        number = numbers[rng.integers(len(numbers))]
        if out.dtype.kind in "iu":
            bounds = np.iinfo(out.dtype)
            number = int(np.clip(number, bounds.min, bounds.max))
        out.flat[rng.integers(out.size)] = number
        return out
    return ways[rng.integers(len(ways))]()


def spoil_field(rng: np.random.Generator, net: FlatNetwork) -> None:
    name = FIELDS[rng.integers(len(FIELDS))]
    if rng.random() < 0.03:
        delattr(net, name)
        return
    with np.errstate(all="ignore"):
        setattr(net, name, spoilt(rng, getattr(net, name)))


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What the core says, or the documented error; anything else is a defect."""
    try:
        return function(*args, **options)
    except (*REFUSED, AttributeError) as error:
        return error


def lying(rng: np.random.Generator) -> Callable[..., Any]:
    """An oracle that answers at random, wrong kinds of answers included."""
    answers = (-1.0, 0.0, 1.0, 1e-300, np.nan, np.inf, None, "no")

    def answer(*_: Any) -> Any:
        return answers[rng.integers(3 if rng.random() < 0.97 else len(answers))]

    return answer


def search_options(rng: np.random.Generator) -> dict[str, Any]:
    """Options of a search, one of them wrong now and then."""
    out: dict[str, Any] = {
        "keep": (0, 1, 3, 7)[rng.integers(4)],
        "paths": [()],
        "most": (2**62, 5)[rng.integers(2)],
        "seconds": 0.2,
        "workers": (1, 2)[rng.integers(2)],
        "attend": None,
    }
    wrong: dict[str, tuple[Any, ...]] = {
        "keep": (-1, 2, 4, 2**31, 1.5, None),
        "paths": ([(1,)], [(2**62, 3)], [(-5,)], [(3 << 20) + 9], [((3 << 20) + 9,)], None, [(1.5,)]),
        "most": (0, -3, 2**70),
        "seconds": (0.0, -1.0, np.nan),
        "workers": (0, -1, 2**31, 5000),
    }
    if rng.random() < 0.3:
        name = sorted(wrong)[rng.integers(len(wrong))]
        out[name] = wrong[name][rng.integers(len(wrong[name]))]
    return out


def spoilt_arguments(rng: np.random.Generator, arguments: list[Any]) -> list[Any]:
    k = rng.integers(len(arguments))
    with np.errstate(all="ignore"):
        arguments[k] = spoilt(rng, arguments[k])
    return arguments


def nasty_network(rng: np.random.Generator, d: int) -> Network:
    """A network some of whose weights are huge, tiny, subnormal, infinite or not numbers."""
    network = some_network(rng, d)
    layers = []
    for layer in network.layers:
        maps = []
        for linear in layer.maps:
            matrix = np.array(linear.to_sparse().toarray())
            hit = rng.random(matrix.shape) < 0.3
            matrix[hit] = rng.choice(
                REALS if rng.random() < 0.3 else [1e308, -1e300, 5e-324, 1e-310], int(hit.sum())
            )
            maps.append(Dense(matrix))
        layers.append(Layer(layer.inputs, tuple(maps), layer.bias, layer.activation))
    return Network((d,), tuple(layers))


@pytest.mark.parametrize("seed", seeds(3000, quick=150))
def test_spoilt_vertex_problems(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    network = some_network(rng, d)
    net, *first = vertex_problem(network, Polyhedron.box([-1.0] * d, [1.0] * d), int(rng.integers(1, 3)))
    arguments: list[Any] = list(first)
    if rng.random() < 0.5:
        spoil_field(rng, net)
    elif rng.random() < 0.7:
        k = rng.integers(len(arguments))
        with np.errstate(all="ignore"):
            arguments[k] = spoilt(rng, arguments[k])
    call(
        _core.explore,
        net,
        *arguments,
        exact=lying(rng),
        reduce=lambda cell: -1,
        **search_options(rng),
    )


@pytest.mark.parametrize("seed", seeds(3000, quick=150))
def test_spoilt_lp_problems(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    net, root = lp_problem(some_network(rng, d), Polyhedron.box([-1.0] * d, [1.0] * d))
    arguments: list[Any] = [root.low.tolist(), root.high.tolist(), root.center.tolist(), [-1, -2]]
    if rng.random() < 0.5:
        spoil_field(rng, net)
    elif rng.random() < 0.7:
        wrong = ([], [0.0], [np.nan] * d, [np.inf] * d, [1e308] * d, [5.0] * d, None, "abc")
        arguments[rng.integers(4)] = wrong[rng.integers(len(wrong))]

    def exact(*question: Any) -> Any:
        points = ([0.0] * d, [0.1] * d, [], [np.nan] * d, [1.0])
        some = [points[rng.integers(2 if rng.random() < 0.97 else len(points))] for _ in range(2)]
        return (int(rng.integers(4 if rng.random() < 0.97 else 9)), *some)

    floats = bool(rng.integers(2))
    call(_core.explore_lp, net, *arguments, exact=exact, floats=floats, **search_options(rng))


@pytest.mark.parametrize("seed", seeds(1000, quick=60))
def test_spoilt_arrays_of_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 4))
    net, *first = vertex_problem(some_network(rng, d), Polyhedron.box([-1.0] * d, [1.0] * d), 1)
    options = {"keep": 7, "paths": [()], "most": 50, "seconds": 1.0, "workers": 1, "attend": None}
    found = _core.explore(net, *first, exact=lambda *_: 0.0, reduce=None, **options)

    def offsets(name: str) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(found[name])]).astype(np.int64)

    vertices = np.ascontiguousarray(found["vertices"][:, :d])
    cells = [offsets("n_vertices"), vertices, found["incidences"], offsets("n_facets")]
    wanted = rng.random(len(found["facet_units"])) < 0.5
    errors = np.zeros_like(vertices)
    call(_core.volumes, *spoilt_arguments(rng, [*cells[:2], errors, *cells[2:]]))
    call(_core.facet_volumes, *spoilt_arguments(rng, [*cells, wanted]))
    keys = [found["facet_keys"], np.zeros(len(found["facet_keys"]), dtype=np.int32)]
    call(_core.match, *spoilt_arguments(rng, keys), bool(rng.integers(2)), int(rng.integers(-1, 4)))
    rows = np.ascontiguousarray(np.column_stack([rng.standard_normal((5, d)), -rng.random(5)]))
    call(_core.propose_facets, *spoilt_arguments(rng, [rows, np.arange(3)]), REALS[rng.integers(len(REALS))])
    pieces = [np.zeros(len(net.kind), dtype=np.int64)]
    ends = [int(rng.integers(-2, 9)) for _ in range(2)]
    call(_core.double_row, net, *ends, *(spoilt_arguments(rng, pieces) if rng.random() < 0.5 else pieces))
    call(_core.unit_form, net, *(NUMBERS[rng.integers(len(NUMBERS))] for _ in range(2)))


@pytest.mark.parametrize("seed", seeds(1000, quick=60))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_spoilt_crossing_layers(seed: int, kind: type) -> None:
    rng = np.random.default_rng(seed)
    B, P, n, m = (int(x) for x in rng.integers(0, 20, 4))

    def reals(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(kind)

    def counts() -> np.ndarray:
        return np.zeros(B, dtype=np.int64)

    usual = rng.random(n) < 0.5
    first = [reals(B, n), reals(P, n), usual, reals(P, m), reals(B, m), reals(n, m), reals(B, m)]
    calls: list[tuple[Any, list[Any]]] = [
        (_core.second_layer, [*first, reals(B, 2 * P, m), counts()]),
        (_core.next_layer, [reals(B, P, n), reals(n, m), reals(m), reals(B, P, m), counts()]),
        (
            _core.last_layer,
            [
                reals(B, P, n),
                reals(B, n),
                reals(n, m),
                reals(m),
                reals(n, m),
                reals(B, m),
                1e-6,
                counts(),
                counts(),
            ],
        ),
        (_core.crossings, [reals(B, P, n), counts()]),
    ]
    for function, arguments in calls:
        function(*arguments)
        call(function, *spoilt_arguments(rng, arguments))


@pytest.mark.parametrize("seed", seeds(1000, quick=15))
def test_nasty_weights(seed: int) -> None:
    """Both kinds of cells find the same patterns, or raise a documented error."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 3))
    network, domain = nasty_network(rng, d), Polyhedron.box([-1.0] * d, [1.0] * d)
    found = []
    for cells in ("vertices", "lp"):
        try:
            regions = enumerate_regions(network, domain, LayerSplit(cells=cells), max_seconds=2)
        except (PolytopeError, ValueError):
            continue
        assert regions.lower <= regions.upper
        if regions.complete:
            found.append(sorted(p.tobytes() for p in regions.patterns))
    assert all(patterns == found[0] for patterns in found)


@pytest.mark.parametrize("workers", [1, 2])
def test_facets_are_matched_by_their_keys(workers: int) -> None:
    """Cells that share a key are a pair; a key of one cell alone, or a third time, is in none."""
    top = np.uint64(1 << 63)
    keys = np.array([5, 7, 0, 7, 9, 9, 7, 5], np.uint64) | np.array([0, 0, 0, 0, top, top, 0, 0], np.uint64)
    begin = np.array([0, 2, 4, 6, 8])
    pairs, odd = _core.match(keys, begin, False, workers)
    assert sorted(pairs.tolist()) == [[0, 1], [0, 3]]
    assert odd == 3
    assert sorted(_core.match(keys, begin, True, workers)[0].tolist()) == [[0, 7], [1, 3]]
    for wrong in ([0, 9], [1, 8], [0, 4, 2, 8], []):
        with pytest.raises(ValueError, match="begin"):
            _core.match(keys, np.array(wrong, np.int64), False, workers)
