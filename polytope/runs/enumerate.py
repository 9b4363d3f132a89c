"""The verb: a network and a domain in, the complex of regions (or their number) out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Literal

from polytope.core.limits import Limit
from polytope.core.open_cells import Path
from polytope.core.result import Keep, SearchResult
from polytope.engines.amounts import Bytes, Seconds
from polytope.engines.bars import told
from polytope.engines.budget import Budget, Progress
from polytope.engines.engine import Divisible, Engine
from polytope.engines.layer_split import LayerSplit
from polytope.engines.named import EngineLike, as_engine
from polytope.engines.searching import a_region, searched, with_a_region
from polytope.engines.vertex_search import VertexSearch
from polytope.errors import EmptyDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem, described
from polytope.ir import Network
from polytope.ir.continuity import refuse_infinite, refuse_jumps
from polytope.ir.oneline import one_line
from polytope.ir.paths import as_path
from polytope.regions.complex import RegionComplex
from polytope.runs.batches import count_in_batches, enumerate_in_batches

MANY_UNITS = 20_000  # from which a search may take seconds to its first region: one is looked for before


@dataclass(frozen=True)
class RegionCount:
    """The number of regions lies in ``lower .. upper``; where ``complete``, both are the exact count.

    Arguments:
        lower, upper: certified bounds on the number.
        complete: whether the search came to its end.
        seconds: time of the search.
        engine: what counted.
        statistics: how many signs each of its tests decided.
        open_cells: the branches of the search that a budget left, where the engine names them.
        stopped_by: what ended it early: ``"regions"``, ``"seconds"``, ``"memory"`` or ``"interrupt"``.
        in_place_of: ``", splines of gelu"`` or ``", dequantised"``: whose these are, if not the model's.
    """

    lower: int
    upper: int
    complete: bool
    seconds: float
    engine: str
    statistics: Mapping[str, float] = field(default_factory=dict)
    open_cells: tuple[Path, ...] = ()
    stopped_by: Limit | None = None
    in_place_of: str = field(default="", repr=False)

    def __repr__(self) -> str:
        return f"{one_line(self)[:-1]}{self.in_place_of})"


def enumerate_regions(
    network: NetworkLike,
    domain: DomainLike,
    engine: EngineLike | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    max_memory: Bytes | None = None,
    executor: Executor | None = None,
    directory: str | File | None = None,
    resume: bool = False,
    certificate: bool = False,
    keep: Literal["cells", "vertices"] = "cells",
    progress: Progress | bool | None = None,
) -> RegionComplex:
    r"""All activation regions in a domain: the sets :math:`\{x : \text{pattern}(x) = a\}` with interior.

    Arguments:
        network: a piecewise-affine network; the path of a model file or a PyTorch module will do.
        domain: a polyhedron with interior in its input space, or a box: ``[[low, high], ...]``, a pair for
            every input, or ``(low, high)``.
        engine: ``LayerSplit()`` by default; ``Sampling(n)`` for a lower bound; or a name, "lp", "vertices".
        max_regions, max_seconds, max_memory: budgets, the last in bytes that each process may take; by
            default half of what is free, shared among those of this machine. A search that one of them
            stops is not complete, says which (``stopped_by``), and has a region at least: the one around a
            point in the middle, where it came to no other.
        executor: runs batches of the search: processes, or a Dask cluster's ``client.get_executor()``.
        directory: where regions go as they are found (see ``shards``); the result reads them lazily.
        resume: go on with the search that the directory holds.
        certificate: write evidence too, so that ``verify_certificate`` can prove what the directory says.
        keep: "vertices" keeps those of all cells as they are found, so that volumes and points of facets do
            not search again; in memory, by vertex cells: other engines keep what they have.
        progress: called with the numbers of regions found and of open cells; ``True`` for a bar in the
            terminal or notebook, and then Ctrl-C ends the search with what it has (``stopped_by`` is
            "interrupt"; the second one interrupts, as does the first in batches: a directory can be resumed).

    Returns:
        The regions found, each once, with ``complete`` and a certified ``upper`` bound.

    Raises:
        ValueError: the domain's dimension is not the network's, a budget is not positive, the directory does
            not fit, the engine cannot work in batches, a unit of the network jumps, or a weight is not
            finite.
        EmptyDomainError: the domain has no interior.
        SolverError: the linear-programming solver gave up.
        CertificateError: a region has no evidence; the message says which and why.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> len(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        2
    """
    if keep not in ("cells", "vertices"):
        raise ValueError(f"keep must be 'cells' or 'vertices', not {keep!r}; count_regions keeps nothing.")
    network, domain = as_problem(network, domain)
    budget = Budget(max_regions, max_seconds, max_memory)
    chosen = _chosen(network, domain, as_engine(engine))
    _refuse_other(executor, directory)
    if executor is not None or directory is not None:
        if keep == "vertices":
            raise ValueError("Vertices are kept in memory: name no directory and no executor.")
        with told(progress, "regions") as tell:
            return enumerate_in_batches(
                directory,
                network,
                domain,
                _divisible(chosen, certificate=certificate),
                resume=resume,
                certificate=certificate,
                executor=executor,
                budget=budget,
                progress=tell,
            )
    if resume:
        raise ValueError("There is nothing to resume without a directory.")
    if certificate:
        raise ValueError("A certificate is written into a directory: name one.")
    with told(progress, "regions", budget) as tell:
        found = _found(chosen, network, domain, budget, keep, tell)
    why = None if found.complete else budget.reason(found.n_regions)
    return RegionComplex(network, domain, found, budget.seconds, why)


def count_regions(
    network: NetworkLike,
    domain: DomainLike,
    engine: EngineLike | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    max_memory: Bytes | None = None,
    executor: Executor | None = None,
    progress: Progress | bool | None = None,
) -> RegionCount:
    """The number of activation regions in a domain; keeps no region.

    Arguments:
        network: a piecewise-affine network; the path of a model file or a PyTorch module will do.
        domain: a polyhedron with interior in its input space, or a box: ``[[low, high], ...]``, a pair for
            every input, or ``(low, high)``.
        engine: ``LayerSplit()`` by default; ``Sampling(n)`` for a lower bound; or a name, "lp", "vertices".
        max_regions, max_seconds, max_memory: budgets, as for ``enumerate_regions``.
        executor: runs batches of the search: processes, or a Dask cluster's ``client.get_executor()``.
        progress: as for ``enumerate_regions``.

    Returns:
        Certified bounds on the number; they are equal where the search was complete.

    Raises:
        ValueError, EmptyDomainError, SolverError: as of ``enumerate_regions``.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> pt.count_regions(net, pt.Polyhedron.box([-1], [1])).upper
        2
    """
    network, domain = as_problem(network, domain)
    budget = Budget(max_regions, max_seconds, max_memory)
    chosen = _chosen(network, domain, as_engine(engine))
    _refuse_other(executor, None)
    with told(progress, "regions", budget if executor is None else None) as tell:
        if executor is not None:
            found = count_in_batches(network, domain, _divisible(chosen), executor, budget, tell)
        else:
            found = _found(chosen, network, domain, budget, "count", tell)
    return RegionCount(
        found.n_regions,
        found.upper,
        found.complete,
        budget.seconds,
        found.engine,
        found.statistics,
        found.open_cells,
        None if found.complete else budget.reason(found.n_regions),
        network.in_place_of,
    )


def _found(
    engine: Engine,
    network: Network,
    domain: Polyhedron,
    budget: Budget,
    keep: Keep,
    progress: Progress | None,
) -> SearchResult:
    """What the engine finds, and one region at least where the domain has an interior."""
    slow = budget.max_seconds is not None and network.n_units > MANY_UNITS
    known = a_region(network, domain, budget) if slow else None
    found = searched(engine, network, domain, budget=budget, keep=keep, progress=progress)
    if found.complete and not found.n_regions:
        raise EmptyDomainError(
            "The domain has no interior; affine_hull(domain) gives the window that holds it."
        )
    if found.n_regions or found.complete:
        return found
    known = known if slow else a_region(network, domain, budget)
    return found if known is None else with_a_region(found, known, keep)


def _chosen(network: Network, domain: Polyhedron, engine: Engine) -> Engine:
    """The engine that does the work, once network and domain are looked at."""
    refuse_infinite(network)
    refuse_jumps(network)
    _ = domain.inscribed_ball  # raises where there is no interior
    return engine.choose(network, domain) if isinstance(engine, LayerSplit) else engine


def _refuse_other(executor: object, directory: str | File | None) -> None:
    """Refuse what is neither an executor nor the name of a directory."""
    if executor is not None and (isinstance(executor, type) or not hasattr(executor, "submit")):
        raise TypeError(
            "executor: a concurrent.futures.Executor is expected, such as ProcessPoolExecutor(2) or a Dask "
            f"client's get_executor(), not {described(executor)}; LayerSplit(workers=2) has threads."
        )
    if directory is not None:
        as_path(directory, "directory")


def _divisible(engine: Engine, *, certificate: bool = False) -> Divisible:
    """The engine, if its searches can be cut in batches."""
    if not isinstance(engine, Divisible):
        raise ValueError(
            "Executors and directories require LayerSplit on a bounded domain with cells='vertices', or "
            "cells='lp' with solver='simplex'."
        )
    if certificate and not isinstance(engine, VertexSearch):
        raise ValueError("A certificate is written of vertex cells: LayerSplit(cells='vertices').")
    return engine
