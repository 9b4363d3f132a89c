"""Signals and convolutions on the sphere and on the rotation group."""
