"""Exact geometry of piecewise-linear flows."""
