"""Measures: functions of a Network or of a RegionComplex."""
