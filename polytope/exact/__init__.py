"""Rational arithmetic, once: what decides wherever a proved error bound does not."""
