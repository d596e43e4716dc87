"""Defenses of hash-based retrieval: purifiers that clean queries, and the denoisers they run on."""
