"""How regions are found: engines with one interface, and the default choice."""
