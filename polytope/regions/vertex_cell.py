r"""Cells by their vertices: the compiled exhaustive search in dimensions 1 to 6, as one function.

``explore`` cuts the domain layer by layer (see ``kernels``). What it finds is exact for the given float64
network: signs that rounding cannot prove are decided exactly (see ``exact`` and ``kernels_exact``).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.activations import PatternArray
from polytope.ir.continuity import refuse_jumps
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.ir.products import unfolded
from polytope.regions.bounding_box import bounding_box
from polytope.regions.equilibrate import equilibrated
from polytope.regions.found import Path
from polytope.regions.packed import as_kept, takes_packed

if TYPE_CHECKING:
    from polytope.regions.evidence import Evidence
    from polytope.regions.open_cells import Bounds
    from polytope.regions.reduced_network import Reduced

KEEP = {"count": 0, "cells": 1, "points": 3, "vertices": 7}
FIRST_QUANTUM, QUANTUM = 4, 20_000  # splits between two looks at the clock, at first and at most
EARLY_QUANTUM = 100  # the same in reduced networks that are looked ahead in, whose splits take longer
CAREFUL_QUANTUM = 1_000  # the same where memory is limited
LOOK_SECONDS = 0.1  # a quantum that lasted longer is followed by a smaller one
CHUNK = 2**27  # bytes of patterns in an output buffer; what is not written to takes no memory


@takes_packed
@dataclass(frozen=True, eq=False)
class VertexCells:
    """What ``explore`` found: counts, and arrays as far as they were asked for.

    Arguments:
        n_regions: cells found; all there are exactly if ``complete``.
        open_cells: branches of the search still to do, ``start`` of another call.
        open_bounds, open_bound: the most regions that each of them, and all together, can hold.
        patterns: ``int8[R, units]``; interior_points: ``[R, d]``, means of the vertices.
        facet_offsets: ``[R + 1]`` into the facet arrays.
        facet_units: place in the pattern of a unit whose bend carries the facet, or -(row + 1) for a row of
            the domain. Further units that vanish on facets are the rows (facet, unit) of ``facet_more``.
        facet_keys: equal on the two sides of a facet, 0 on the domain's boundary.
        facet_points: points in the facets' relative interiors (keep "points" and "vertices").
        vertex_offsets, vertices, incidences: ``[R + 1]``, ``[V, d]``, bit sets over the cell's facets.
        vertex_errors: ``[V, d]``, proved bounds on how far the coordinates of ``vertices`` are off.
        smallest_margin: the smallest ratio of a value to its error bound among decisions made in floats.
        n_exact: number of signs decided in exact arithmetic.
        evidence: that the cells are what they are said to be, where ``with_evidence`` added it.
    """

    n_regions: int
    complete: bool
    open_cells: tuple[Path, ...]
    open_bounds: tuple[int, ...]
    open_bound: int
    patterns: PatternArray
    interior_points: FloatArray
    facet_offsets: IntArray
    facet_units: NDArray[np.int32]
    facet_keys: NDArray[np.uint64]
    facet_more: IntArray
    facet_points: FloatArray
    vertex_offsets: IntArray
    vertices: FloatArray
    vertex_errors: FloatArray
    incidences: IntArray
    smallest_margin: float
    n_exact: int
    evidence: Evidence | None = None

    def neighbours(self, *, places: bool = False, workers: int = 1) -> IntArray:
        """The pairs of cells that share a facet, ``[E, 2]``, smaller first; or the facet's two places."""
        pairs, odd = matched(self.facet_keys, self.facet_offsets, places=places, workers=workers)
        if self.complete and odd:
            raise AssertionError(f"{odd} facets have no single neighbour: this is a defect of the search.")
        return pairs


def matched(
    keys: NDArray[np.uint64], offsets: IntArray, *, places: bool = False, workers: int = 1
) -> tuple[IntArray, int]:
    """The pairs of cells (or of places) that have a facet's key in common, ``[E, 2]``, smaller first.

    And how many keys are not in one pair: none, if all cells are there.

    Arguments:
        keys: of all facets; 0 on the domain's boundary.
        offsets: ``[R + 1]``, where each cell's facets begin.
    """
    from polytope.regions.kernels_match import match

    cell = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    bits = max(len(cell).bit_length() - 11, workers.bit_length())
    bounds = [(part << bits) // workers for part in range(workers + 1)]
    names = np.arange(len(cell)) if places else cell
    jobs = [(keys, names, bits, i, j) for i, j in pairwise(bounds)]
    found = _each(lambda job: match(*job), jobs, workers)
    both = np.concatenate([pairs for pairs, _ in found]) if workers > 1 else found[0][0]
    same = int((cell[both[:, 0]] == cell[both[:, 1]]).sum()) if places else 0
    return both, same + sum(rest for _, rest in found)


def _each(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> list[Any]:
    """The function of every item, in so many threads; one thread would only cost its start."""
    if workers == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


@dataclass(frozen=True)
class Task:
    """A branch of the search: its place in the order of the search, its path, the most regions in it.

    What a task gives away is named by its own place and a number that falls, so it comes after the task's own
    cells and before what was given away earlier. Bounds are computed only if the search stops: of a (layer,
    bends open in it) until then, and ``None`` stands for the whole network.
    """

    place: tuple[int, ...]
    path: Path
    most: int | tuple[int, int] | None = None


@dataclass
class _Shared:
    """What the workers of one search share; the lock is held for all but the compiled code."""

    keep: int
    max_regions: int
    deadline: float
    full: Callable[[], bool] | None
    progress: Callable[[int, int], None] | None
    tasks: deque[Task]
    found: int = 0
    stop: bool = False
    n_exact: int = 0
    margin: float = 2.0**20
    busy: int = 0
    idle: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Condition()
        self.chunks: dict[tuple[int, ...], list[dict[str, NDArray[Any]]]] = {}
        self.open: dict[tuple[int, ...], list[Task]] = {}
        self.saved = 0
        self.errors: list[BaseException] = []


def explore(
    network: Network,
    domain_A: FloatArray,
    domain_b: FloatArray,
    *,
    keep: str = "count",
    max_regions: int | None = None,
    deadline: float | None = None,
    full: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    start: Sequence[Path] | None = None,
) -> VertexCells:
    r"""All cells of a network in a bounded polytope ``A x <= b`` of dimension 1 to 6.

    Arguments:
        network: its input dimension is the domain's.
        domain_A, domain_b: the domain's rows; more than a box is cut out of its bounding box exactly.
        keep: "count" nothing, "cells" patterns and facets, "points" facet points too, "vertices" everything.
        max_regions, deadline: stop soon after so many cells, or at this ``time.monotonic()``.
        full: whether to stop for want of memory; asked now and then.
        progress: called now and then with (cells found, branches open).
        workers: threads; the compiled search runs without the interpreter's lock.
        start: ``open_cells`` of an earlier, stopped search with the same network and domain.

    Raises:
        EmptyDomainError: the domain has no interior.
        UnboundedDomainError: the domain is unbounded.
        ValueError: a unit of the network jumps.
    """
    if keep not in KEEP:
        raise ValueError(f"keep must be one of {', '.join(KEEP)}, not {keep!r}.")
    d = network.input_dim
    A, b = np.asarray(domain_A, dtype=float), np.asarray(domain_b, dtype=float)
    if not 1 <= d <= 12 or A.shape[1:] != (d,):
        raise ValueError(f"Vertex cells take 1 to 12 dimensions and rows of as many numbers, not {A.shape}.")
    refuse_jumps(network)
    even = equilibrated(network, Polyhedron(A, b))
    words = 1
    while True:
        problem = _problem(unfolded(even.network), even.domain, words)
        shared = _Shared(
            KEEP[keep],
            np.iinfo(np.int64).max if max_regions is None else max_regions,
            np.inf if deadline is None else deadline,
            full,
            progress,
            deque(),
        )
        if _search(problem, shared, workers, start):
            return _unscaled(_collect(shared, d, words, workers, problem[2]), even.scale)
        words *= 2


def _search(problem: Any, shared: _Shared, workers: int, start: Sequence[Path] | None) -> bool:
    """Run all tasks; False if the bit sets are too short."""
    from polytope.regions import kernels_layer as layout

    shared.tasks.extend(Task((i,), path) for i, path in enumerate([()] if start is None else start))
    if shared.progress:
        shared.progress(shared.found, len(shared.tasks))
    if workers <= 1:
        code = _Worker(problem, shared).work()
        if shared.errors:
            raise shared.errors[0]
        return code != layout.WORDS
    team = [_Worker(problem, shared) for _ in range(workers)]
    results: list[int] = []
    threads = [threading.Thread(target=lambda t=t: results.append(t.work()), daemon=True) for t in team]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        with shared.lock:
            shared.stop = True
            shared.lock.notify_all()
        for thread in threads:
            thread.join()
        raise
    if shared.errors:
        raise shared.errors[0]
    return layout.WORDS not in results


class _Worker:
    """One state of the compiled search, taking tasks from the shared queue."""

    def __init__(self, problem: Any, shared: _Shared) -> None:
        from polytope.regions.exact import ExactSigns
        from polytope.regions.vertex_state import new_work, pattern_bytes

        self.net, self.start, self.bounds = problem
        self.shared = shared
        self.quantum = FIRST_QUANTUM
        chunk = int(np.clip(CHUNK // max(pattern_bytes(self.net), 1), 256, 2**18))
        self.w = new_work(self.net, self.start, shared.keep, chunk)
        self.exact = ExactSigns(self.bounds.network, self.net)
        self.scratch: tuple[FloatArray, FloatArray] | None = None

    def work(self) -> int:
        """Take tasks until there are none; the last reason of the compiled code to come back."""
        from polytope.regions import kernels_layer as layout

        code = layout.FINISHED
        try:
            while code != layout.WORDS and (task := self._next()) is not None:
                code = self._task(task)
                self._done(code == layout.WORDS)
        except BaseException as error:
            self.shared.errors.append(error)
            self._done(True)
        return code

    def _next(self) -> Task | None:
        """The next task; waits for one as long as others may still give something away."""
        shared = self.shared
        with shared.lock:
            while not shared.tasks and shared.busy and not shared.stop:
                shared.idle += 1
                shared.lock.wait()
                shared.idle -= 1
            if not shared.tasks:
                return None
            shared.busy += 1
            return shared.tasks.popleft()

    def _done(self, stop: bool) -> None:
        with self.shared.lock:
            self.shared.busy -= 1
            self.shared.stop |= stop
            self.shared.lock.notify_all()

    def _give_away(self, task: Task, given: int) -> int:
        """Give the largest branches that are left to those who wait; how many of this task were given."""
        from polytope.regions.open_cells import given_away

        shared = self.shared
        while len(shared.tasks) < shared.idle and (node := given_away(self.w, self.bounds)) is not None:
            given += 1
            shared.tasks.append(Task((*task.place, -given), *node))
            shared.lock.notify()
        return given

    def _task(self, task: Task) -> int:
        from polytope.regions import kernels_layer as layout
        from polytope.regions.kernels import run
        from polytope.regions.open_cells import open_cells
        from polytope.regions.vertex_state import drain, full, grow, reset

        shared, keep = self.shared, self.shared.keep
        if shared.stop or self._over():
            shared.stop = True
            self._open(task.place, [(task.path, task.most)])
            return layout.PAUSED
        reset(self.net, self.w, self.start, keep, np.array(task.path, dtype=np.int64))
        R = self.w.R
        R[layout.BUDGET] = self.quantum
        chunks: list[dict[str, NDArray[Any]]] = []
        counted, given, looked = 0, 0, time.monotonic()
        most = QUANTUM if shared.full is None else CAREFUL_QUANTUM
        while True:
            R[layout.MAXIT] = counted + max(shared.max_regions - shared.found, 0)
            code = int(run(self.net, self.w))
            if code == layout.REDUCE:
                n = self._search_reduced(None, self.w)
                R[layout.COUNT] += max(n, 0)
                R[layout.PHASE] = int(n >= 0)
                code = layout.REDUCE if n >= 0 else layout.PAUSED
            with shared.lock:
                shared.found += int(R[layout.COUNT]) - counted
                counted = int(R[layout.COUNT])
                given = self._give_away(task, given)
                if code == layout.REDUCE:
                    continue
                if code == layout.NEED_SIGN:
                    self._answer(self.w, None)
                    continue
                if code == layout.GROW:
                    grow(self.w, int(R[layout.WHAT]))
                    continue
                if code == layout.FLUSH:
                    if int(R[layout.OUTN]) == 0:
                        full(self.w, keep)
                    else:
                        chunks.append(drain(self.w, keep))
                    continue
                if code == layout.LOST:
                    raise ValueError("A branch to start from is not one of this network on this domain.")
                if code == layout.PAUSED and not self._over():
                    slow = time.monotonic() - looked > LOOK_SECONDS
                    self.quantum = max(self.quantum // 2, 1) if slow else min(2 * self.quantum, most)
                    R[layout.BUDGET], looked = self.quantum, time.monotonic()
                    if shared.progress:
                        shared.progress(shared.found, len(shared.tasks) + shared.busy)
                    continue
                if code == layout.PAUSED:
                    shared.stop = True
                    nodes, most = open_cells(self.w, self.bounds, current=R[layout.PHASE] == 0)
                    most = min(most, _most(task, self.bounds) - counted)
                    self._open(task.place, nodes, most)
                if keep and R[layout.OUTN]:
                    chunks.append(drain(self.w, keep))
                shared.chunks[task.place] = chunks
                shared.n_exact += int(R[layout.NEXACT])
                shared.margin = min(shared.margin, float(self.w.fl[0]))
                return code

    def _over(self) -> bool:
        """Whether a limit has been reached."""
        shared = self.shared
        spent = shared.found >= shared.max_regions or time.monotonic() >= shared.deadline
        return shared.stop or spent or (shared.full is not None and shared.full())

    def _open(
        self,
        place: tuple[int, ...],
        nodes: Sequence[tuple[Path, int | tuple[int, int] | None]],
        most: int | None = None,
    ) -> None:
        """Keep nodes for later, each with its bound; together they hold so many regions at most, if known."""
        with self.shared.lock:
            self.shared.open[place] = tasks = [Task(place, *node) for node in nodes]
            if most is not None:
                self.shared.saved += sum(_most(task, self.bounds) for task in tasks) - most

    def _search_reduced(self, part: Reduced | None, outer: Any) -> int:
        """The number of cells in the present one, found in its own network; -1 if a limit was reached.

        Arguments:
            part, outer: the reduced network in which the cell was met (None: the given one), and its search.
        """
        from polytope.regions import kernels_layer as layout
        from polytope.regions.kernels import run
        from polytope.regions.reduced_network import reduce, reduce_again
        from polytope.regions.vertex_state import grow, new_work, reset

        part = reduce(self.net, outer, self._scratch()) if part is None else reduce_again(part, outer)
        w = new_work(part.net, part.start, 0, 1)
        reset(part.net, w, part.start, 0, np.zeros(0, dtype=np.int64))
        code = layout.PAUSED
        quantum = QUANTUM if part.net.par[4] == 0 else min(QUANTUM, EARLY_QUANTUM)
        while code != layout.FINISHED:
            w.R[layout.BUDGET] = quantum
            code = int(run(part.net, w))
            if code in (layout.PAUSED, layout.REDUCE) and self._over():
                return -1
            if code == layout.REDUCE:
                n = self._search_reduced(part, w)
                if n < 0:
                    return -1
                w.R[layout.COUNT] += n
                w.R[layout.PHASE] = 1
                continue
            with self.shared.lock:
                if code == layout.NEED_SIGN:
                    self._answer(w, part)
                elif code == layout.GROW:
                    grow(w, int(w.R[layout.WHAT]))
        self.shared.margin = min(self.shared.margin, float(w.fl[0]))
        return int(w.R[layout.COUNT])

    def _scratch(self) -> tuple[FloatArray, FloatArray]:
        """Zeros for finding columns of reduced networks."""
        from polytope.regions.kernels_reduce import WIDE

        if self.scratch is None:
            n = self.net.Z0.shape[1]
            room = np.zeros(n * WIDE + 8)
            at = -(room.ctypes.data // 8) % 8  # rows in as few cache lines as possible
            self.scratch = room[at : at + n * WIDE].reshape(n, WIDE), np.zeros(n)
        return self.scratch

    def _answer(self, w: Any, part: Reduced | None) -> None:
        """Decide the signs that a search asks for, in rational arithmetic; ``part``: a cell's own network."""
        from polytope.regions import kernels_layer as layout

        R = w.R
        row: tuple[int, int, float] = (int(R[layout.QA]), int(R[layout.QB]), float(w.fl[1]))
        row = row if part is None else part.given_row(*row)
        seg = w.seg if part is None else part.given_pieces(w)
        for i in w.req[: R[layout.NREQ]]:
            w.memo[i] = self.exact.value(self._facets(int(i), w, part), row, seg)
        R[layout.MEMO] = 1
        self.shared.n_exact += int(R[layout.NREQ])

    def _facets(self, i: int, w: Any, part: Reduced | None) -> list[tuple[int, int, float]]:
        """The rows of the facets through vertex i of the present cell."""
        from polytope.regions import kernels_layer as layout

        R, d, words = w.R, int(self.net.par[0]), int(self.net.par[2])
        k, at = int(R[layout.K]), int(R[layout.IOFF])
        if d == 2:
            records = [int(w.VI[at + i]), int(w.VI[at + (i - 1) % k])]
        else:
            bits = [int(w.VI[at + q * k + i]) for q in range(words)]
            slots = [64 * q + s for q in range(words) for s in range(64) if bits[q] >> s & 1]
            records = [int(w.VI[at + words * k + s]) for s in slots]
        rows = [(int(w.rec_i[f, 5]), int(w.rec_i[f, 6]), float(w.rec_f[f, d + 2])) for f in records]
        if part is None:
            return rows
        return [
            row if f < part.n_records else part.given_row(*row) for f, row in zip(records, rows, strict=True)
        ]


def _most(task: Task, bounds: Bounds) -> int:
    """The most regions in a branch."""
    if task.most is None:
        return bounds.ceiling.whole
    return bounds.node(*task.most) if isinstance(task.most, tuple) else task.most


def _problem(network: Network, domain: Polyhedron, words: int) -> Any:
    """The flat network on the domain, the first cell (a box that contains the domain), bounds for cells."""
    from polytope.regions.flat_network import flatten
    from polytope.regions.open_cells import Bounds

    d, A, b = domain.dim, domain.A, domain.b
    low, high, owner = bounding_box(domain)
    rows = [np.concatenate([a, [-c]]) for a, c in zip(A, b, strict=True)]
    first: list[tuple[int, int]] = []  # (row in rows, its number), for x_t >= low, x_t <= high in turn
    for t in range(d):
        for side in range(2):
            if owner[t, side] >= 0:
                first.append((int(owner[t, side]), int(owner[t, side])))
                continue
            row = np.zeros(d + 1)
            row[t], row[d] = (-1.0, low[t]) if side == 0 else (1.0, -high[t])
            first.append((len(rows), 2**30))
            rows.append(row)
    used = {number for _, number in first}
    cutting = [(i, i) for i in range(len(A)) if i not in used]
    xmax = np.maximum(np.abs(low), np.abs(high))
    net = flatten(network, np.array(rows).reshape(-1, d + 1), cutting, xmax, words)
    return net, _box_cell(np.array(rows), first, low, high, words), Bounds(network, net)


def _box_cell(
    rows: FloatArray, first: list[tuple[int, int]], low: FloatArray, high: FloatArray, words: int
) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """The box as planes of vertices, their facets, and the facets' records."""
    d = len(low)
    rec_i = np.zeros((2 * d, 7), dtype=np.int64)
    rec_f = np.zeros((2 * d, d + 3))
    for f, (row, number) in enumerate(first):
        rec_i[f] = [-number - 1, 0, 0, -2, -2, row, -2]
        rec_f[f, : d + 1] = rows[row]
    if d == 2:
        x = [low[0], high[0], high[0], low[0]]
        y = [low[1], low[1], high[1], high[1]]
        coordinates = np.array([x, y])
        VI = np.array([2, 1, 3, 0], dtype=np.int64)
    else:
        corner = np.arange(2**d)
        sides = np.array([(corner >> t) & 1 for t in range(d)])
        coordinates = np.where(sides == 1, high[:, None], low[:, None])
        bits = np.zeros((words, 2**d), dtype=np.int64)
        for t in range(d):
            bits[0] |= np.int64(1) << (2 * t + sides[t])
        slots = np.full(64 * words, -1, dtype=np.int64)
        slots[: 2 * d] = np.arange(2 * d)
        VI = np.concatenate([bits.ravel(), slots])
    errors = np.full((1, coordinates.shape[1]), 2.0**-52 * max(np.abs(coordinates).max(), 1e-300))
    return np.concatenate([coordinates, errors]).ravel(), VI, rec_i, rec_f


def _unscaled(found: VertexCells, scale: FloatArray) -> VertexCells:
    """All points in the given coordinates."""
    if (scale == 1).all():
        return found
    names = ("interior_points", "facet_points", "vertices", "vertex_errors")
    points = {name: getattr(found, name) * scale for name in names}
    return replace(found, patterns=as_kept(found), **points)


def _collect(shared: _Shared, d: int, words: int, workers: int, bounds: Bounds) -> VertexCells:
    """The results of all tasks in the order of the search."""
    from polytope.regions.vertex_state import pattern_bytes, patterns_of

    chunks = [c for place in sorted(shared.chunks) for c in shared.chunks[place]]
    tasks = [task for place in sorted(shared.open) for task in shared.open[place]] + list(shared.tasks)
    open_bounds = tuple(_most(task, bounds) for task in tasks)
    most = sum(open_bounds) - shared.saved
    at = 0
    for c in chunks:
        c["o_ext"] = c["o_ext"] + np.array([at, 0])
        at += len(c["o_funit"])
    empty: dict[str, NDArray[Any]] = {
        "o_pat": np.zeros((0, pattern_bytes(bounds.net)), np.int8),
        "o_point": np.zeros((0, d)),
        "o_fptr": np.zeros(0, np.int64),
        "o_funit": np.zeros(0, np.int32),
        "o_fkey": np.zeros(0, np.uint64),
        "o_ext": np.zeros((0, 2), np.int64),
        "o_fpoint": np.zeros((0, d)),
        "o_vptr": np.zeros(0, np.int64),
        "o_vert": np.zeros((0, d + 1)),
        "o_inc": np.zeros((0, words), np.int64),
    }

    def joined(name: str) -> NDArray[Any]:
        parts = [c.pop(name) for c in chunks if name in c] or [empty[name]]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    arrays = dict(zip(empty, _each(joined, empty, workers), strict=True))
    return VertexCells(
        n_regions=shared.found,
        complete=not tasks,
        open_cells=tuple(task.path for task in tasks),
        open_bounds=open_bounds,
        open_bound=min(most, bounds.ceiling.whole - shared.found) if tasks else 0,
        patterns=patterns_of(bounds.net, arrays["o_pat"]),
        interior_points=arrays["o_point"],
        facet_offsets=np.concatenate([[0], np.cumsum(arrays["o_fptr"])]).astype(np.int64),
        facet_units=arrays["o_funit"],
        facet_keys=arrays["o_fkey"],
        facet_more=arrays["o_ext"],
        facet_points=arrays["o_fpoint"],
        vertex_offsets=np.concatenate([[0], np.cumsum(arrays["o_vptr"])]).astype(np.int64),
        vertices=np.ascontiguousarray(arrays["o_vert"][:, :d]),
        vertex_errors=np.broadcast_to(arrays["o_vert"][:, d:], (len(arrays["o_vert"]), d)),
        incidences=arrays["o_inc"],
        smallest_margin=shared.margin,
        n_exact=shared.n_exact,
    )
