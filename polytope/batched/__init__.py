"""A Network on torch, any device: values, pre-activations, patterns and Jacobians of many points at once."""

from polytope.batched.network import BatchedNetwork

__all__ = ["BatchedNetwork"]
