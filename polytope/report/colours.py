"""The colours of pictures, told apart by colour-blind readers too.

References:
    Okabe, Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Okabe and Ito's colours, those that are easiest to see on white first."""
