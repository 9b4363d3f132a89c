"""Where batches of a search are run: processes of our own, a caller's executor, or a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from polytope.errors import SolverError

ATTEMPTS = 20  # deaths of workers in a row after which a search gives up


def _end_with(life: Connection) -> None:
    """Let a worker end with its pool: ``life`` is closed when that is given up, or when its process dies.

    An executor joins the workers of a broken pool, also one that was still starting when all others were
    told to end: that one would wait for work for ever, and so would the process when it ends.
    """

    def wait() -> None:
        life.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Pool:
    """An executor, ours or the caller's; ours is made anew when a worker died."""

    def __init__(self, given: Executor | None, workers: int) -> None:
        self.given, self.workers = given, workers
        self.runner = given or self._new()
        self.deaths = 0

    def _new(self) -> Executor:
        if self.workers == 1:
            return ThreadPoolExecutor(1)
        context = get_context("spawn")
        life, self.life = context.Pipe(duplex=False)
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_end_with, initargs=(life,))

    def size(self, workers: int | None) -> int:
        """How many batches are to run at once."""
        if workers is not None:
            return workers
        scheduler = getattr(self.given, "_client", None)  # Dask's executor
        if scheduler is not None:
            cores: int = sum(scheduler.ncores().values())
            return max(cores, 1)
        return int(getattr(self.given, "_max_workers", 1))

    def submit(self, *job: Any) -> tuple[Future[Any], Executor]:
        """Run a batch; and where it runs."""
        try:
            return self.runner.submit(*job), self.runner
        except BrokenExecutor as error:  # a worker died, and no batch has told us yet
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
        self.life.close()
        self.runner = self._new()


@contextmanager
def pool_of(given: Executor | None, workers: int) -> Iterator[Pool]:
    """A pool on an executor, or on one of our own, which is shut down at the end."""
    pool = Pool(given, workers)
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
