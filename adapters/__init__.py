"""Saved models into networks."""
