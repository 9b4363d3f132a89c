"""Local complexity: how densely crossings of units lie around points."""
