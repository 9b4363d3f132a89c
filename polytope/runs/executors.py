"""Where batches of a search are run: processes of our own, a caller's executor, or a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from polytope.errors import SolverError

ATTEMPTS = 20  # deaths of workers in a row after which a search gives up
FIRST_ATTEMPTS = 3  # the same where no worker has returned anything yet: something is wrong with all of them


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
        self.deaths, self.worked = 0, False

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
            try:
                cores: int = sum(scheduler.ncores().values())
            except Exception as error:
                if not is_gone(error):
                    raise
                raise gone() from error
            return max(cores, 1)
        return int(getattr(self.given, "_max_workers", 1))

    def submit(self, *job: Any) -> tuple[Future[Any], Executor]:
        """Run a batch; and where it runs."""
        try:
            return self.runner.submit(*job), self.runner
        except (BrokenExecutor, OSError) as error:  # a worker died, and no batch has told us yet
            if isinstance(error, OSError) and self.given is not None:
                raise  # of our own pool: its pipes were closed while a worker was being started
            self.renew(self.runner, error)
            return self.runner.submit(*job), self.runner

    def is_lost(self, error: Exception) -> bool:
        """Whether an error says that a worker died, or that a caller's executor is gone."""
        return isinstance(error, BrokenExecutor) or (self.given is not None and is_gone(error))

    def returned(self) -> None:
        """Take note that a worker did what it was given."""
        self.deaths, self.worked = 0, True

    def renew(self, broken: Executor, error: BaseException) -> None:
        """A new executor in place of the broken one, unless that is replaced already.

        Raises:
            SolverError: the broken one is the caller's, or workers died again and again.
        """
        if self.given is not None:
            raise gone() from error
        if broken is not self.runner:
            return
        self.deaths += 1
        if self.deaths >= (ATTEMPTS if self.worked else FIRST_ATTEMPTS):
            raise SolverError(self._epitaph()) from error
        broken.shutdown(wait=False, cancel_futures=True)
        self.life.close()
        self.runner = self._new()

    def _epitaph(self) -> str:
        """How the workers died, and what to do."""
        if self.worked:
            return (
                f"Worker processes were killed {self.deaths} times in a row, perhaps for want of memory: use "
                "fewer workers. A run into a directory can be resumed."
            )
        return (
            f"Worker processes died {self.deaths} times before one of them had done anything. They import "
            "the main module: what a script does must stand below if __name__ == '__main__'. Else use "
            "workers=1."
        )


def is_gone(error: Exception) -> bool:
    """Whether an error is not the work's, but says that a worker or a cluster's scheduler is gone."""
    if isinstance(error, OSError):  # what the system says of a file has a number
        return error.errno is None
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__module__.startswith(
        "distributed"
    )


def gone() -> SolverError:
    """What is raised when a caller's executor, or a cluster, does no more."""
    return SolverError(
        "The executor or the cluster that ran the search is gone, or its workers died. A run into a "
        "directory can be resumed."
    )


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
