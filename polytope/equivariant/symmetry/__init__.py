"""Symmetries of networks: proofs, discovery, and enumeration up to symmetry."""
