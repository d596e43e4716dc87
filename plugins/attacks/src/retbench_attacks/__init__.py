"""Attacks on deep hashing for retbench: by descent, and by trained generators."""
