"""Benchmarks of architectures: region counts and local complexity across widths, depths and training."""
