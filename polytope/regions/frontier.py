r"""A search in slices: open branches go to workers, what they find goes to a directory, shard by shard.

The frontier is the list of open branches. A worker takes a batch of them, searches for a while, and returns
regions and the branches that it left, which go to whoever is idle: so work is split further as long as there
is any. A batch whose worker died is given to another one.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from functools import lru_cache
from math import ceil, inf
from multiprocessing import get_context
from pathlib import Path as File
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, NamedTuple

from polytope.errors import SolverError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.exact_cells import ExactCells
from polytope.ir.network import Network
from polytope.regions.complex import RegionComplex
from polytope.regions.evidence import with_evidence
from polytope.regions.found import Budget
from polytope.regions.found import Progress as Report
from polytope.regions.storage import (
    Progress,
    StoredComplex,
    create,
    has_certificate,
    in_memory,
    load_complex,
    read_manifest,
    same_run,
    write_certificate,
    write_shard,
)
from polytope.regions.vertex_cell import Path, VertexCells, explore

SLICE_SECONDS = 2.0  # of a batch; the first ones are shorter, so that all workers soon have one
ROWS = 1 << 16  # regions in a shard at most
CERTIFIED_ROWS = 1 << 12  # of a certificate, whose evidence takes longer than the search
ATTEMPTS = 20  # deaths of workers in a row after which a search gives up

Batch = tuple[Path, ...]


def run_slice(
    problem: bytes, batch: Batch, rows: int, seconds: float, certificate: bool = False
) -> VertexCells:
    """What a worker does: search from some branches until so many regions or seconds are spent."""
    network, domain, exact = _problem(problem)
    keep, deadline = "vertices" if certificate else "cells", monotonic() + seconds
    found = explore(network, domain.A, domain.b, keep=keep, start=batch, max_regions=rows, deadline=deadline)
    return with_evidence(found, exact) if certificate else found


@lru_cache(maxsize=1)
def _problem(problem: bytes) -> tuple[Network, Polyhedron, ExactCells]:
    """The network and the domain that this worker was sent last."""
    network, domain = pickle.loads(problem)  # noqa: S301  # sent by our own process
    return network, domain, ExactCells(network, domain.A, domain.b)


def enumerate_in_slices(
    directory: str | File | None,
    network: Network,
    domain: Polyhedron,
    *,
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
    budget = budget or Budget()
    if directory is None:
        if certificate:
            raise ValueError("A certificate is written into a directory: name one.")
        with TemporaryDirectory() as folder:
            done = _into(File(folder), network, domain, False, False, executor, workers, budget, progress)
            return in_memory(done, network, budget.seconds)
    return _into(File(directory), network, domain, resume, certificate, executor, workers, budget, progress)


def _into(
    directory: File,
    network: Network,
    domain: Polyhedron,
    resume: bool,
    certificate: bool,
    executor: Executor | None,
    workers: int,
    budget: Budget,
    progress: Report | None,
) -> StoredComplex:
    if resume:
        same_run(directory, network, domain, certificate=certificate)
    else:
        create(directory, network, domain, certificate=certificate)
    certificate = read_manifest(directory).get("certificate") is True
    stored = load_complex(directory)
    problem = pickle.dumps((network, domain))
    run = _Run(directory, problem, certificate, stored.upper, budget, progress, stored.progress)
    with _executor(executor, workers) as pool:
        run.all(pool, workers if executor is None else None)
    done = load_complex(directory)
    if certificate and done.complete and (run.slices or not has_certificate(directory)):
        write_certificate(directory, done.progress)
    return done


class _Run:
    """The frontier of one call, and the batches that workers have."""

    def __init__(
        self,
        directory: File,
        problem: bytes,
        certificate: bool,
        whole: int,
        budget: Budget,
        report: Report | None,
        state: Progress,
    ) -> None:
        self.directory, self.problem, self.certificate = directory, problem, certificate
        self.whole, self.budget, self.report, self.state = whole, budget, report, state
        self.waiting: list[Path] = [path for path, _ in state.open]
        self.busy: dict[Future[VertexCells], _Slice] = {}
        self.slices, self.first = 0, state.regions

    def all(self, pool: _Pool, workers: int | None) -> None:
        """Hand out batches and take in shards until nothing is open or the budget is spent."""
        while self.busy or (self.waiting and not self._spent()):
            while self.waiting and not self._spent() and len(self.busy) < pool.size(workers):
                self._submit(pool, pool.size(workers))
            done, _ = wait(self.busy, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(pool, future)
            if self.report:
                self.report(self.state.regions, len(self.state.open))

    def _spent(self) -> bool:
        return self.budget.spent(self.state.regions - self.first) or not self._regions_left()

    def _regions_left(self) -> float:
        """Regions of the budget that nobody has found, and that no slice was promised."""
        if self.budget.max_regions is None:
            return inf
        promised = sum(part.rows for part in self.busy.values())
        return max(self.budget.max_regions - (self.state.regions - self.first) - promised, 0)

    def _submit(self, pool: _Pool, size: int) -> None:
        """Give a worker its share of the open branches, deep and shallow ones, and of the budget."""
        idle = max(size - len(self.busy), 1)
        batch = tuple(self.waiting[::idle])
        mine = set(batch)
        self.waiting = [path for path in self.waiting if path not in mine]
        rows = CERTIFIED_ROWS if self.certificate else ROWS
        if self.budget.max_regions is not None:
            rows = min(rows, ceil(self._regions_left() / idle))
        seconds = SLICE_SECONDS if self.slices >= 4 * size else SLICE_SECONDS / 8
        if self.budget.max_seconds is not None:
            seconds = min(seconds, max(self.budget.max_seconds - self.budget.seconds, 0.0))
        self.slices += 1
        future, runner = pool.submit(run_slice, self.problem, batch, rows, seconds, self.certificate)
        self.busy[future] = _Slice(batch, rows, runner)

    def _take(self, pool: _Pool, future: Future[VertexCells]) -> None:
        """Write what a worker found; if it died, its batch is open again."""
        part = self.busy.pop(future)
        try:
            found = future.result()
        except BrokenExecutor as error:
            self.waiting = [*part.batch, *self.waiting]
            pool.renew(part.runner, error)
            return
        pool.deaths = 0
        self.state = write_shard(self.directory, self.state.shards, found, part.batch, self.whole, self.state)
        self.waiting = [*found.open_cells, *self.waiting]


class _Slice(NamedTuple):
    """What a worker has: its branches, the regions it may find, and the executor that runs it."""

    batch: Batch
    rows: int
    runner: Executor


class _Pool:
    """An executor, ours or the caller's; ours is made anew when a worker died."""

    def __init__(self, given: Executor | None, workers: int) -> None:
        self.given, self.workers = given, workers
        self.runner = given or self._new()
        self.deaths = 0

    def _new(self) -> Executor:
        if self.workers == 1:
            return ThreadPoolExecutor(1)
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))

    def size(self, workers: int | None) -> int:
        """How many slices are to run at once."""
        if workers is not None:
            return workers
        scheduler = getattr(self.given, "_client", None)  # Dask's executor
        if scheduler is not None:
            cores: int = sum(scheduler.ncores().values())
            return max(cores, 1)
        return int(getattr(self.given, "_max_workers", 1))

    def submit(self, *job: Any) -> tuple[Future[VertexCells], Executor]:
        """Run a slice; and where it runs."""
        try:
            return self.runner.submit(*job), self.runner
        except BrokenExecutor as error:  # a worker died, and no slice has told us yet
            self.renew(self.runner, error)
            return self.runner.submit(*job), self.runner

    def renew(self, broken: Executor, error: BaseException) -> None:
        """A new executor in place of the broken one, unless that is replaced already.

        Raises:
            BrokenExecutor: the broken one is the caller's.
            SolverError: workers died again and again.
        """
        if self.given is not None:
            raise error
        if broken is not self.runner:
            return
        self.deaths += 1
        if self.deaths > ATTEMPTS:
            raise SolverError(f"{self.deaths} workers died one after the other: {error}") from error
        broken.shutdown(wait=False, cancel_futures=True)
        self.runner = self._new()


@contextmanager
def _executor(given: Executor | None, workers: int) -> Iterator[_Pool]:
    pool = _Pool(given, workers)
    try:
        yield pool
    finally:
        if given is None:
            pool.runner.shutdown(wait=True, cancel_futures=True)


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor on the workers of a Dask scheduler.

    Raises:
        ValueError: Dask is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("A scheduler needs Dask: pip install 'polytope-nn[distributed]'.") from error
    try:
        client = Client(address, timeout="4s")
    except (OSError, ValueError) as error:
        raise ValueError(f"No Dask scheduler answers at {address!r}.") from error
    with client:
        yield client.get_executor()
