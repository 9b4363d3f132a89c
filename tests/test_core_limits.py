"""The core at its limits: memory refused, deep stacks, interrupts, wrong weights and domains."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from polytope import LayerSplit, Polyhedron, _core, count_regions, enumerate_regions, mlp
from polytope.errors import EmptyDomainError, UnboundedDomainError
from tests.core_cases import arguments

BEFORE = """
import resource, numpy as np, polytope as pt
rng = np.random.default_rng(1)
W = [(rng.standard_normal((n, m)), rng.standard_normal(n)) for m, n in ((4, 40), (40, 40), (40, 1))]
network, box = pt.mlp(W), pt.Polyhedron.box([-1] * 4, [1] * 4)
small = pt.mlp([([[1.0] * 4], [0.0]), ([[1.0]], [0.0])])
assert pt.count_regions(small, box).upper == 2
"""


REFUSE_MEMORY = (
    BEFORE
    + """
rng.standard_normal((64, 64)) @ rng.standard_normal((64, 64))  # linear algebra takes its own memory first
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + ROOM, -1))
try:
    pt.enumerate_regions(network, box, pt.LayerSplit(cells=CELLS, workers=WORKERS))
    print("enough")
except MemoryError:
    print("refused")
assert pt.count_regions(small, box, pt.LayerSplit(cells=CELLS)).upper == 2
print("goes on")
"""
)


INTERRUPT = (
    BEFORE
    + """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
print("starts", flush=True)
try:
    pt.count_regions(pt.mlp([(rng.standard_normal((n, m)), rng.standard_normal(n)) for m, n in LAYERS]),
                     pt.Polyhedron.box([-1] * DIM, [1] * DIM), pt.LayerSplit(cells=CELLS, workers=WORKERS))
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
assert pt.count_regions(small, box).upper == 2
print("goes on")
"""
)


LONG = {"vertices": (5, ((5, 200), (200, 200), (200, 1))), "lp": (10, ((10, 60), (60, 60), (60, 1)))}


@pytest.mark.parametrize("cells", ["vertices", "lp"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(cells: str, number: float) -> None:
    for W, b in (([[number]], [0.0]), ([[1.0]], [number])):
        with pytest.raises(ValueError, match="finite"):
            count_regions(mlp([(W, b), ([[1.0]], [0.0])]), Polyhedron.box([-1], [1]), LayerSplit(cells=cells))


@pytest.mark.parametrize("cells", ["vertices", "lp"])
def test_domains_that_are_no_bodies_are_refused(cells: str) -> None:
    network = mlp([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
    flat = Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 0, 1, 1])
    empty = Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [-1, -1, 1, 1])
    for domain in (flat, empty):
        with pytest.raises(EmptyDomainError):
            count_regions(network, domain, LayerSplit(cells=cells))
    half = Polyhedron([[1, 0]], [1])
    if cells == "lp":
        assert count_regions(network, half, LayerSplit(cells=cells)).upper == 2
        return
    with pytest.raises(UnboundedDomainError):
        count_regions(network, half, LayerSplit(cells=cells))


def test_the_stub_names_what_is_there() -> None:
    stub = ast.parse((Path(__file__).parents[1] / "polytope" / "_core.pyi").read_text(encoding="utf-8"))
    named = {f.name: arguments(f) for f in stub.body if isinstance(f, ast.FunctionDef)}
    for name, function in vars(_core).items():
        if not name.startswith("_"):
            said = [re.sub(r"ndarray\[[^]]*]|\\\d+", "None", text) for text, *_ in function.__nb_signature__]
            for [of_core] in (ast.parse(f"{text}: ...").body for text in said):
                assert isinstance(of_core, ast.FunctionDef)
                assert arguments(of_core) == named[name], name
    assert set(named) == {name for name in vars(_core) if not name.startswith("_")}


def test_a_layer_of_more_units_than_sixteen_bits_can_name() -> None:
    n = 70_000
    network = mlp([(np.ones((n, 1)), -np.arange(n) / n), (np.ones((1, n)), [0.0])])
    found = enumerate_regions(network, Polyhedron.box([-0.5], [2.0]), LayerSplit(cells="vertices"))
    assert len(found) == n + 1
    assert len(found.neighbours) == n
    bias = np.full(n, 5.0)  # breakpoints outside the square, but for two
    bias[-2:] = 0.25, -0.25
    plane = mlp([(np.tile([0.5, 1.0], (n, 1)), bias), (np.ones((1, n)), [0.0])])
    for cells in ("vertices", "lp"):
        assert count_regions(plane, Polyhedron.box([-1, -1], [1, 1]), LayerSplit(cells=cells)).upper == 3


@pytest.mark.parametrize("cells", ["vertices", "lp"])
def test_a_search_too_deep_for_its_stack_is_refused(cells: str) -> None:
    chain = [([[1.0]], [0.0])] + [([[1.0]], [-1e-4])] * 1000
    network, box = mlp([*chain, ([[1.0]], [0.0])]), Polyhedron.box([-1], [1])

    def count() -> int:
        return count_regions(network, box, LayerSplit(cells=cells)).lower

    assert count() == 1002
    before = threading.stack_size(256 << 10)
    try:
        with ThreadPoolExecutor(1) as pool, pytest.raises(MemoryError, match="stack"):
            pool.submit(count).result()
    finally:
        threading.stack_size(before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are the system's")
@pytest.mark.parametrize(("cells", "workers"), [("vertices", 1), ("vertices", 2), ("lp", 1)])
def test_memory_refused(cells: str, workers: int) -> None:
    program = REFUSE_MEMORY.replace("CELLS", repr(cells)).replace("WORKERS", str(workers))
    said = subprocess.run(
        [sys.executable, "-c", program.replace("ROOM", str(30 << 20))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert said.stdout.split("\n")[:2] == ["refused", "goes on"], said.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize(("cells", "workers"), [("vertices", 1), ("vertices", 2), ("lp", 1)])
def test_interrupt(cells: str, workers: int) -> None:
    program = INTERRUPT.replace("CELLS", repr(cells)).replace("WORKERS", str(workers))
    dim, layers = LONG[cells]
    program = program.replace("LAYERS", repr(layers)).replace("DIM", str(dim))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "starts\n"
        time.sleep(1.0)
        sent = time.time()
        running.send_signal(signal.SIGINT)
        end = threading.Timer(120, running.kill)
        end.start()
        word, at = running.stdout.readline().split()
        assert word == "interrupted"
        assert float(at) - sent < 2.0, "a tenth of that where the machine has nothing else to do"
        assert running.stdout.readline() == "goes on\n"
        end.cancel()
    assert running.returncode == 0
