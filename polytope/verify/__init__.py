"""Certificates replayed: what a directory says is proved without the code that wrote it."""

from polytope.verify.replay import Proof, verify_certificate

__all__ = ["Proof", "verify_certificate"]
