r"""A search in slices: open branches go to workers, what they find goes to a directory, shard by shard.

The frontier is the list of open branches. A worker takes a batch of them, searches for a while, and returns
regions and the branches that it left, which go to whoever is idle: so work is split further as long as there
is any. A batch whose worker died is given to another one.
"""

from __future__ import annotations

import pickle
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import nullcontext
from functools import lru_cache
from math import ceil, inf
from pathlib import Path as File
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

from polytope.core.open_cells import Path
from polytope.core.vertex_cells import VertexCells, explore
from polytope.engines.budget import Budget
from polytope.engines.budget import Progress as Report
from polytope.engines.lp_choice import SIMPLEX_CELLS
from polytope.engines.result import SearchResult
from polytope.engines.vertex_search import VERTEX_CELLS
from polytope.exact.cells import ExactCells
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.network import Network
from polytope.regions.complex import RegionComplex
from polytope.runs.directories import (
    create,
    has_certificate,
    in_memory,
    load_complex,
    most_regions,
    read_manifest,
    refuse_unstorable,
    same_run,
    write_certificate,
)
from polytope.runs.evidence import Evidence, evidence_of
from polytope.runs.executors import Pool, pool_of
from polytope.runs.shards import (
    Progress,
    add_shard,
    advanced,
    beginning,
    set_aside,
    shard_of,
    sole_writer,
)

SLICED = {"vertices": VERTEX_CELLS, "simplex": SIMPLEX_CELLS}  # kinds of cells that are searched in slices
SLICE_SECONDS = 2.0  # of a batch; the first ones are shorter, so that all workers soon have one
ROWS = 1 << 16  # regions in a shard at most
SHARD_BYTES = 1 << 26  # of patterns in a shard at most
COUNTED = 1 << 40  # regions in a slice whose regions are only counted
CERTIFIED_ROWS = 1 << 12  # of a certificate, whose evidence takes longer than the search

Batch = tuple[Path, ...]


class Part(NamedTuple):
    """What a worker found: so many regions, the branches that it left with their bounds, and the shard."""

    regions: int
    left: tuple[tuple[Path, int], ...]
    shard: bytes | File


def run_slice(
    problem: bytes,
    batch: Batch,
    rows: int,
    seconds: float,
    keep: str = "cells",
    mark: File | None = None,
    number: int = 0,
) -> Part:
    """What a worker does: search from some branches until so many regions or seconds are spent.

    Arguments:
        keep: as for ``explore``; of "vertices", evidence is made.
        mark: the directory's; a worker that sees it writes the shard there, and does not send it.
        number: of the slice; Dask would answer the same call with the same result.
    """
    network, domain, cells, exact = _problem(problem)
    if cells == "simplex":
        from polytope.engines.simplex_cells import search_simplex

        budget = Budget(rows, max(seconds, 1e-3))
        cut = search_simplex(network, domain, budget=budget, keep=keep != "count", progress=None, start=batch)
        return _part(cut, batch, keep, mark)
    deadline = monotonic() + seconds
    found = explore(network, domain.A, domain.b, keep=keep, start=batch, max_regions=rows, deadline=deadline)
    return _part(found, batch, keep, mark, evidence_of(found, exact) if keep == "vertices" else None)


def _part(
    found: VertexCells | SearchResult,
    batch: Batch,
    keep: str,
    mark: File | None,
    evidence: Evidence | None = None,
) -> Part:
    """What goes back."""
    left = tuple(zip(found.open_cells, found.open_bounds, strict=True))
    if keep == "count":
        return Part(found.n_regions, left, b"")
    shard = shard_of(found, batch, evidence)
    return Part(found.n_regions, left, (mark and set_aside(mark, shard)) or shard)


@lru_cache(maxsize=1)
def _problem(problem: bytes) -> tuple[Network, Polyhedron, str, ExactCells]:
    """The network, the domain and the kind of cells that this worker was sent last."""
    network, domain, cells = pickle.loads(problem)  # noqa: S301  # sent by our own process
    return network, domain, cells, ExactCells(network, domain.A, domain.b)


def enumerate_in_slices(
    directory: str | File | None,
    network: Network,
    domain: Polyhedron,
    *,
    cells: str = "vertices",
    resume: bool = False,
    certificate: bool = False,
    executor: Executor | None = None,
    workers: int = 1,
    budget: Budget | None = None,
    progress: Report | None = None,
) -> RegionComplex:
    """Enumerate into a directory; a run that was stopped goes on where its shards end.

    Arguments:
        directory: for the shards, made if it is not there; ``None`` brings them into memory at the end.
        cells: a kind of cells of ``SLICED``.
        resume: whether the directory must hold a run of the same network and domain to go on with.
        certificate: write evidence for ``verify_certificate``; a run that is resumed stays as it was begun.
        executor: where slices are run; by default in ``workers`` processes, or here if that is 1.
        budget: limits of this call.
        progress: called with the numbers of regions found and of open branches.

    Raises:
        ValueError: the directory holds a run although ``resume`` is false; or none, or one of another network
            or domain, or one without a certificate that is wanted, although it is true.
        CertificateError: a region has no evidence.
        SolverError: workers died again and again.
    """
    if directory is None and certificate:
        raise ValueError("A certificate is written into a directory: name one.")
    budget = budget or Budget()
    problem = pickle.dumps((network, domain, cells))
    with TemporaryDirectory() if directory is None else nullcontext(directory) as folder:
        place = File(folder)
        if resume:
            same_run(place, network, domain, SLICED[cells], certificate=certificate)
        else:
            refuse_unstorable(network, certificate=certificate)
        with sole_writer(place) as mark, pool_of(executor, workers) as pool:
            if not resume:
                create(place, network, domain, SLICED[cells], certificate=certificate)
            sealed = read_manifest(place).get("certificate") is True
            keep, rows = ("vertices", CERTIFIED_ROWS) if sealed else ("cells", ROWS)
            rows = max(min(rows, SHARD_BYTES // network.n_units), 1)
            run = _Run((place, mark), problem, keep, rows, budget, progress, load_complex(place).progress)
            run.all(pool, workers if executor is None else None)
            done = load_complex(place)
            if sealed and done.complete and (run.slices or not has_certificate(place)):
                write_certificate(place, done.progress)
        return in_memory(done, network, budget.seconds) if directory is None else done


def count_in_slices(
    network: Network,
    domain: Polyhedron,
    cells: str,
    executor: Executor,
    budget: Budget,
    progress: Report | None,
) -> Progress:
    """How far the count of the regions comes within the budget; nothing is kept."""
    problem = pickle.dumps((network, domain, cells))
    run = _Run(None, problem, "count", COUNTED, budget, progress, beginning(most_regions(network)))
    with pool_of(executor, 1) as pool:
        run.all(pool, None)
    return run.state


class _Run:
    """The frontier of one call, and the batches that workers have."""

    def __init__(
        self,
        place: tuple[File, File] | None,
        problem: bytes,
        keep: str,
        rows: int,
        budget: Budget,
        report: Report | None,
        state: Progress,
    ) -> None:
        self.place, self.problem, self.keep = place, problem, keep  # the directory, and its mark
        self.budget, self.report, self.state = budget, report, state
        self.rows = rows
        self.waiting: list[Path] = [path for path, _ in state.open]
        self.busy: dict[Future[Part], _Slice] = {}
        self.slices, self.first = 0, state.regions

    def all(self, pool: Pool, workers: int | None) -> None:
        """Hand out batches and take in shards until nothing is open or the budget is spent."""
        self._hand_out(pool, slots := _slots(pool, workers))
        while self.busy:
            done, _ = wait(self.busy, return_when=FIRST_COMPLETED)
            number = self.state.shards
            found = [part for future in done if (part := self._take(pool, future)) is not None]
            if slots > 1:
                self._hand_out(pool, slots)  # nobody is idle while this process writes
            if self.place is not None:
                for i, part in enumerate(found, start=number):
                    add_shard(self.place[0], i, part.shard)
            if self.report:
                self.report(self.state.regions, len(self.state.open))
            self._hand_out(pool, slots := _slots(pool, workers))  # a cluster may have grown

    def _hand_out(self, pool: Pool, slots: int) -> None:
        """Give all workers something to do, and something to go on with."""
        while self.waiting and not self._spent() and len(self.busy) < slots:
            self._submit(pool, slots)

    def _spent(self) -> bool:
        return self.budget.spent(self.state.regions - self.first) or not self._regions_left()

    def _regions_left(self) -> float:
        """Regions of the budget that nobody has found, and that no slice was promised."""
        if self.budget.max_regions is None:
            return inf
        promised = sum(part.rows for part in self.busy.values())
        return max(self.budget.max_regions - (self.state.regions - self.first) - promised, 0)

    def _submit(self, pool: Pool, slots: int) -> None:
        """Give a worker its share of the open branches, deep and shallow ones, and of the budget."""
        idle = max(slots - len(self.busy), 1)
        batch = tuple(self.waiting[::idle])
        mine = set(batch)
        self.waiting = [path for path in self.waiting if path not in mine]
        rows = self.rows
        if self.budget.max_regions is not None:
            rows = min(rows, ceil(self._regions_left() / idle))
        seconds = SLICE_SECONDS if self.slices >= 4 * slots else SLICE_SECONDS / 8
        if self.budget.max_seconds is not None:
            seconds = min(seconds, max(self.budget.max_seconds - self.budget.seconds, 0.0))
        self.slices += 1
        mark = self.place and self.place[1]
        future, runner = pool.submit(
            run_slice, self.problem, batch, rows, seconds, self.keep, mark, self.slices
        )
        self.busy[future] = _Slice(batch, rows, runner)

    def _take(self, pool: Pool, future: Future[Part]) -> Part | None:
        """Take over what a worker found; if it died, its batch is open again."""
        mine = self.busy.pop(future)
        try:
            part = future.result()
        except BrokenExecutor as error:
            self.waiting = [*mine.batch, *self.waiting]
            pool.renew(mine.runner, error)
            return None
        pool.deaths = 0
        self.state = advanced(self.state, mine.batch, part.left, part.regions)
        self.waiting = [*(path for path, _ in part.left), *self.waiting]
        return part


def _slots(pool: Pool, workers: int | None) -> int:
    """How many slices are out at once: two for each worker, so that none waits for the next one."""
    size = pool.size(workers)
    return 2 * size if size > 1 else 1


class _Slice(NamedTuple):
    """What a worker has: its branches, the regions it may find, and the executor that runs it."""

    batch: Batch
    rows: int
    runner: Executor
