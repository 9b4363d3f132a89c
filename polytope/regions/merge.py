"""Regions that compute one affine map, joined across facets: linear regions."""

from __future__ import annotations

from polytope.ir.components import connected_components
from polytope.ir.maps import IntArray


def joined_across(maps: IntArray, pairs: IntArray) -> IntArray:
    """Labels of connected components of regions with the same map, ``int[R]``, across pairs ``int[E, 2]``."""
    _, labels = connected_components(pairs[maps[pairs[:, 0]] == maps[pairs[:, 1]]], len(maps))
    return labels
