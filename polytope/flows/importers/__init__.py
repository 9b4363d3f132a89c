"""Trained flows of other libraries."""
