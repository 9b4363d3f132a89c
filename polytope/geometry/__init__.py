"""Polyhedra, windows, and the linear programs that decide questions about them."""

from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.slice import Slice

__all__ = ["Polyhedron", "Slice"]
