"""Hashers that encode images and texts into the same code space."""
