"""The native search, and its doors: what it reads, what it found, exact answers to its questions."""
