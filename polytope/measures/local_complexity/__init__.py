"""Local complexity: how densely a network bends around points."""
