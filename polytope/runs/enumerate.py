"""The verb: a network and a domain in, the complex of regions (or their number) out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path as File

from polytope.core.open_cells import Path
from polytope.core.packed import as_kept
from polytope.engines.budget import Budget, Progress
from polytope.engines.layer_split import LayerSplit
from polytope.engines.result import Engine, SearchResult
from polytope.errors import EmptyDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.continuity import refuse_infinite, refuse_jumps
from polytope.regions.complex import RegionComplex
from polytope.runs.batches import SLICED, count_in_slices, enumerate_in_slices


@dataclass(frozen=True)
class RegionCount:
    """The number of regions lies in ``lower .. upper``; where ``complete``, both are the exact count.

    ``seconds`` is the time of the search, ``engine`` what counted, ``statistics`` how many signs each test
    decided, ``open_cells`` the branches of the search that a budget left, where the engine names them.
    """

    lower: int
    upper: int
    complete: bool
    seconds: float
    engine: str
    statistics: Mapping[str, float] = field(default_factory=dict)
    open_cells: tuple[Path, ...] = ()


def enumerate_regions(
    network: Network,
    domain: Polyhedron,
    engine: Engine | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    executor: Executor | None = None,
    directory: str | File | None = None,
    resume: bool = False,
    certificate: bool = False,
    progress: Progress | None = None,
) -> RegionComplex:
    r"""All activation regions in a domain: the sets :math:`\{x : \text{pattern}(x) = a\}` with interior.

    Arguments:
        network: a piecewise-affine network.
        domain: a polyhedron with interior in its input space.
        engine: ``LayerSplit()`` by default; ``Sampling(n)`` for a lower bound.
        max_regions, max_seconds, max_memory: budgets, the last in bytes that this process may take. A search
            that one of them stops is not complete, and says so.
        executor: runs slices of the search: processes, or a Dask cluster's ``client.get_executor()``.
        directory: where regions go as they are found (see ``shards``); the result reads them lazily.
        resume: go on with the search that the directory holds.
        certificate: write evidence too, so that ``verify_certificate`` can prove what the directory says.
        progress: called with the numbers of regions found and of open cells.

    Returns:
        The regions found, each once, with ``complete`` and a certified ``upper`` bound.

    Raises:
        ValueError: the domain's dimension is not the network's, a budget is not positive, the directory does
            not fit, the engine cannot work in slices, a unit of the network jumps, or a weight is not finite.
        EmptyDomainError: the domain has no interior.
        SolverError: the linear-programming solver gave up.
        CertificateError: a region has no evidence; the message says which and why.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> len(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        2
    """
    budget = Budget(max_regions, max_seconds, max_memory)
    if executor is not None or directory is not None:
        _check(network, domain)
        chosen = _in_slices(engine, network, domain, certificate=certificate)
        return enumerate_in_slices(
            directory,
            network,
            domain,
            cells=chosen.kind(network, domain),
            resume=resume,
            certificate=certificate,
            executor=executor,
            workers=chosen.workers,
            budget=budget,
            progress=progress,
        )
    if resume:
        raise ValueError("There is nothing to resume without a directory.")
    if certificate:
        raise ValueError("A certificate is written into a directory: name one.")
    found = _search(network, domain, engine, budget, progress, keep=True)
    return RegionComplex(
        network,
        domain,
        as_kept(found),
        found.interior_points,
        upper=found.n_regions + found.open_bound,
        engine=found.engine,
        seconds=budget.seconds,
        statistics=found.statistics,
        candidates=found.candidates,
        known_facets=found.facets,
        known_neighbours=found.neighbours,
        open_cells=found.open_cells,
    )


def count_regions(
    network: Network,
    domain: Polyhedron,
    engine: Engine | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> RegionCount:
    """The number of activation regions in a domain; keeps no region. Arguments as ``enumerate_regions``.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> pt.count_regions(net, pt.Polyhedron.box([-1], [1])).upper
        2
    """
    budget = Budget(max_regions, max_seconds, max_memory)
    if executor is not None:
        _check(network, domain)
        kind = _in_slices(engine, network, domain).kind(network, domain)
        done = count_in_slices(network, domain, kind, executor, budget, progress)
        cells = tuple(path for path, _ in done.open)
        upper = done.regions if done.complete else done.upper
        return RegionCount(done.regions, upper, done.complete, budget.seconds, SLICED[kind], open_cells=cells)
    found = _search(network, domain, engine, budget, progress, keep=False)
    upper = found.n_regions + found.open_bound
    return RegionCount(
        found.n_regions,
        upper,
        found.complete,
        budget.seconds,
        found.engine,
        found.statistics,
        found.open_cells,
    )


def _search(
    network: Network,
    domain: Polyhedron,
    engine: Engine | None,
    budget: Budget,
    progress: Progress | None,
    *,
    keep: bool,
) -> SearchResult:
    _check(network, domain)
    chosen = engine or LayerSplit()
    found = chosen.search(network, domain, budget=budget, keep=keep, progress=progress)
    if found.complete and not found.n_regions:
        raise EmptyDomainError(
            "The domain has no interior; affine_hull(domain) gives the window that holds it."
        )
    return found


def _check(network: Network, domain: Polyhedron) -> None:
    if domain.dim != network.input_dim:
        raise ValueError(f"The domain lies in R^{domain.dim}, the network's input in R^{network.input_dim}.")
    refuse_infinite(network)
    refuse_jumps(network)
    _ = domain.inscribed_ball  # raises where there is no interior


def _in_slices(
    engine: Engine | None, network: Network, domain: Polyhedron, *, certificate: bool = False
) -> LayerSplit:
    """The engine, if it can be cut in slices."""
    chosen = engine or LayerSplit()
    kind = chosen.kind(network, domain) if isinstance(chosen, LayerSplit) else ""
    if not isinstance(chosen, LayerSplit) or kind not in SLICED:
        raise ValueError(
            "Executors and directories require LayerSplit on a bounded domain with cells='vertices', or "
            "cells='lp' with solver='simplex'."
        )
    if certificate and kind != "vertices":
        raise ValueError("A certificate is written of vertex cells: LayerSplit(cells='vertices').")
    return chosen
