"""Targeted attacks on deep hashing for retbench."""
