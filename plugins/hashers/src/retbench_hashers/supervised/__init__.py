"""Hashers of images that learn from class labels."""
