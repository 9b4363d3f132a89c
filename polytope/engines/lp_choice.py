"""Which solver decides the cells of a search by linear programs."""

from __future__ import annotations

from polytope.errors import UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network

SIMPLEX_CELLS = "layer split, LP cells (compiled simplex)"  # as reports call the engine
MOST_NUMBERS = 1 << 16  # dimensions times rows: beyond, a dense dictionary is no longer small


def chosen_solver(solver: str, network: Network, domain: Polyhedron) -> str:
    """``simplex`` or ``highs``, where the caller leaves it open.

    Raises:
        UnboundedDomainError: the simplex method is asked for on an unbounded domain.
    """
    if solver == "highs":
        return solver
    if not domain.is_bounded:
        if solver == "simplex":
            raise UnboundedDomainError(
                "The compiled simplex method needs a bounded domain: add rows, or use solver='highs'."
            )
        return "highs"
    small = domain.dim * (network.n_units + len(domain.b)) <= MOST_NUMBERS
    return "simplex" if small or solver == "simplex" else "highs"
