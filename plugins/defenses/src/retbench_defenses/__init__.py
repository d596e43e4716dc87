"""Defenses of hash-based retrieval: purifiers that clean queries, their denoisers, and hardenings of the hasher."""
