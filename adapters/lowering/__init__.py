"""From a graph of affine, pointwise and maximum steps to canonical layers."""
