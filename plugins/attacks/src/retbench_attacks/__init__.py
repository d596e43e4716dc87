"""Attacks on deep hashing for retbench: gradient descent on images, and trained generators."""
