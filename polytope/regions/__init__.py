"""Network and domain in, regions out."""
