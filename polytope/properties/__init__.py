"""VNN-LIB properties: read, and decided."""
