"""Hashers whose images and texts share one code."""
