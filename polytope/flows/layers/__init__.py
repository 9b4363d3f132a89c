"""Layers of flows."""
