"""Branch and bound over the pieces that units may be on, with linear bounds on torch."""
