"""Exact geometry of trained piecewise-linear networks."""
