"""Convolutions of fields on meshes and lattices, for any choice of frames."""
