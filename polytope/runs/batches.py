r"""A search in batches: open branches go to workers, what they find goes to a directory, shard by shard.

The frontier is the list of open branches. A worker takes a batch of them, searches for a while, and returns
regions and the branches that it left, which go to whoever is idle: so work is split further as long as there
is any. A batch whose worker died is given to another one. Any engine that can go on from open cells will do.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from math import ceil, inf
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from polytope.core.limits import Limit
from polytope.core.open_cells import ForeignBranchError, Path
from polytope.core.result import Keep, SearchResult, added
from polytope.core.vertex_cells import VertexCells
from polytope.engines.budget import Budget, Progress, free_bytes, resident_bytes
from polytope.engines.engine import Divisible
from polytope.engines.searching import searched
from polytope.errors import CorruptFileError
from polytope.exact.cells import ExactCells
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.network import Network
from polytope.regions.complex import RegionComplex
from polytope.regions.found import in_memory
from polytope.regions.manifest import create, refuse_unstorable
from polytope.regions.shards import (
    ROWS,
    SHARD_BYTES,
    Frontier,
    add_shard,
    advanced,
    beginning,
    row_bytes,
    set_aside,
    shard_of,
    sole_writer,
)
from polytope.runs.directories import (
    has_certificate,
    load_complex,
    most_regions,
    read_manifest,
    same_run,
    stored,
    write_certificate,
    write_effort,
)
from polytope.runs.evidence import evidence_of
from polytope.runs.executors import Pool, pool_of
from polytope.verify.entries import Search

BATCH_SECONDS = 2.0  # of a batch; the first ones are shorter, so that all workers soon have one
STEPS = 1 << 19  # of the branches in a batch: a shard says in 12 bytes each which it took, and which it left
COUNTED = 1 << 40  # regions in a batch whose regions are only counted
CERTIFIED_ROWS = 1 << 12  # of a certificate, whose evidence takes longer than the search

Batch = tuple[Path, ...]


class Part(NamedTuple):
    """What a worker found: how many regions, the branches that it left with their bounds, the shard."""

    regions: int
    left: tuple[tuple[Path, int], ...]
    shard: bytes | File
    statistics: Mapping[str, float]
    stopped_by: Limit | None = None


class Share(NamedTuple):
    """What of the limits a batch has.

    Arguments:
        rows, seconds: regions and time of the search.
        patience: seconds for what has to be made before it, once in each process.
        memory: bytes that the process may take; ``None``: half of what is free there.
        added: bytes that it may take more than it has; used where ``memory`` is not given.
    """

    rows: int
    seconds: float
    patience: float = inf
    memory: int | None = None
    added: int | None = None

    def budget(self) -> Budget:
        """The limits, from now on."""
        memory = self.memory
        if memory is None and self.added is not None:
            memory = resident_bytes() + self.added
        return Budget(self.rows, max(self.seconds, 1e-3), memory, self.patience)


def run_batch(
    problem: bytes,
    batch: Batch,
    share: Share,
    keep: Keep,
    mark: File | None = None,
    number: int = 0,
) -> Part:
    """What a worker does: search from some branches until a number of regions or seconds is reached.

    Arguments:
        keep: of "vertices", evidence is made.
        mark: the directory's; a worker that sees it writes the shard there, and does not send it.
        number: of the batch; Dask would answer the same call with the same result.
    """
    network, domain, engine = _problem(problem)
    budget = share.budget()
    found = searched(engine, network, domain, start=batch, budget=budget, keep=keep, progress=None)
    left = tuple(zip(found.open_cells, found.open_bounds, strict=True))
    untouched = not found.n_regions and found.open_cells == tuple(batch)
    if keep == "count" or untouched:  # there is nothing to write of a search that could not begin
        return Part(found.n_regions, left, b"", found.statistics, budget.stopped_by)
    evidence = None
    if keep == "vertices" and isinstance(found, VertexCells):
        evidence = evidence_of(found, ExactCells(network, domain.rows, domain.b))
    shard = shard_of(found, batch, len(domain.b), evidence)
    written = (mark and set_aside(mark, shard)) or shard
    return Part(found.n_regions, left, written, found.statistics, budget.stopped_by)


@lru_cache(maxsize=1)
def _problem(problem: bytes) -> tuple[Network, Polyhedron, Divisible]:
    """The network, the domain and the engine that this worker was sent last."""
    sent: tuple[Network, Polyhedron, Divisible] = pickle.loads(problem)  # noqa: S301  # by our own process
    return sent


def enumerate_in_batches(
    directory: str | File | None,
    network: Network,
    domain: Polyhedron,
    engine: Divisible,
    *,
    resume: bool = False,
    certificate: bool = False,
    executor: Executor | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> RegionComplex:
    """Enumerate into a directory; a run that was stopped goes on where its shards end.

    Arguments:
        directory: for the shards, made if it is not there; ``None`` brings them into memory at the end.
        engine: with its threads here, or with one where batches run in processes of their own.
        resume: whether the directory must hold a run of the same network and domain to go on with.
        certificate: write evidence for ``verify_certificate``; a run that is resumed stays as it was begun.
        executor: where batches are run; by default in ``engine.workers`` processes, or here if that is 1.
        budget: limits of this call.
        progress: called with the numbers of regions found and of open branches.

    Raises:
        ValueError: the directory holds a run although ``resume`` is false; or none, or one of another network
            or domain, or one without a certificate that is wanted, although it is true.
        CertificateError: a region has no evidence.
        CorruptFileError: the directory was changed, so that there is nothing to go on with.
        SolverError: workers died again and again.
    """
    if directory is None and certificate:
        raise ValueError("A certificate is written into a directory: name one.")
    budget = budget or Budget()
    problem = pickle.dumps((network, domain, replace(engine, workers=1)))
    with TemporaryDirectory() if directory is None else nullcontext(directory) as folder:
        place = File(folder)
        if resume:
            same_run(place, network, domain, engine.name, certificate=certificate)
        else:
            refuse_unstorable(network, certificate=certificate)
        with sole_writer(place) as mark, pool_of(executor, engine.workers) as pool:
            if not resume:
                create(place, network, domain, engine.name, certificate=certificate)
            sealed = read_manifest(place).certificate
            keep: Keep = "vertices" if sealed else "cells"
            each = row_bytes(network.n_units, domain.dim, len(domain.b), certificate=sealed)
            rows = min(CERTIFIED_ROWS if sealed else ROWS, SHARD_BYTES // each)
            run = _Run((place, mark), problem, keep, max(rows, 1), budget, progress, stored(place).frontier)
            run.all(pool, engine.workers if executor is None else None)
            if run.batches:
                write_effort(place, budget.seconds, run.statistics)
            done = load_complex(place)
            if sealed and done.complete and (run.batches or not has_certificate(place)):
                write_certificate(place, run.state)
        why = None if done.complete else budget.reason(run.state.regions - run.first)
        found = done.found if directory is not None else in_memory(done.found)
        return replace(done, found=found, stopped_by=why)


def count_in_batches(
    network: Network,
    domain: Polyhedron,
    engine: Divisible,
    executor: Executor,
    budget: Budget,
    progress: Progress | None,
) -> SearchResult:
    """How far the count of the regions comes within the budget; nothing is kept."""
    problem = pickle.dumps((network, domain, replace(engine, workers=1)))
    run = _Run(None, problem, "count", COUNTED, budget, progress, beginning(most_regions(network)))
    with pool_of(executor, 1) as pool:
        run.all(pool, None)
    state = run.state
    return SearchResult(
        engine=engine.name,
        n_regions=state.regions,
        open_bound=0 if state.complete else max(state.upper - state.regions, 1),
        kept_patterns=np.zeros((0, network.n_units), np.int8),
        interior_points=np.zeros((0, network.input_dim)),
        statistics=run.statistics,
        open_cells=tuple(path for path, _ in state.open),
        open_bounds=tuple(bound for _, bound in state.open),
    )


class _Run:
    """The frontier of one call, and the batches that workers have."""

    def __init__(
        self,
        place: tuple[File, File] | None,
        problem: bytes,
        keep: Keep,
        rows: int,
        budget: Budget,
        report: Progress | None,
        state: Frontier,
    ) -> None:
        self.place, self.problem, self.keep = place, problem, keep  # the directory, and its mark
        self.budget, self.report, self.state = budget, report, state
        self.rows = rows
        self.waiting: list[Path] = [path for path, _ in state.open]
        self.busy: dict[Future[Part], _Batch] = {}
        self.batches, self.first = 0, state.regions
        self.statistics: Mapping[str, float] = {}

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
        if self.budget.stopped_by == "memory":
            return True
        return self.budget.spent(self.state.regions - self.first) or not self._regions_left()

    def _regions_left(self) -> float:
        """Regions of the budget that nobody has found, and that no batch was promised."""
        if self.budget.max_regions is None:
            return inf
        promised = sum(part.rows for part in self.busy.values())
        return max(self.budget.max_regions - (self.state.regions - self.first) - promised, 0)

    def _submit(self, pool: Pool, slots: int) -> None:
        """Give a worker its share of the open branches, deep and shallow ones, and of the budget."""
        idle = max(slots - len(self.busy), 1)
        batch = _not_too_long(self.waiting[::idle])
        mine = set(batch)
        self.waiting = [path for path in self.waiting if path not in mine]
        rows = self.rows
        if self.budget.max_regions is not None:
            rows = min(rows, ceil(self._regions_left() / idle))
        seconds = BATCH_SECONDS if self.batches >= 4 * slots else BATCH_SECONDS / 8
        if self.budget.max_seconds is not None:
            seconds = min(seconds, max(self.budget.max_seconds - self.budget.seconds, 0.0))
        self.batches += 1
        mark = self.place and self.place[1]
        left = self.budget.left
        share = Share(
            rows, seconds, inf if left is None else left, self.budget.max_memory, self._added(pool, slots)
        )
        future, runner = pool.submit(run_batch, self.problem, batch, share, self.keep, mark, self.batches)
        self.busy[future] = _Batch(batch, rows, runner)

    def _added(self, pool: Pool, slots: int) -> int | None:
        """The bytes that each process of our own may take more by default: a part of half of what is free."""
        free = free_bytes()
        return None if free is None or pool.given is not None else free // 2 // max(slots // 2, 1)

    def _take(self, pool: Pool, future: Future[Part]) -> Part | None:
        """Take over what a worker found; if it died, its batch is open again."""
        mine = self.busy.pop(future)
        try:
            part = future.result()
        except ForeignBranchError as error:
            if self.place is None:
                raise
            raise CorruptFileError(
                f"{self.place[0]}: a branch that its shards left is not one of this network in this domain. "
                "They were changed: begin again in another directory."
            ) from error
        except Exception as error:
            if not pool.is_lost(error):
                raise
            self.waiting = [*mine.batch, *self.waiting]
            pool.renew(mine.runner, error)
            return None
        pool.returned()
        if part.stopped_by == "memory":
            self.budget.stopped_by = "memory"
        if self.place is not None and not part.shard:
            self.waiting = [*mine.batch, *self.waiting]
            return None
        self.statistics = added(self.statistics, part.statistics)
        self.state = advanced(self.state, Search(mine.batch, part.left, part.regions))
        self.waiting = [*(path for path, _ in part.left), *self.waiting]
        return part


def _slots(pool: Pool, workers: int | None) -> int:
    """How many batches are out at once: two for each worker, so that none waits for the next one."""
    size = pool.size(workers)
    return 2 * size if size > 1 else 1


def _not_too_long(branches: Sequence[Path]) -> Batch:
    """The first branches, so many that a shard can name them: one at least."""
    ends = accumulate(len(path) + 1 for path in branches)
    return tuple(path for path, end in zip(branches, ends, strict=True) if end <= STEPS) or (branches[0],)


class _Batch(NamedTuple):
    """What a worker has: its branches, the regions it may find, and the executor that runs it."""

    batch: Batch
    rows: int
    runner: Executor
