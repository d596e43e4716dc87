"""Datasets that are read from disk, one file each: those of the literature, and the user's own images."""
