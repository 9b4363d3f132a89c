"""Pictures of regions, of their graph, and of local complexity."""
