"""Editions of a published dataset on disk, and how their lists, labels and texts are built from a download."""
