"""Hashers of images whose loss reads class labels."""
