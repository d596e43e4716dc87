"""Attacks by a trained generator, which redraws a query in one pass."""
